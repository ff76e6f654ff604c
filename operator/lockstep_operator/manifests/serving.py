"""What answers requests: encoder, index servers and the entry point that alone ever moves."""

from __future__ import annotations

from collections.abc import Sequence

from lockstep_core.protocol.config import EncoderConfig, IndexEndpoint, IndexServerConfig
from lockstep_core.protocol.environment import DEFAULT_INDEX_VARIABLE, SERVING_PORT
from lockstep_operator.api.objects import Index, Model, Object, Release
from lockstep_operator.api.pods import PodTemplate
from lockstep_operator.api.release import FrozenIndex
from lockstep_operator.manifests.canary import canary_environment
from lockstep_operator.manifests.facts import build_facts, training_facts
from lockstep_operator.manifests.metadata import (
    Component,
    entry_label,
    joint_selector,
    metadata,
    owned_by_model,
    owned_by_release,
    selector_labels,
    standard_labels,
)
from lockstep_operator.manifests.monitoring import monitor_sidecars, tap_environment
from lockstep_operator.manifests.names import encoder_name, index_name
from lockstep_operator.manifests.pods import HTTP_PORT, ProgramSpec
from lockstep_operator.manifests.programs import ENCODER, INDEXER
from lockstep_operator.manifests.servers import deployment_of, pod_of, probes, service_of, url_of

ENCODER_REQUESTS = {"cpu": "50m", "memory": "128Mi"}
INDEX_REQUESTS = {"cpu": "50m", "memory": "64Mi"}


def encoder_deployment(
    model: Model,
    release: Release,
    *,
    replicas: int | None = None,
    beside: str | None = None,
    follows_index: bool = True,
    pull_secrets: Sequence[str] = (),
) -> Object:
    """The encoder, configured with the builds of exactly its own indexes.

    `replicas` is `spec.serving.replicas` where it is not given, and left out where an autoscaler
    counts. `beside` is the release whose entry point its pods may share; they are told of it
    (`follows_index`), and leave it to that release while they lack their index. Raises ValueError
    while the release lacks its model artifact or one of its builds.
    """
    serving = model.spec.serving
    if replicas is None and serving.autoscaling is None:
        replicas = serving.replicas
    selector = selector_labels(release.spec.model, release.name, Component.ENCODER)
    labels = standard_labels(release.spec.model, Component.ENCODER, release=release.name)
    entry_labels = {
        entry_label(name): "true" for name in (release.name, beside) if name is not None
    }
    name = encoder_name(release.name)
    return deployment_of(
        metadata(name, release.namespace, labels, owned_by_release(release)),
        selector,
        pod_of(
            _encoder(model, release, beside if follows_index else None),
            serving.template,
            labels | entry_labels,
            selector,
            pull_secrets,
        ),
        replicas=replicas,
        deadline=model.spec.rollout.progress_deadline_seconds,
        settling=serving.min_ready_seconds,
    )


def _encoder(model: Model, release: Release, beside: str | None) -> ProgramSpec:
    return ProgramSpec(
        command=("lockstep-encoder", "serve"),
        image=ENCODER.of(release.spec.images),
        config=encoder_config(release),
        artifacts=release.spec.artifacts,
        writes_artifacts=False,
        port=(HTTP_PORT, SERVING_PORT),
        requests=ENCODER_REQUESTS,
        environment=_environment(model, release, beside),
        probes=probes(),
        sidecars=monitor_sidecars(model, release),
    )


def _environment(model: Model, release: Release, beside: str | None) -> dict[str, str]:
    """What an encoder is told beside its config."""
    variables: dict[str, str] = {}
    if beside is not None:
        variables |= canary_environment(url_of(model.name, model.namespace), beside)
    default = release.spec.answers_by_default(model.spec.default_index)
    if len(release.spec.indexes) > 1 and default is not None:
        variables[DEFAULT_INDEX_VARIABLE] = default
    return variables | tap_environment(model, release)


