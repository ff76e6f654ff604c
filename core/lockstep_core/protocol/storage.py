"""Where artifacts are kept. The operator never opens the store; its pods do."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from lockstep_core.protocol.base import Contract, Sha256, plain_path_rule, rule, validations

ObjectName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", min_length=1, max_length=253),
]

StoreRoot = Annotated[
    str, StringConstraints(pattern=r"^(file|s3|gs|az)://.+", min_length=8, max_length=512)
]


class SecretReference(Contract):
    """A Secret in the same namespace, mounted by pods only: the operator never reads it."""

    name: ObjectName = Field(description="Name of the Secret, in the same namespace.")


class ArtifactsSpec(Contract):
    """The artifact store of a model and of all its indexes."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                "self.uri.startsWith('file://') == has(self.claimName)",
                "`claimName` must be set with a `file://` URI and only with one: it names the"
                " PersistentVolumeClaim that pods mount at the URI's path",
                ".claimName",
            ),
            rule(
                "!self.uri.startsWith('file://') || !has(self.secretRef)",
                "`secretRef` must not be set with a `file://` URI: a volume takes no credentials",
                ".secretRef",
            ),
            rule(
                "!has(self.endpoint) || self.uri.startsWith('s3://')",
                "`endpoint` must not be set without an `s3://` URI",
                ".endpoint",
            ),
            rule(
                "!has(self.region) || self.uri.startsWith('s3://')",
                "`region` must not be set without an `s3://` URI",
                ".region",
            ),
            rule(
                "!self.uri.startsWith('file://')"
                " || self.uri.matches('^file://(/[A-Za-z0-9][A-Za-z0-9._-]*)+$')",
                "`uri` must name an absolute folder such as `file:///artifacts`, without a slash at"
                " its end: the claim is mounted there, so it must not be the root of the file"
                " system",
                ".uri",
            ),
            rule(
                "!self.uri.matches('^file:///(bin|boot|dev|etc|lib|lib64|opt|proc|root|run|sbin|sys"
                "|tmp|usr)(/|$)')",
                "`uri` must not lie in a folder of the image such as /usr or /tmp, which the claim"
                " would hide from the program; choose one such as `file:///artifacts`",
                ".uri",
            ),
            rule(
                "self.uri.startsWith('file://')"
                " || self.uri.matches('^[a-z0-9]+://[a-z0-9][a-z0-9._-]{1,254}(/[^/]+)*$')",
                "`uri` must name a bucket, and may name a prefix without a slash at its end, such"
                " as `s3://bucket/prefix`",
                ".uri",
            ),
        )
    )

    uri: Annotated[
        str, StringConstraints(pattern=r"^(file|s3|gs|az)://", min_length=6, max_length=512)
    ] = Field(
        description="Root of the artifact store: `file:///artifacts` on a shared volume, or"
        " `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`."
    )
    claim_name: ObjectName | None = Field(
        default=None,
        description="PersistentVolumeClaim (ReadWriteMany, or one node) that holds a `file://`"
        " store; pods mount it at the path of `uri`.",
    )
    endpoint: (
        Annotated[str, StringConstraints(pattern=r"^https?://", min_length=8, max_length=512)]
        | None
    ) = Field(
        default=None,
        description="Endpoint of an S3-compatible store, such as `https://s3.example.org:9000`."
        " Path-style requests are used.",
    )
    region: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = Field(
        default=None, description="Region of an S3 store."
    )
    secret_ref: SecretReference | None = Field(
        default=None,
        description="Secret whose keys become environment variables of the pods that use the"
        " store (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, ...).",
    )


class ArtifactSource(Contract):
    """A model artifact that was published elsewhere: another store of the same layout."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            plain_path_rule("the root of a store", "file:///artifacts/imports/store")
        )
    )

    uri: StoreRoot = Field(
        description="Root of the store that holds the artifact: the folder or prefix with"
        " `manifests/` and `blobs/` in it. It lies on the volume, or in the bucket, of `artifacts`."
    )
    digest: Sha256 = Field(
        description="The artifact: sha256 of its manifest, as the release that trained it shows in"
        " `status.training.artifactDigest`, and as `lockstep-encoder inspect` prints."
    )
