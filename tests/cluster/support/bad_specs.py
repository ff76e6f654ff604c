"""Specs that are wrong, and who says so.

`SERVER_REFUSES`: the API server refuses them; its message holds each of the given words (the
field, and what must hold). `OPERATOR_REFUSES`: no schema can see what is wrong; the operator says
it in `Ready=False`, naming the field, and nothing that served stops.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.cluster.support.specs import BUCKET, GOOD_IMPORT, GOOD_INDEX, GOOD_MODEL, MISSING

BAD_DIGEST = "sha256:abc"
GOOD_DIGEST = "sha256:" + "0" * 64


@dataclass(frozen=True)
class BadSpec:
    """`changes` are dotted paths set in a copy of `good`; `words` must be in the refusal."""

    name: str
    good: dict[str, Any]
    changes: dict[str, Any]
    words: tuple[str, ...]


@dataclass(frozen=True)
class OperatorRefusal:
    """`message` are words of the condition Ready=False of the object of kind `kind`."""

    name: str
    kind: str
    message: tuple[str, ...]
    model: dict[str, Any] = field(default_factory=dict)
    index: dict[str, Any] | None = field(default_factory=dict)
    """Changes of GOOD_MODEL and GOOD_INDEX; index None: there is no index at all."""


def _model(name: str, changes: dict[str, Any], *words: str) -> BadSpec:
    return BadSpec(f"model-{name}", GOOD_MODEL, changes, words)


def _import(name: str, changes: dict[str, Any], *words: str) -> BadSpec:
    return BadSpec(f"import-{name}", GOOD_IMPORT, changes, words)


def _index(name: str, changes: dict[str, Any], *words: str) -> BadSpec:
    return BadSpec(f"index-{name}", GOOD_INDEX, changes, words)


_GATE = "spec.rollout.gates.0"
_TEMPLATE = "spec.training.template"
_RESOURCES = f"{_TEMPLATE}.resources"

_NAMES = (
    _model("name-digit-first", {"metadata.name": "3d"}, "`metadata.name`", "start with a letter"),
    _model("name-dotted", {"metadata.name": "a.b"}, "`metadata.name`", "dashes"),
    _model("name-long", {"metadata.name": "a" * 31}, "`metadata.name`", "1 to 30"),
    _model("name-of-release", {"metadata.name": "glyphs-r2"}, "`metadata.name`", "`products-v2`"),
    _model("name-with-release", {"metadata.name": "a-r1-b"}, "`metadata.name`", "`products-v2`"),
    _index("name-digit-first", {"metadata.name": "1x"}, "`metadata.name`", "start with a letter"),
    _index("name-long", {"metadata.name": "a" * 31}, "`metadata.name`", "1 to 30"),
)

_ARTIFACTS = (
    _model("spec-missing", {"spec": MISSING}, "spec", "Required"),
    _model("artifacts-missing", {"spec.artifacts": MISSING}, "spec.artifacts", "Required"),
    _model("artifacts-text", {"spec.artifacts": "file:///a"}, "spec.artifacts", "object"),
    _model("artifacts-uri-missing", {"spec.artifacts.uri": MISSING}, "artifacts.uri", "Required"),
    _model("artifacts-uri-http", {"spec.artifacts.uri": "http://a"}, "artifacts.uri", "file|s3"),
    _model("artifacts-uri-root", {"spec.artifacts.uri": "file:///"}, "`uri`", "absolute folder"),
    _model("artifacts-uri-host", {"spec.artifacts.uri": "file://a/b"}, "`uri`", "absolute folder"),
    _model("artifacts-uri-dots", {"spec.artifacts.uri": "file:///a/../b"}, "`uri`", "folder"),
    _model("artifacts-uri-slash", {"spec.artifacts.uri": "file:///a/"}, "`uri`", "without a slash"),
    _model("artifacts-uri-system", {"spec.artifacts.uri": "file:///usr/x"}, "`uri`", "hide"),
    _model("artifacts-uri-long", {"spec.artifacts.uri": "s3://" + "b" * 600}, "uri", "512"),
    _model(
        "artifacts-claim-missing",
        {"spec.artifacts.claimName": MISSING},
        "`claimName`",
        "must be set with a `file://`",
    ),
    _model("artifacts-claim-name", {"spec.artifacts.claimName": "No_Name"}, "claimName", "a-z0-9"),
    _model(
        "artifacts-claim-with-bucket",
        {"spec.artifacts": {**BUCKET, "claimName": "c"}},
        "`claimName`",
        "only with one",
    ),
    _model(
        "artifacts-secret-with-volume",
        {"spec.artifacts.secretRef": {"name": "s"}},
        "`secretRef`",
        "must not be set with a `file://`",
    ),
    _model(
        "artifacts-secret-nameless",
        {"spec.artifacts": {**BUCKET, "secretRef": {}}},
        "secretRef.name",
        "Required",
    ),
    _model(
        "artifacts-endpoint-with-volume",
        {"spec.artifacts.endpoint": "http://s3"},
        "`endpoint`",
        "`s3://`",
    ),
    _model(
        "artifacts-endpoint-scheme",
        {"spec.artifacts": {**BUCKET, "endpoint": "s3.example.org"}},
        "endpoint",
        "https?",
    ),
    _model(
        "artifacts-region-with-gs",
        {"spec.artifacts": {"uri": "gs://b", "region": "r"}},
        "`region`",
        "`s3://`",
    ),
    _model(
        "artifacts-bucket-nameless",
        {"spec.artifacts": {"uri": "s3:///models"}},
        "`uri`",
        "name a bucket",
    ),
)

_DATA = (
    _model("training-missing", {"spec.training": MISSING}, "exactly one of `training`"),
    _model("data-missing", {"spec.training.data": MISSING}, "training.data", "Required"),
    _model("data-uri-missing", {"spec.training.data.uri": MISSING}, "data.uri", "Required"),
    _model("data-uri-scheme", {"spec.training.data.uri": "/a/b.npz"}, "data.uri", "file|s3"),
    _model(
        "data-uri-elsewhere",
        {"spec.training.data.uri": "file:///other/glyphs.npz"},
        "`training.data.uri`",
        "below `artifacts.uri`",
    ),
    _model(
        "data-uri-sibling",
        {"spec.training.data.uri": "file:///artifacts-2/glyphs.npz"},
        "`training.data.uri`",
        "below `artifacts.uri`",
    ),
    _model(
        "data-uri-crossed",
        {"spec.training.data.uri": "s3://lockstep/glyphs.npz"},
        "`training.data.uri`",
        "below `artifacts.uri`",
    ),
    _model(
        "data-uri-other-bucket",
        {"spec.artifacts": BUCKET, "spec.training.data.uri": "s3://other/glyphs.npz"},
        "`training.data.uri`",
        "bucket of `artifacts.uri`",
    ),
    _model(
        "data-uri-file-for-bucket",
        {"spec.artifacts": BUCKET},
        "`training.data.uri`",
        "bucket of `artifacts.uri`",
    ),
    _model(
        "data-uri-dots",
        {"spec.training.data.uri": "file:///artifacts/../etc/a.npz"},
        "`uri`",
        "plain absolute path",
    ),
    _model(
        "data-uri-ending",
        {"spec.training.data.uri": "file:///artifacts/glyphs"},
        "`uri`",
        "end with `.npz`",
    ),
    _model("data-uri-parquet", {"spec.training.data.format": "Parquet"}, "`uri`", "`.parquet`"),
    _model("data-uri-lines", {"spec.training.data.format": "JSONLines"}, "`uri`", "`.jsonl`"),
    _model(
        "data-columns-of-folder",
        {
            "spec.training.data.uri": "file:///artifacts/glyphs",
            "spec.training.data.format": "ImageFolder",
            "spec.training.data.columns": {"label": "class"},
        },
        "`columns`",
        "ImageFolder",
    ),
    _model(
        "data-column-empty",
        {"spec.training.data.columns": {"label": ""}},
        "columns.label",
        "at least 1",
    ),
    _model(
        "split-group-unnamed",
        {"spec.training.data.split.by": "Group"},
        "`columns.group`",
        "`split.by`",
    ),
    _model("data-format", {"spec.training.data.format": "CSV"}, "data.format", "NPZ"),
    _model("data-format-missing", {"spec.training.data.format": MISSING}, "format", "Required"),
    _model("data-digest", {"spec.training.data.digest": BAD_DIGEST}, "data.digest", "sha256"),
    _model("split-by", {"spec.training.data.split.by": "Item"}, "split.by", "Class"),
    _model("split-all", {"spec.training.data.split.evalFraction": "1.0"}, "evalFraction", "0"),
    _model(
        "split-number", {"spec.training.data.split.evalFraction": 0.3}, "evalFraction", "string"
    ),
    _model("split-seed", {"spec.training.data.split.seed": -1}, "split.seed", "0"),
)

_TRAINING = (
    _model("encoder-missing", {"spec.training.encoder": MISSING}, "training.encoder", "Required"),
    _model("encoder-kind", {"spec.training.encoder.kind": "ViT"}, "encoder.kind", "CNN", "MLP"),
    _model("encoder-kind-missing", {"spec.training.encoder.kind": MISSING}, "kind", "Required"),
    _model("encoder-narrow", {"spec.training.encoder.dimension": 1}, "dimension", "2"),
    _model("encoder-huge", {"spec.training.encoder.dimension": 4097}, "dimension", "4096"),
    _model("encoder-text", {"spec.training.encoder.dimension": "64"}, "dimension", "integer"),
    _model("encoder-width", {"spec.training.encoder.width": 2}, "encoder.width", "4"),
    _model("encoder-baseless", {"spec.training.encoder.kind": "Transformer"}, "`base`", "only"),
    _model(
        "encoder-base-unread",
        {"spec.training.encoder.base": {"uri": "file:///artifacts", "digest": GOOD_DIGEST}},
        "`base`",
        "kind Transformer",
    ),
    _model(
        "encoder-base-path",
        {
            "spec.training.encoder.kind": "Transformer",
            "spec.training.encoder.base": {"uri": "file:///a/../b", "digest": GOOD_DIGEST},
        },
        "`uri`",
        "plain absolute path",
    ),
    _model("encoder-custom", {"spec.training.encoder.kind": "Custom"}, "`entrypoint`", "only"),
    _model(
        "encoder-entrypoint",
        {"spec.training.encoder": {"kind": "Custom", "entrypoint": "os.system"}},
        "entrypoint",
        "match",
    ),
    _model("encoder-pooling-unread", {"spec.training.encoder.pooling": "CLS"}, "`pooling`"),
    _model("encoder-frozen-unread", {"spec.training.encoder.frozenLayers": 1}, "`frozenLayers`"),
    _model("encoder-length-unread", {"spec.training.encoder.maxLength": 64}, "`maxLength`"),
    _model("encoder-overlong-unread", {"spec.training.encoder.overlong": "Refuse"}, "`overlong`"),
    _model("export-int8", {"spec.training.export": {"int8": {"minTop10Overlap": "2"}}}, "Overlap"),
    _model("export-weights", {"spec.training.export": {"weights": "Int4"}}, "weights", "Float16"),
    _model("loss-name", {"spec.training.loss.name": "Hinge"}, "loss.name", "Triplet"),
    *(
        _model(
            f"loss-{field.lower()}-unread",
            {"spec.training.loss": {"name": name, field: value}},
            f"`{field}`",
            "unless `name` is",
        )
        for name, field, value in (
            ("InfoNCE", "margin", "0.3"),
            ("ArcFace", "distance", "Cosine"),
            ("Triplet", "temperature", "0.1"),
            ("SupCon", "scale", "16"),
            ("Contrastive", "softMargin", True),
        )
    ),
    _model(
        "loss-two-margins",
        {"spec.training.loss": {"softMargin": True, "margin": "0.3"}},
        "`margin`",
        "when `softMargin` is true",
    ),
    _model(
        "loss-mines-nothing",
        {"spec.training.loss": {"name": "SupCon"}, "spec.training.mining.skipHardest": 2},
        "`mining.skipHardest`",
        "unless `loss.name` is Triplet",
    ),
    _model(
        "loss-remembers-nothing",
        {"spec.training.loss": {"name": "ArcFace"}, "spec.training.mining.memory": {"size": 64}},
        "`mining.memory`",
        "learned vectors",
    ),
    _model(
        "loss-soft-semi-hard",
        {
            "spec.training.loss": {"softMargin": True},
            "spec.training.mining.strategy": "AllSemiHard",
        },
        "`loss.softMargin`",
        "AllSemiHard",
    ),
    _model("mining-skip", {"spec.training.mining.skipHardest": 65}, "skipHardest", "64"),
    _model("mining-memory", {"spec.training.mining.memory": {"size": 0}}, "memory.size", "1"),
    _model("mining-pace", {"spec.training.mining.offline": {}}, "everySteps", "only one"),
    _model(
        "mining-ranks",
        {"spec.training.mining.offline": {"everySteps": 100, "minRank": 60}},
        "`minRank`",
        "`maxRank`",
    ),
    _model(
        "tracking-uri",
        {"spec.training.tracking.mlflow": {"uri": "sqlite:///runs.db"}},
        "tracking.mlflow.uri",
        "https",
    ),
    _model(
        "tracking-wandb-project",
        {"spec.training.tracking.wandb": {"project": "a b"}},
        "wandb.project",
        "match",
    ),
    _model(
        "tracking-two",
        {"spec.training.tracking": {"mlflow": {"uri": "https://a"}, "wandb": {"project": "a"}}},
        "must not both be set",
    ),
    _model("batch-chunk", {"spec.training.batch.chunkSize": 0}, "chunkSize", "1"),
    _model(
        "encoder-cuts",
        {"spec.training.encoder.matryoshkaDimensions": [8192]},
        "matryoshkaDimensions",
        "4095",
    ),
    _model(
        "encoder-cut-nothing",
        {"spec.training.encoder.dimension": 64, "spec.training.encoder.matryoshkaDimensions": [64]},
        "each of `matryoshkaDimensions`",
        "less than `dimension`",
    ),
    _model("loss-margin-zero", {"spec.training.loss.margin": "0"}, "loss.margin", "match"),
    _model("loss-margin-number", {"spec.training.loss.margin": 0.2}, "loss.margin", "string"),
    _model("loss-distance", {"spec.training.loss.distance": "L2"}, "distance", "Euclidean"),
    _model("mining", {"spec.training.mining.strategy": "hard"}, "strategy", "SemiHard"),
    _model("batch-classes", {"spec.training.batch.classes": 1}, "batch.classes", "2"),
    _model("batch-per-class", {"spec.training.batch.perClass": 1}, "batch.perClass", "2"),
    _model(
        "batch-small",
        {"spec.training.batch": {"classes": 2, "perClass": 2}},
        "`classes` x `perClass`",
        "between 8 and 8192",
    ),
    _model(
        "batch-large",
        {"spec.training.batch": {"classes": 2048, "perClass": 256}},
        "`classes` x `perClass`",
        "between 8 and 8192",
    ),
    _model("optimizer-rate", {"spec.training.optimizer.learningRate": "-1"}, "learningRate"),
    _model("optimizer-decay", {"spec.training.optimizer.weightDecay": "1e-2"}, "weightDecay"),
    _model("optimizer-clip", {"spec.training.optimizer.clipNorm": "0"}, "clipNorm", "match"),
    _model("budget-missing", {"spec.training.budget": MISSING}, "training.budget", "Required"),
    _model("budget-steps", {"spec.training.budget.maxSteps": 0}, "maxSteps", "1"),
    _model("budget-seconds", {"spec.training.budget.maxSeconds": 0}, "maxSeconds", "1"),
    _model(
        "early-stopping-metric",
        {"spec.training.budget.earlyStopping": {"metric": "Loss"}},
        "earlyStopping.metric",
        "RecallAt1",
    ),
    _model(
        "early-stopping-patience",
        {"spec.training.budget.earlyStopping": {"patience": 0}},
        "patience",
        "1",
    ),
    _model(
        "early-stopping-delta",
        {"spec.training.budget.earlyStopping": {"minDelta": "2"}},
        "minDelta",
        "match",
    ),
    _model(
        "early-stopping-blind",
        {"spec.training.budget.earlyStopping": {}},
        "`budget.earlyStopping`",
        "`evaluation.everySteps`",
    ),
    _model("optimizer-schedule", {"spec.training.optimizer.schedule": "Step"}, "OneCycle"),
    _model("warmup", {"spec.training.optimizer.warmupSteps": 0}, "warmupSteps", "1"),
    _model(
        "warmup-long",
        {"spec.training.optimizer.warmupSteps": 100_000},
        "`optimizer.warmupSteps`",
        "less than `budget.maxSteps`",
    ),
    _model("evaluation-steps", {"spec.training.evaluation.everySteps": 0}, "everySteps", "1"),
    _model("autocast", {"spec.training.precision.autocast": "FP16"}, "autocast", "BF16"),
    _model("compile", {"spec.training.precision.compile": "true"}, "compile", "boolean"),
    _model("collapse-action", {"spec.training.collapse.action": "Stop"}, "action", "Rewind"),
    _model("collapse-rewinds", {"spec.training.collapse.maxRewinds": 0}, "maxRewinds", "1"),
    _model("collapse-variance", {"spec.training.collapse.minVariance": 0.02}, "minVariance"),
    _model("checkpoint-seconds", {"spec.training.checkpoint.everySeconds": 0}, "everySeconds"),
    _model("checkpoint-steps", {"spec.training.checkpoint.everySteps": 0}, "everySteps", "1"),
    _model("checkpoint-keep", {"spec.training.checkpoint.keep": 0}, "checkpoint.keep", "1"),
    _model("seed", {"spec.training.seed": 2**31}, "training.seed", "2147483647"),
    _model("attempts", {"spec.training.maxAttempts": 0}, "maxAttempts", "1"),
    _model("deadline", {"spec.training.activeDeadlineSeconds": 0}, "activeDeadlineSeconds", "1"),
    _model("typo", {"spec.training.encoder.dimensions": 64}, "spec.training.encoder.dimensions"),
)

_PODS = (
    _model("image", {f"{_TEMPLATE}.image": "a b"}, "template.image", "match"),
    _model("quantity", {f"{_RESOURCES}.requests.cpu": "two"}, "requests.cpu", "match"),
    _model("quantity-less", {f"{_RESOURCES}.requests.cpu": -1}, "requests.cpu", "0"),
    _model("quantity-yes", {f"{_RESOURCES}.requests.cpu": True}, "requests.cpu"),
    _model(
        "requests-above-limits",
        {f"{_RESOURCES}.limits": {"memory": "1Gi"}},
        "`requests`",
        "must not exceed `limits`",
    ),
    _model(
        "gpu-in-requests",
        {f"{_RESOURCES}.requests": {"nvidia.com/gpu": "1"}},
        "`requests`",
        "set it in `limits` alone",
    ),
    _model(
        "node-selector-key",
        {f"{_TEMPLATE}.nodeSelector": {"a b": "c"}},
        "`nodeSelector`",
        "label keys",
    ),
    _model("node-selector-value", {f"{_TEMPLATE}.nodeSelector": {"a": "b c"}}, "nodeSelector.a"),
    _model(
        "toleration-value",
        {f"{_TEMPLATE}.tolerations": [{"key": "k", "operator": "Exists", "value": "v"}]},
        "`value`",
        "`operator` is Exists",
    ),
    _model(
        "toleration-effect",
        {f"{_TEMPLATE}.tolerations": [{"key": "k", "effect": "Never"}]},
        "effect",
        "NoSchedule",
    ),
    _model("priority-class", {f"{_TEMPLATE}.priorityClassName": "A B"}, "priorityClassName"),
    _model(
        "privileged",
        {f"{_TEMPLATE}.securityContext": {"privileged": True}},
        "spec.training.template.securityContext",
    ),
)

_ROLLOUT = (
    _model("indexing", {"spec.indexing": "Optional"}, "spec.indexing", "Required", "None"),
    _model("replicas-zero", {"spec.serving.replicas": 0}, "serving.replicas", "1"),
    _model("replicas-many", {"spec.serving.replicas": 1001}, "serving.replicas", "1000"),
    _model("replicas-text", {"spec.serving.replicas": "2"}, "serving.replicas", "integer"),
    _model("ready-negative", {"spec.serving.minReadySeconds": -1}, "minReadySeconds", "0"),
    _model(
        "ready-after-deadline",
        {"spec.serving.minReadySeconds": 900},
        "`serving.minReadySeconds`",
        "less than `rollout.progressDeadlineSeconds`",
    ),
    _model("monitoring-text", {"spec.monitoring.enabled": "yes"}, "monitoring.enabled", "boolean"),
    _model("recall-negative", {"spec.monitoring.recall.perMinute": -1}, "perMinute", "0"),
    _model("recall-often", {"spec.monitoring.recall.perMinute": 601}, "perMinute", "600"),
    _model("recall-k-none", {"spec.monitoring.recall.k": 0}, "recall.k", "1"),
    _model("recall-k-many", {"spec.monitoring.recall.k": 101}, "recall.k", "100"),
    _model("monitoring-none", {"spec.monitoring.maxPerSecond": 0}, "maxPerSecond", "1"),
    _model("monitoring-many", {"spec.monitoring.maxPerSecond": 1001}, "maxPerSecond", "1000"),
    _model("monitoring-short", {"spec.monitoring.windowSeconds": 9}, "windowSeconds", "10"),
    _model("monitoring-long", {"spec.monitoring.windowSeconds": 3601}, "windowSeconds", "3600"),
    _model("gate-nameless", {f"{_GATE}.name": MISSING}, "gates[0].name", "Required"),
    _model("gate-name", {f"{_GATE}.name": "Recall At 1"}, "gates[0].name", "match"),
    _model("gate-type", {f"{_GATE}.type": "Speed"}, "gates[0].type", "Recall"),
    _model("gate-k", {f"{_GATE}.k": 0}, "gates[0].k", "1"),
    _model("gate-min-number", {f"{_GATE}.min": 0.95}, "gates[0].min", "string"),
    _model("gate-min-range", {f"{_GATE}.min": "1.5"}, "gates[0].min", "match"),
    _model(
        "gate-unbounded",
        {f"{_GATE}.min": MISSING, f"{_GATE}.minGainOverBaseline": MISSING},
        "`min`, `minGainOverBaseline` or `maxRegression`",
        "must be set",
    ),
    _model("gate-confidence", {f"{_GATE}.confidence": "0.4"}, "confidence", "match"),
    _model("gate-samples-missing", {f"{_GATE}.minSamples": MISSING}, "minSamples", "must be set"),
    _model("gate-samples", {f"{_GATE}.minSamples": 0}, "minSamples", "1"),
    _model(
        "gate-twice",
        {"spec.rollout.gates": GOOD_MODEL["spec"]["rollout"]["gates"] * 2},
        "gates[1]",
        "Duplicate",
    ),
    _model(
        "gates-of-many-k",
        {
            "spec.rollout.gates": [
                {"name": f"at-{k}", "type": "Recall", "k": k, "min": "0.9", "minSamples": 300}
                for k in range(1, 10)
            ]
        },
        "spec.rollout.gates",
        "at most 8 different `k`",
    ),
    _model("paused", {"spec.rollout.paused": "yes"}, "rollout.paused", "boolean"),
    _model("progress", {"spec.rollout.progressDeadlineSeconds": 0}, "progressDeadline", "1"),
    _model("window", {"spec.rollout.rollbackWindow.releases": 6}, "rollbackWindow.releases", "5"),
    _model("window-seconds", {"spec.rollout.rollbackWindow.seconds": -1}, "seconds", "0"),
    _model(
        "check-too-often",
        {"spec.rollout.checkArtifactsSeconds": 599},
        "`checkArtifactsSeconds` must be 0 or at least 600",
    ),
    _model("check-never", {"spec.rollout.checkArtifactsSeconds": -1}, "checkArtifactsSeconds", "0"),
    _model("history", {"spec.revisionHistoryLimit": 0}, "revisionHistoryLimit", "1"),
)

_INDEXES = (
    _index("model-missing", {"spec.modelRef": MISSING}, "spec.modelRef", "Required"),
    _index("model-nameless", {"spec.modelRef": {}}, "modelRef.name", "Required"),
    _index("model-name", {"spec.modelRef.name": "Other.Model"}, "modelRef.name", "match"),
    _index("model-elsewhere", {"spec.modelRef.namespace": "other"}, "spec.modelRef.namespace"),
    _index("source-missing", {"spec.source": MISSING}, "spec.source", "Required"),
    _index("source-uri", {"spec.source.uri": "https://a/b.npz"}, "source.uri", "file|s3"),
    _index("source-format", {"spec.source.format": "CSV"}, "source.format", "NPZ"),
    _index("source-digest", {"spec.source.digest": "md5:0"}, "source.digest", "sha256"),
    _index("source-dots", {"spec.source.uri": "file:///a//b.npz"}, "`uri`", "plain absolute path"),
    _index("type", {"spec.index.type": "IVF"}, "index.type", "Flat", "HNSW"),
    _index(
        "graph-of-flat",
        {"spec.index": {"type": "Flat", "hnsw": {"m": 16}}},
        "`hnsw`",
        "unless `type` is HNSW",
    ),
    _index("graph-links", {"spec.index.hnsw.m": 1}, "hnsw.m", "2"),
    _index("graph-construction", {"spec.index.hnsw.efConstruction": 0}, "efConstruction", "1"),
    _index("graph-search", {"spec.index.hnsw.efSearch": 5000}, "efSearch", "4096"),
    _index("recall-k", {"spec.objectives.recall.k": 0}, "recall.k", "1"),
    _index("recall-min", {"spec.objectives.recall.min": "95"}, "recall.min", "match"),
    _index("replicas", {"spec.replicas": 0}, "spec.replicas", "1"),
    _index("deadline", {"spec.build.activeDeadlineSeconds": 0}, "activeDeadlineSeconds", "1"),
    _index("template", {"spec.template.image": ""}, "template.image"),
    _index("typo", {"spec.shard": 2}, "spec.shard"),
)

_SCALING = "spec.serving.autoscaling"
_AUTOSCALING = (
    _model("scaling-most-missing", {_SCALING: {}}, "maxReplicas", "Required"),
    _model("scaling-zero", {_SCALING: {"minReplicas": 0, "maxReplicas": 2}}, "minReplicas"),
    _model(
        "scaling-crossed",
        {_SCALING: {"minReplicas": 3, "maxReplicas": 2}},
        "`minReplicas`",
        "at most `maxReplicas`",
    ),
    _model(
        "scaling-target",
        {_SCALING: {"maxReplicas": 2, "targetCPUUtilizationPercentage": 0}},
        "targetCPUUtilizationPercentage",
    ),
    _model(
        "scaling-behaviour",
        {_SCALING: {"maxReplicas": 2, "behavior": {"scaleDownStabilizationSeconds": -1}}},
        "scaleDownStabilizationSeconds",
    ),
    _model(
        "scaling-typo",
        {_SCALING: {"maxReplicas": 2, "metrics": []}},
        "spec.serving.autoscaling.metrics",
    ),
    _model(
        "scaling-of-shared-pods",
        {_SCALING: {"maxReplicas": 2}, "spec.rollout.capacity": "ResourceAware"},
        "`rollout.capacity: ResourceAware`",
        "must not be set with `serving.autoscaling`",
    ),
)

_ORIGIN = "exactly one of `training`"
_LIVE_RECALL = {"name": "live", "type": "LiveRecall", "min": "0.9", "minSamples": 100}
_IMPORTS = (
    _import("with-training", {"spec.training": GOOD_MODEL["spec"]["training"]}, _ORIGIN),
    _import("of-nothing", {"spec.artifact": MISSING, "spec.evaluation": MISSING}, _ORIGIN),
    _import("digest-missing", {"spec.artifact.digest": MISSING}, "artifact.digest", "Required"),
    _import("digest-short", {"spec.artifact.digest": BAD_DIGEST}, "artifact.digest", "sha256"),
    _import("uri-missing", {"spec.artifact.uri": MISSING}, "artifact.uri", "Required"),
    _import("uri-dots", {"spec.artifact.uri": "file:///artifacts/../x"}, "`uri`", "root of a"),
    _import("uri-slash", {"spec.artifact.uri": "file:///artifacts/x/"}, "`uri`", "no slash"),
    _import("uri-elsewhere", {"spec.artifact.uri": "file:///x"}, "`artifact.uri`", "lie below"),
    _import("uri-beside", {"spec.artifact.uri": "file:///artifacts2"}, "`artifact.uri`", "below"),
    _import(
        "uri-of-another-bucket",
        {
            "spec.artifacts": BUCKET,
            "spec.artifact.uri": "s3://other/store",
            "spec.evaluation.data.uri": "s3://lockstep/held-out.npz",
        },
        "`artifact.uri`",
        "bucket",
    ),
    _import("attempts", {"spec.artifact.maxAttempts": 0}, "maxAttempts"),
    _import("deadline", {"spec.artifact.activeDeadlineSeconds": 0}, "activeDeadlineSeconds"),
    _import("typo", {"spec.artifact.template": {}}, "spec.artifact.template"),
    _import("data-missing", {"spec.evaluation": {}}, "evaluation.data", "Required"),
    _import(
        "data-elsewhere",
        {"spec.evaluation.data.uri": "file:///x/y.npz"},
        "`evaluation.data.uri`",
        "lie below",
    ),
    _import("unmeasured-recall", {"spec.evaluation": MISSING}, "`evaluation.data`", "`Recall`"),
    _import(
        "unmeasured-live-recall",
        {"spec.evaluation": MISSING, "spec.rollout.gates": [_LIVE_RECALL]},
        "`evaluation.data`",
        "`LiveRecall`",
    ),
    _model(
        "trained-and-evaluated",
        {"spec.evaluation": GOOD_IMPORT["spec"]["evaluation"]},
        "`evaluation`",
        "with `training`",
    ),
)

SERVER_REFUSES = (
    *_NAMES,
    *_ARTIFACTS,
    *_DATA,
    *_TRAINING,
    *_IMPORTS,
    *_AUTOSCALING,
    *_PODS,
    *_ROLLOUT,
    *_INDEXES,
)

OPERATOR_REFUSES = (
    OperatorRefusal(
        "dangling-model",
        "VectorIndex",
        ("modelRef.name", "nowhere"),
        index={"spec.modelRef.name": "nowhere"},
    ),
    OperatorRefusal("no-index", "EmbeddingModel", ("VectorIndex", "modelRef"), index=None),
    OperatorRefusal(
        "source-outside-the-volume",
        "VectorIndex",
        ("source.uri", "artifacts.uri"),
        index={"spec.source.uri": "file:///elsewhere/glyphs.npz"},
    ),
    OperatorRefusal(
        "source-in-another-kind-of-store",
        "VectorIndex",
        ("source.uri", "artifacts.uri"),
        index={"spec.source.uri": "s3://bucket/glyphs.npz"},
    ),
    OperatorRefusal(
        "claim-missing",
        "EmbeddingModel",
        ("no-such-claim", "`spec.artifacts.claimName`"),
        model={"spec.artifacts.claimName": "no-such-claim"},
    ),
    OperatorRefusal(
        "secret-missing",
        "EmbeddingModel",
        ("no-such-secret", "`spec.artifacts.secretRef`"),
        model={
            "spec.artifacts": {**BUCKET, "secretRef": {"name": "no-such-secret"}},
            "spec.training.data.uri": "s3://lockstep/glyphs.npz",
        },
        index={"spec.source.uri": "s3://lockstep/glyphs.npz"},
    ),
    OperatorRefusal(
        "image-missing",
        "EmbeddingModel",
        ("lockstep.invalid/trainer:none", "`spec.training.template`.image"),
        model={f"{_TEMPLATE}.image": "lockstep.invalid/trainer:none"},
    ),
    OperatorRefusal(
        "priority-class-missing",
        "EmbeddingModel",
        ("no PriorityClass with name no-such-priority", "`spec.training.template`.priorityClass"),
        model={f"{_TEMPLATE}.priorityClassName": "no-such-priority"},
    ),
    OperatorRefusal(
        "data-missing",
        "EmbeddingModel",
        ("training.data.uri",),
        model={"spec.training.data.uri": "file:///artifacts/datasets/none.npz"},
    ),
    OperatorRefusal(
        "data-changed",
        "EmbeddingModel",
        ("training.data.digest",),
        model={"spec.training.data.digest": GOOD_DIGEST},
    ),
)
