"""What happened, in words: after each release, and at the end."""

from __future__ import annotations

from examples.glyphs.demo import story
from examples.glyphs.demo.cluster import MODEL, NAMESPACE
from examples.glyphs.demo.story import Act
from lockstep_core.protocol.verbs import short_name
from lockstep_kubectl.api import Object
from lockstep_kubectl.gather import Snapshot
from lockstep_kubectl.view import gates_of, split_message

NEXT = """
Try next, in another terminal:
  export KUBECONFIG={kubeconfig} PATH={tools}:$PATH
  kubectl lockstep status -n {namespace}
  kubectl lockstep history -n {namespace} {model}
  kubectl -n {namespace} describe em {model}
"""
ROLLBACK = """
Back to {kept}, which is kept whole and warm, in one move:
  kubectl lockstep rollback -n {namespace} {model}
"""
WAY_OUT = """
Take the bad change back; {stable} is what the spec then asks for, so nothing is trained:
  kubectl -n {namespace} patch em {model} --type=merge -p \\
    '{way_out}'
"""
REMOVE = """
Remove everything:
  make demo-down
"""


def after(act: Act, snapshot: Snapshot) -> str:
    """What became of the act's release, and what to know of it."""
    status = _record(snapshot, act.number)
    if act.is_bad:
        return _stopped(act, snapshot, status)
    gates = [f"  {gate.name}: {gate.line}" for gate in gates_of(status)]
    kept = _kept(snapshot)
    sentence = f"{act.name} answers all requests." + (
        f" {kept} is kept whole and warm: back to it is one move." if kept else ""
    )
    return "\n".join([sentence, *gates])


def status_of(snapshot: Snapshot) -> str:
    """The model's message with its commands, each on a line of its own."""
    message, commands = split_message((snapshot.model.get("status") or {}).get("message") or "")
    lines = [message, *(f"  {each.label}: {each.command}" for each in commands)]
    return "\n".join(line for line in lines if line)


def what_next(snapshot: Snapshot, kubeconfig: str, tools: str) -> str:
    """Commands for the state that the model is in."""
    stable = _stable(snapshot)
    newest = max(snapshot.releases, key=lambda release: int(release["spec"]["number"]))
    is_stopped = story.stage_of(story.COLLAPSE, snapshot.model, (newest,)) == "Failed"
    text = NEXT + ROLLBACK * bool(_kept(snapshot)) + WAY_OUT * is_stopped + REMOVE
    return text.format(
        kubeconfig=kubeconfig,
        tools=tools,
        namespace=NAMESPACE,
        model=MODEL,
        stable=stable,
        kept=_kept(snapshot),
        way_out=story.WAY_OUT,
    )


def _stopped(act: Act, snapshot: Snapshot, status: Object) -> str:
    stable = _stable(snapshot)
    ours, theirs = (_variance(s) for s in (status, _record(snapshot, int(stable[1:]))))
    geometry = ""
    if ours is not None and theirs is not None:
        geometry = (
            f" The variance of its embeddings of unseen characters is {ours:.3f}, near 0, where all"
            f" are one point; that of {stable} is {theirs:.3f}."
        )
    return (
        f"{act.name} was stopped before it answered anyone; {stable} serves.{geometry}\n"
        f"The status says why, and what to do:\n{status_of(snapshot)}"
    )


def _variance(status: Object) -> float | None:
    variance = (status.get("evaluation") or {}).get("variance")
    return None if variance is None else float(variance)


def _record(snapshot: Snapshot, number: int) -> Object:
    """The status of release `number`; empty where it is gone."""
    records = (r for r in snapshot.releases if r["spec"]["number"] == number)
    return dict(next((r.get("status") or {} for r in records), {}))


def _stable(snapshot: Snapshot) -> str:
    return short_name(snapshot.model["status"]["stable"]["release"])


def _kept(snapshot: Snapshot) -> str | None:
    """The newest release that is kept for a rollback."""
    kept = [r for r in snapshot.releases if (r.get("status") or {}).get("stage") == "Retained"]
    return short_name(kept[-1]["metadata"]["name"]) if kept else None
