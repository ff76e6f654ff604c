"""What the numbers of a report mean, for somebody who sees them for the first time."""

from __future__ import annotations

from typing import Any

from lockstep_core.protocol.result import FindingName

COLUMNS = {
    "trained": "trained",
    "serving": "serving now",
    "untrained": "untrained",
    "raw": "no encoder",
}

METRICS = (
    ("recallAt1", "recall@1", "the nearest item is of the same class"),
    ("recallAt5", "recall@5", "of the items to find, so many are among the nearest 5"),
    ("recallAt10", "recall@10", "the same, of the nearest 10"),
    ("precisionAt5", "precision@5", "of the nearest 5, so many are of the same class"),
    ("precisionAt10", "precision@10", "the same, of the nearest 10"),
    ("mapAtR", "MAP@R", "order among the first R, R being how many there are to find"),
    ("map", "mAP", "order of all items to find among all others"),
    ("mrr", "MRR", "1 / rank of the first item of the same class"),
    ("verification.eer", "EER", "error of the best threshold for “same class?”; lower is better"),
    ("verification.threshold", "… its cosine", "pairs from this cosine on count as one class"),
    (
        "verification.fnmrAtFMR.0.fnmr",
        "FNMR at 1 % FMR",
        "pairs of one class that are missed when 1 % of the others pass; lower is better",
    ),
    ("verification.fnmrAtFMR.1.fnmr", "FNMR at 0.1 % FMR", "the same, when 0.1 % pass"),
    ("variance", "variance", "near 0 the embeddings have collapsed onto one point"),
    ("meanCosine", "mean cosine", "of two items; near 1 they have collapsed"),
    ("effectiveRank", "effective rank", "dimensions that are in use"),
)
"""Path within a column of `quality`, name, and what it is."""

FINDINGS = {
    FindingName.COLLAPSE: "Items fall onto one point",
    FindingName.SLOW_CONVERGENCE: "It hardly learns",
    FindingName.OVERFITTING: "It knows its training items too well",
    FindingName.NOISY_NEGATIVES: "Labels look wrong",
    FindingName.BUDGET: "Time is short",
}


def verdict(report: dict[str, Any]) -> tuple[str, str]:
    """("good" or "bad", one sentence): is the encoder better than what it has to beat?"""
    quality = report["quality"]
    own = quality["trained"]["recallAt1"]
    beaten = {name: quality[name]["recallAt1"] for name in COLUMNS if name in quality}
    del beaten["trained"]
    best = max(beaten, key=lambda name: beaten[name])
    alternative = {
        "serving": "the model that serves now",
        "untrained": "the same encoder untrained",
        "raw": "no encoder at all",
    }[best]
    if own > beaten[best]:
        return "good", f"Better than {alternative}, the best alternative ({beaten[best]:.3f})."
    relation = "Worse than" if own < beaten[best] else "No better than"
    return "bad", f"{relation} {alternative} ({beaten[best]:.3f}): it should not be served."


def held_out(report: dict[str, Any]) -> str:
    """Which items the numbers are of."""
    split = report["training"]["data"].get("split", {}).get("by", "Class")
    size = report["dataset"]["heldOut"]
    how = {
        "Class": "None of these classes was trained on",
        "Group": "None of their groups was trained on",
        "Hash": "Their classes may have been trained on, these items were not",
    }[split]
    return f"{size['items']:,} held-out items of {size['classes']:,} classes. {how}."
