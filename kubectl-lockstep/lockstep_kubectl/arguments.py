"""The command line, with help that teaches."""

from __future__ import annotations

import argparse

EXAMPLES = """examples:
  kubectl lockstep status                    every model of the namespace, as trees
  kubectl lockstep status glyphs --watch     one model, until you press Ctrl-C
  kubectl lockstep promote glyphs            let the candidate pass what it waits for
  kubectl lockstep abort glyphs              give the candidate up; stable keeps serving
  kubectl lockstep rollback glyphs           back to the release before, in one move
  kubectl lockstep rollback glyphs r7        back to r7, where it is still kept
  kubectl lockstep retry glyphs              try the failed stage again
  kubectl lockstep pause glyphs              hold the candidate before its next stage or step
  kubectl lockstep resume glyphs             let it go on
  kubectl lockstep history glyphs            what became of each release
  kubectl lockstep gates glyphs r8           each gate of r8: number, bound, verdict
  kubectl lockstep recall glyphs             do its indexes find what exact search finds?

exit codes: 0 done or accepted, 1 refused or not possible, 2 a wrong command line,
3 the operator did not answer in time.
"""

RECALL = """\
Index recall@k of live searches: the share of the k nearest neighbours, by exact search with the
same encoder, that the index returned. It says nothing about whether the neighbours are good ones.

Monitors beside the encoders ask about a sample of live searches, one a second and pod at most
(`spec.monitoring.recall` of the model). Nothing is asked by this command: it adds up what they
counted within the last day, and asks them through the API server (right: get pods/proxy).

examples:
  kubectl lockstep recall glyphs                     all indexes, all that the pods keep
  kubectl lockstep recall glyphs --queries 700       the newest windows with 700 searches
  kubectl lockstep recall glyphs --index songs -o json

An interval below the bound of a DriftPolicy (`spec.recall.min`) is its `RecallBelow`; what to do
then: docs/runbooks/recall-low.md.
"""

VERBS = {
    "promote": (
        "let a release pass the pause or the gate that it waits at",
        "The candidate, unless RELEASE names another one. Where approvals live in Git, set"
        " `spec.rollout.approvedRelease` instead.",
    ),
    "abort": (
        "give a release up; stable keeps serving",
        "The candidate, unless RELEASE names another one. Its traffic goes back to stable first.",
    ),
    "rollback": (
        "move the entry point back to a release that is kept",
        "The newest release that is kept whole, unless RELEASE names another one. The spec is not"
        " changed: revert it where it is kept, or the rolled back release stays what it asks for.",
    ),
    "retry": (
        "try a failed or aborted release again, or measure an undecided gate anew",
        "The release that waits or failed last, unless RELEASE names another one. What was trained"
        " and built is used again.",
    ),
    "pause": (
        "hold a release before its next stage or step",
        "The candidate, unless RELEASE names another one. Running Jobs end; traffic stays as it"
        " is. `spec.rollout.paused` does the same for every candidate.",
    ),
}


def parser() -> argparse.ArgumentParser:
    """All verbs and their options."""
    command_line = argparse.ArgumentParser(
        prog="kubectl lockstep",
        description="Releases of embedding models, each with its indexes, as one unit: what"
        " happens, what serves, and the verbs that a status offers.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = command_line.add_subparsers(dest="verb", metavar="VERB", required=True)
    _status(verbs)
    for verb, (what, more) in VERBS.items():
        one = _verb(verbs, verb, what, f"{what[0].upper()}{what[1:]}. {more}")
        one.add_argument("name", metavar="NAME", help="the EmbeddingModel, as `glyphs`")
        one.add_argument("release", metavar="RELEASE", nargs="?", help="as `r2`")
        _waiting(one)
    resume = _verb(verbs, "resume", "let a paused release go on", None)
    resume.add_argument("name", metavar="NAME", help="the EmbeddingModel")
    _waiting(resume)
    history = _verb(verbs, "history", "what became of each release", None)
    history.add_argument("name", metavar="NAME", help="the EmbeddingModel")
    _recall(verbs)
    gates = _verb(verbs, "gates", "each gate: number, bound, verdict and what to do", None)
    gates.add_argument("name", metavar="NAME", help="the EmbeddingModel")
    gates.add_argument(
        "release",
        metavar="RELEASE",
        nargs="?",
        help="as `r2`; unset: the one that is judged, or just failed",
    )
    return command_line


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    what: str,
    more: str | None,
) -> argparse.ArgumentParser:
    one = verbs.add_parser(name, help=what, description=more or f"{what[0].upper()}{what[1:]}.")
    one.add_argument(
        "-n", "--namespace", help="that of the kubeconfig's context, or of this pod, when unset"
    )
    one.add_argument("--context", help="context of the kubeconfig")
    one.add_argument(
        "--kubeconfig",
        help="one file; as kubectl does, $KUBECONFIG, ~/.kube/config or a pod's account when unset",
    )
    one.add_argument(
        "-o", "--output", choices=["text", "json"], default="text", help="`json` for scripts"
    )
    return one


def _status(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    status = _verb(
        verbs,
        "status",
        "a model as a tree: releases, weights, Jobs with progress, pods, gates, what to do",
        None,
    )
    status.add_argument("name", metavar="NAME", nargs="?", help="all models when unset")
    status.add_argument(
        "-A", "--all-namespaces", action="store_true", help="models of all namespaces"
    )
    status.add_argument("-w", "--watch", action="store_true", help="again and again, until Ctrl-C")
    status.add_argument(
        "--interval", type=_seconds, default=1.0, help="seconds between two looks (1)"
    )


def _recall(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    recall = _verb(verbs, "recall", "do the indexes find what exact search finds, live?", RECALL)
    recall.formatter_class = argparse.RawDescriptionHelpFormatter
    recall.add_argument("name", metavar="NAME", help="the EmbeddingModel")
    recall.add_argument("--index", help="one VectorIndex; all when unset")
    recall.add_argument(
        "--queries",
        type=_count,
        metavar="N",
        help="the newest windows with N searches; all that the pods keep when unset",
    )


def _waiting(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "--timeout",
        type=_seconds,
        default=30.0,
        help="seconds to wait for the operator's answer (30)",
    )


def _count(text: str) -> int:
    if not text.isdecimal() or len(text) > 9 or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} must be a number, 1 or more")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text} must be a number of seconds, up to 3600")
    return seconds
