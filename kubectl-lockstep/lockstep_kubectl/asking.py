"""Verbs: which release is meant, which annotation says so, and what the operator answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lockstep_core.protocol.verbs import Verb, annotation, fresh_token, number_of, short_name
from lockstep_kubectl.api import Api, Object, own_path
from lockstep_kubectl.gather import model_of
from lockstep_kubectl.view import split_message

POLL_SECONDS = 0.25


class CannotAsk(Exception):
    """Nothing was asked; the message says why, and what to do instead."""


@dataclass(frozen=True)
class Request:
    """One write: an annotation of a model. `value` None removes it."""

    verb: str
    namespace: str
    model: str
    release: str
    annotation: str
    value: str | None


@dataclass(frozen=True)
class Answer:
    """What the operator made of it. `accepted` is None when it said nothing in time."""

    request: Request
    accepted: bool | None
    outcome: str


def request_of(verb: Verb, model: Object, releases: Sequence[Object], named: str | None) -> Request:
    """The write that asks for a verb. Raises CannotAsk when no release can be meant."""
    short = named_release(model, releases, named) if named else _meant(verb, model, releases)
    annotations = model["metadata"].get("annotations") or {}
    key = annotation(verb)
    handled = (model.get("status") or {}).get("lastHandled") or ()
    used = [entry["value"] for entry in handled if entry["verb"] == verb]
    return Request(
        verb=verb,
        namespace=model["metadata"]["namespace"],
        model=model["metadata"]["name"],
        release=short,
        annotation=key,
        value=fresh_token(short, [*used, annotations.get(key, "")]),
    )


def resume_of(model: Object) -> Request:
    """The write that lets go of a pause. Raises CannotAsk when no annotation holds the release."""
    metadata, key = model["metadata"], annotation(Verb.PAUSE)
    value = (metadata.get("annotations") or {}).get(key)
    if value is None:
        raise CannotAsk(_why_not_resume(model))
    name = metadata["name"]
    number = number_of(value, name)
    short = value if number is None else f"r{number}"
    return Request("resume", metadata["namespace"], name, short, key, None)


def _why_not_resume(model: Object) -> str:
    metadata = model["metadata"]
    reason = f"nothing holds {metadata['name']} by `{annotation(Verb.PAUSE)}`"
    if ((model["spec"].get("rollout") or {}).get("paused")) is True:
        patch = '\'{"spec":{"rollout":{"paused":false}}}\''
        return (
            f"{reason}, but `spec.rollout.paused` is true. Change it where the spec is kept (Git),"
            f" or: kubectl patch em/{metadata['name']} -n {metadata['namespace']} --type=merge"
            f" -p {patch}"
        )
    status = model.get("status") or {}
    if status.get("phase") == "Paused":
        prose, commands = split_message(status.get("message") or "")
        offered = "; ".join(f"{each.label}: {each.command}" for each in commands)
        return f"{reason}. {prose} {offered}".strip()
    return f"{reason}; it is {status.get('phase') or 'Pending'}"


def ask(
    api: Api,
    request: Request,
    *,
    wait_seconds: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Answer:
    """Writes the annotation and waits for the operator's answer."""
    path = own_path("embeddingmodels", request.namespace, request.model)
    api.merge(path, {"metadata": {"annotations": {request.annotation: request.value}}})
    deadline = clock() + wait_seconds
    while True:
        answer = answer_of(request, model_of(api, request.namespace, request.model), api)
        if answer is not None:
            return answer
        if clock() >= deadline:
            return Answer(request, None, _silence(request, wait_seconds))
        sleep(POLL_SECONDS)


def answer_of(request: Request, model: Object, api: Api) -> Answer | None:
    """The answer, where there is one. A pause is a level: the release's record shows it."""
    for entry in (model.get("status") or {}).get("lastHandled") or ():
        if (entry["verb"], entry["value"]) == (request.verb, request.value):
            outcome = entry["outcome"]
            return Answer(request, not outcome.startswith("refused"), outcome)
    if request.verb in (Verb.PAUSE, "resume"):
        return _level(request, api)
    return None


def _level(request: Request, api: Api) -> Answer | None:
    name = f"{request.model}-{request.release}"
    record = api.get(own_path("embeddingreleases", request.namespace, name)).get("status") or {}
    reason = record.get("pauseReason")
    if request.verb == Verb.PAUSE and reason is not None:
        # It waits for something else already, and is held when that is over.
        return Answer(request, True, f"accepted: {request.release} is held ({reason})")
    if request.verb == "resume" and reason != "Paused":
        waits = f", and waits now: {reason}" if reason else ""
        return Answer(request, True, f"accepted: {request.release} goes on{waits}")
    return None


def _silence(request: Request, seconds: float) -> str:
    if request.verb == "resume":
        meanwhile = "`spec.rollout.paused` may hold it too"
    else:
        meanwhile = (
            f"{request.annotation}={request.value} is set and is acted on as soon as it does"
        )
    return (
        f"the operator did not answer within {seconds:g} s; {meanwhile}. Does it run?"
        " kubectl get deployments -A -l app.kubernetes.io/part-of=lockstep"
    )


def named_release(model: Object, releases: Sequence[Object], named: str) -> str:
    """The short name of a release that a person named. Raises CannotAsk with those there are."""
    number = number_of(named, model["metadata"]["name"])
    if number is None or all(release["spec"]["number"] != number for release in releases):
        raise CannotAsk(
            f'no release "{named}" of {model["metadata"]["name"]}: {_there_are(releases)}'
        )
    return f"r{number}"


def _there_are(releases: Sequence[Object]) -> str:
    if not releases:
        return "there is none yet"
    listed = [f"r{r['spec']['number']} ({_stage(r)})" for r in reversed(releases)]
    return f"there are {', '.join(listed)}"


def _stage(release: Object) -> str:
    return str((release.get("status") or {}).get("stage") or "Pending")


def _is_judged(release: Object) -> bool:
    """Whether it serves, and its gates after the promotion have not passed."""
    watch = (release.get("status") or {}).get("watch")
    return _stage(release) == "Serving" and watch is not None and watch.get("verdict") != "Pass"


def _meant(verb: Verb, model: Object, releases: Sequence[Object]) -> str:
    """The release that a verb means when nobody named one."""
    pointer = ((model.get("status") or {}).get("candidate") or {}).get("release")
    candidate = None if pointer is None else short_name(pointer)
    newest = releases[-1] if releases else None
    if verb is Verb.ROLLBACK:
        kept = next((r for r in reversed(releases) if _stage(r) == "Retained"), None)
        if kept is None:
            raise CannotAsk(
                f"no earlier release is kept whole to go back to: {_there_are(releases)}. Apply the"
                " spec that you want back; its model is reused where it passed its gates"
            )
        return f"r{kept['spec']['number']}"
    if candidate is not None:
        return candidate
    judged = next((r for r in releases if _is_judged(r)), None)
    if verb in (Verb.PROMOTE, Verb.RETRY) and judged is not None:
        return f"r{judged['spec']['number']}"
    if verb is Verb.RETRY and newest is not None and _stage(newest) in ("Failed", "Superseded"):
        return f"r{newest['spec']['number']}"
    instead = {
        Verb.ABORT: ". To leave what serves, use: kubectl lockstep rollback",
        Verb.RETRY: ", and the newest one did not fail",
    }.get(verb, "")
    raise CannotAsk(
        f"there is nothing to {verb}: no release of {model['metadata']['name']} is on its"
        f" way{instead} ({_there_are(releases)})"
    )
