"""`lockstep-encoder inspect`: which model artifacts a store holds, and whether they are whole."""

from __future__ import annotations

import json
import sys

from pydantic import ValidationError

from lockstep_core.artifacts import ArtifactError, ArtifactStore, ModelManifest
from lockstep_core.jobs.failure import JobFailure, as_failure
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.storage import ArtifactsSpec


def inspect(
    uri: str, digest: str | None, *, endpoint: str | None = None, region: str | None = None
) -> int:
    """Prints one JSON object for each model artifact, or for the one of `digest`; returns the exit
    code.

    Each file is read and checked, as an import would. A corrupt artifact is told on standard error
    and hides no other.
    """
    worst = ExitCode.OK
    try:
        spec = ArtifactsSpec.model_validate({"uri": uri, "endpoint": endpoint, "region": region})
        store = ArtifactStore.open(spec)
        digests = [digest] if digest is not None else store.digests()
        if not digests:
            raise ArtifactError(f"{uri} holds no manifests/sha256: is it the root of a store?")
        for one in digests:
            try:
                if digest is None and not store.is_model(one):
                    continue
                print(json.dumps(_shown(one, store.verify(one, ModelManifest)), indent=2))
            except ArtifactError as error:
                worst = _told(error)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        return _told(JobFailure(ExitCode.BAD_CONFIG, "BadConfig", f"{uri}: {problem['msg']}"))
    except Exception as error:
        return _told(error)
    return worst


def _shown(digest: str, manifest: ModelManifest) -> dict[str, object]:
    return {
        "digest": digest,
        "spaceID": manifest.space_id,
        "dimension": manifest.dimension,
        "manifest": manifest.to_wire(),
    }


def _told(error: Exception) -> ExitCode:
    failure = as_failure(error)
    print(f"{failure.reason}: {failure.message}", file=sys.stderr)
    return failure.code