def encoder_config(release: Release) -> EncoderConfig:
    """The encoder's config: its space, and each index by URL, build digest and space."""
    facts = training_facts(release)
    builds = {frozen.name: build_facts(release, frozen.name) for frozen in release.spec.indexes}
    return EncoderConfig(
        model=release.spec.model,
        release=release.name,
        artifacts=release.spec.artifacts,
        artifact_digest=facts.artifact_digest,
        space_id=facts.space_id,
        indexes=tuple(
            IndexEndpoint(
                name=name,
                url=url_of(index_name(release.name, name), release.namespace),
                build_digest=build.build_digest,
                space_id=build.space_id,
            )
            for name, build in sorted(builds.items())
        ),
    )


def encoder_service(release: Release) -> Object:
    """The release's own Service: reaches this release's encoder pods and never any others."""
    labels = standard_labels(release.spec.model, Component.ENCODER, release=release.name)
    return service_of(
        metadata(encoder_name(release.name), release.namespace, labels, owned_by_release(release)),
        selector_labels(release.spec.model, release.name, Component.ENCODER),
    )


def index_deployment(
    model: Model,
    release: Release,
    frozen: FrozenIndex,
    recipe: Index | None,
    *,
    pull_secrets: Sequence[str] = (),
) -> Object:
    """The servers of one build. They hold no state: what they serve is in the store.

    `recipe` gives replicas and pod (None: the VectorIndex was deleted; defaults, so apply it only
    where the Deployment is missing). Raises ValueError while the release lacks the build.
    """
    name = index_name(release.name, frozen.name)
    selector = selector_labels(release.spec.model, release.name, Component.INDEX, frozen.name)
    labels = standard_labels(
        release.spec.model, Component.INDEX, release=release.name, index=frozen.name
    )
    program = ProgramSpec(
        command=("lockstep-indexer", "serve"),
        image=INDEXER.of(release.spec.images),
        config=index_config(release, frozen),
        artifacts=release.spec.artifacts,
        writes_artifacts=False,
        port=(HTTP_PORT, SERVING_PORT),
        requests=INDEX_REQUESTS,
        probes=probes(),
    )
    template = recipe.spec.template if recipe else PodTemplate()
    return deployment_of(
        metadata(name, release.namespace, labels, owned_by_release(release)),
        selector,
        pod_of(program, template, labels, selector, pull_secrets),
        replicas=recipe.spec.replicas if recipe else 1,
        deadline=model.spec.rollout.progress_deadline_seconds,
    )


def index_config(release: Release, frozen: FrozenIndex) -> IndexServerConfig:
    """The config of an index server: the build that it serves, and its space."""
    build = build_facts(release, frozen.name)
    return IndexServerConfig(
        release=release.name,
        index=frozen.name,
        artifacts=release.spec.artifacts,
        build_digest=build.build_digest,
        space_id=build.space_id,
    )


def index_service(release: Release, frozen: FrozenIndex) -> Object:
    """Balances searches over the servers of one build."""
    labels = standard_labels(
        release.spec.model, Component.INDEX, release=release.name, index=frozen.name
    )
    return service_of(
        metadata(
            index_name(release.name, frozen.name),
            release.namespace,
            labels,
            owned_by_release(release),
        ),
        selector_labels(release.spec.model, release.name, Component.INDEX, frozen.name),
    )


def entry_service(model: Model, release: Release, *, joint: bool = False) -> Object:
    """The entry Service: selects the encoder pods of one release.

    `joint`: those of the candidate too that shares its entry point. The only object whose selector
    ever changes, and it changes in one write.
    """
    selector = (
        joint_selector(model.name, release.name)
        if joint
        else selector_labels(model.name, release.name, Component.ENCODER)
    )
    meta = metadata(
        model.name,
        model.namespace,
        standard_labels(model.name, Component.ENTRY),
        owned_by_model(model),
    )
    return service_of(meta, selector)
