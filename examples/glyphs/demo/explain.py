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


def after(act: Act, found: Snapshot) -> str:
    """What became of the act's release, and what to know of it."""
    status = _record(found, act.number)
    if act.is_bad:
        return _stopped(act, found, status)
    gates = [f"  {gate.name}: {gate.line}" for gate in gates_of(status)]
    kept = _kept(found)
    told = f"{act.name} answers all requests." + (
        f" {kept} is kept whole and warm: back to it is one move." if kept else ""
    )
    return "\n".join([told, *gates])


def status_of(found: Snapshot) -> str:
    """The model's message with its commands, each on a line of its own."""
    message, commands = split_message((found.model.get("status") or {}).get("message") or "")
    told = [message, *(f"  {each.label}: {each.command}" for each in commands)]
    return "\n".join(part for part in told if part)


def what_next(found: Snapshot, kubeconfig: str, tools: str) -> str:
    """Commands for the state that the model is in."""
    stable = _stable(found)
    newest = max(found.releases, key=lambda release: int(release["spec"]["number"]))
    is_stopped = story.stage_of(story.COLLAPSE, found.model, (newest,)) == "Failed"
    text = NEXT + ROLLBACK * bool(_kept(found)) + WAY_OUT * is_stopped + REMOVE
    return text.format(
        kubeconfig=kubeconfig,
        tools=tools,
        namespace=NAMESPACE,
        model=MODEL,
        stable=stable,
        kept=_kept(found),
        way_out=story.WAY_OUT,
    )


def _stopped(act: Act, found: Snapshot, status: Object) -> str:
    stable = _stable(found)
    ours, theirs = (_variance(s) for s in (status, _record(found, int(stable[1:]))))
    geometry = ""
    if ours is not None and theirs is not None:
        geometry = (
            f" The variance of its embeddings of unseen characters is {ours:.3f}, near 0, where all"
            f" are one point; that of {stable} is {theirs:.3f}."
        )
    return (
        f"{act.name} was stopped before it answered anyone; {stable} serves.{geometry}\n"
        f"The status says why, and what to do:\n{status_of(found)}"
    )


def _variance(status: Object) -> float | None:
    found = (status.get("evaluation") or {}).get("variance")
    return None if found is None else float(found)


def _record(found: Snapshot, number: int) -> Object:
    """The status of release `number`; empty where it is gone."""
    records = (r for r in found.releases if r["spec"]["number"] == number)
    return dict(next((r.get("status") or {} for r in records), {}))


def _stable(found: Snapshot) -> str:
    return short_name(found.model["status"]["stable"]["release"])


def _kept(found: Snapshot) -> str | None:
    """The newest release that is kept for a rollback."""
    kept = [r for r in found.releases if (r.get("status") or {}).get("stage") == "Retained"]
    return short_name(kept[-1]["metadata"]["name"]) if kept else None
