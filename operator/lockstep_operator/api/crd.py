"""The CustomResourceDefinitions of our kinds, generated from their models.

`python -m lockstep_operator.api.crd` writes `crds/*.yaml` and the chart's templates of them;
`--check` fails when one differs.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import yaml

from lockstep_core.protocol.base import rule
from lockstep_core.protocol.labels import GROUP
from lockstep_operator.api.definition import Column, Kind, definition
from lockstep_operator.api.drift_policy import DriftPolicySpec, DriftPolicyStatus
from lockstep_operator.api.index import VectorIndexSpec, VectorIndexStatus
from lockstep_operator.api.kinds import (
    DRIFT_POLICY,
    EMBEDDING_MODEL,
    EMBEDDING_RELEASE,
    VECTOR_INDEX,
)
from lockstep_operator.api.model import EmbeddingModelSpec, EmbeddingModelStatus
from lockstep_operator.api.release import EmbeddingReleaseSpec, EmbeddingReleaseStatus

DIRECTORY = Path("crds")
CHART_DIRECTORY = Path("charts/lockstep/templates/crds")
# A third of what a client-side apply can keep in its annotation.
SIZE_LIMIT = 100 * 1024

_NAME_RULES = (
    rule(
        "self.metadata.name.matches('^[a-z]([-a-z0-9]{0,28}[a-z0-9])?$')",
        "`metadata.name` must be 1 to 30 lower-case letters, digits or dashes, start with a letter"
        " and end with a letter or a digit (such as `products`): Service names begin with it",
    ),
)
_MODEL_NAME_RULES = (
    *_NAME_RULES,
    rule(
        "!self.metadata.name.matches('-r[0-9]+(-|$)')",
        "`metadata.name` must not contain `-r` and a number, as in `products-r2`: releases of the"
        " model are named so; choose a name such as `products-v2`",
    ),
    rule(
        "!has(self.spec.rollout) || !has(self.spec.rollout.approvedRelease)"
        " || !self.spec.rollout.approvedRelease.contains('-')"
        " || self.spec.rollout.approvedRelease.substring(0,"
        " self.spec.rollout.approvedRelease.lastIndexOf('-')) == self.metadata.name",
        "`spec.rollout.approvedRelease` must be a release of this model: `r` and its number, such"
        " as `r13`, alone or after the name of the model and a dash",
        ".spec.rollout.approvedRelease",
    ),
)


_AGE = Column("Age", ".metadata.creationTimestamp", "date")


KINDS = (
    Kind(
        resource=EMBEDDING_MODEL,
        short="em",
        description="EmbeddingModel says what to train, how to serve it and how to release it,"
        " together with the indexes that follow it.",
        spec=EmbeddingModelSpec,
        status=EmbeddingModelStatus,
        columns=(
            Column("Phase", ".status.phase"),
            Column("Stable", ".status.stable.release"),
            Column("Candidate", ".status.candidate.release"),
            Column("Stage", ".status.candidate.stage"),
            Column("Step", ".status.stepDisplay"),
            Column("Weight", ".status.weightDisplay"),
            Column("Recall", ".status.recall"),
            Column("Gates", ".status.gatesSummary"),
            Column("Space", ".status.stable.spaceID", wide=True),
            Column("Message", ".status.message"),
            _AGE,
        ),
        selectable=(".status.phase",),
        replicas=".spec.serving.replicas",
        rules=_MODEL_NAME_RULES,
    ),
    Kind(
        resource=VECTOR_INDEX,
        short="vix",
        description="VectorIndex is the recipe of an index that follows an EmbeddingModel: each"
        " release of the model carries one build of it.",
        spec=VectorIndexSpec,
        status=VectorIndexStatus,
        columns=(
            Column("Model", ".spec.modelRef.name"),
            Column("Phase", ".status.phase"),
            Column("Release", ".status.serving.release"),
            Column("Rows", ".status.serving.rows", "integer"),
            Column("Recall", ".status.serving.recall"),
            Column("Space", ".status.serving.spaceID", wide=True),
            Column("Message", ".status.message"),
            _AGE,
        ),
        selectable=(".spec.modelRef.name",),
        replicas=".spec.replicas",
        rules=_NAME_RULES,
    ),
    Kind(
        resource=EMBEDDING_RELEASE,
        short="er",
        description="EmbeddingRelease is one encoder and one build of every index that follows it,"
        " as one unit. The operator makes it; read it, and change its EmbeddingModel instead.",
        spec=EmbeddingReleaseSpec,
        status=EmbeddingReleaseStatus,
        columns=(
            Column("Model", ".spec.model"),
            Column("Stage", ".status.stage"),
            Column("Space", ".status.training.spaceID"),
            Column("Cause", ".spec.cause"),
            Column("Outcome", ".status.outcome"),
            Column("Message", ".status.message"),
            _AGE,
        ),
        selectable=(".spec.model",),
    ),
    Kind(
        resource=DRIFT_POLICY,
        short="drift",
        description="DriftPolicy says how the live embeddings of an EmbeddingModel are watched, and"
        " what is done when they drift.",
        spec=DriftPolicySpec,
        status=DriftPolicyStatus,
        columns=(
            Column("Model", ".spec.targetRef.name"),
            Column("State", ".status.state"),
            Column("Release", ".status.release"),
            Column("MMD", ".status.value"),
            Column("Tolerance", ".status.tolerance"),
            Column("Request", ".status.request.id"),
            Column("Message", ".status.message"),
            _AGE,
        ),
        selectable=(".spec.targetRef.name",),
        rules=_NAME_RULES,
    ),
)


def file_name(kind: Kind) -> str:
    return f"{GROUP}_{kind.plural}.yaml"


def render(kind: Kind) -> str:
    """The committed YAML of one kind, the same bytes each time."""
    head = "# Generated by `python -m lockstep_operator.api.crd`; do not edit.\n"
    # Through JSON: equal parts would otherwise become YAML anchors, which few tools read well.
    plain = json.loads(json.dumps(definition(kind)))
    return head + yaml.dump(plain, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)


def render_template(kind: Kind) -> str:
    """The same as a template of the chart, with the labels and annotations of an installation."""
    name = f"  name: {kind.plural}.{GROUP}\n"
    body = render(kind).replace(
        name, name + '  {{- include "lockstep.crdMetadata" . | nindent 2 }}\n', 1
    )
    return "{{- if .Values.crds.install }}\n" + body + "{{- end }}\n"


def files(root: Path) -> dict[Path, str]:
    """Every generated file below the root of the repository, and its text."""
    texts = {root / DIRECTORY / file_name(kind): render(kind) for kind in KINDS}
    texts.update({root / CHART_DIRECTORY / file_name(k): render_template(k) for k in KINDS})
    return texts


class _Dumper(yaml.SafeDumper):
    """Quotes `n` and `y`: YAML 1.1 readers (Kubernetes' is one) take them for booleans."""


def _string(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = "'" if text.lower() in ("n", "y") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _string)


def main(arguments: list[str] | None = None) -> int:
    """Writes the files; with `--check` compares, and returns 1 when one is out of date."""
    parser = argparse.ArgumentParser(prog="python -m lockstep_operator.api.crd")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--root", type=Path, default=Path(), help="root of the repository")
    options = parser.parse_args(arguments)
    stale = {
        p: t for p, t in files(options.root).items() if not p.exists() or p.read_text("utf-8") != t
    }
    if options.check:
        for path in stale:
            print(f"{path} is out of date: run `python -m lockstep_operator.api.crd`")
        return 1 if stale else 0
    for path, text in stale.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
