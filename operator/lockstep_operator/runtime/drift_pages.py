"""What one pod tells of its closed windows, page by page; what the pods agree on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lockstep_core.protocol.monitoring import MAX_ANSWERED_WINDOWS
from lockstep_operator.decide.snapshot.measurements import Target
from lockstep_operator.runtime.monitors import Expected, Monitors
from lockstep_operator.runtime.probing import ProbeError


@dataclass(frozen=True)
class Told:
    """Sketches as JSON of the windows up to `until`, and the features that they should be of."""

    target: Target
    wires: tuple[Any, ...] = ()
    until: int = -1
    digest: str | None = None


async def told_by(
    monitors: Monitors, target: Target, *, after: int, closed: int, history: int, expected: Expected
) -> Told | ProbeError:
    """All windows above `after` up to `closed`, of which there are at most `history`."""
    wires, digest = list[Any](), None
    try:
        for _ in range(-(-history // MAX_ANSWERED_WINDOWS) + 1):
            if after >= closed:
                break
            answer = await monitors.sketches(target, after, expected)
            digest = answer.features_digest
            numbers = [int(wire.get("window", -1)) for wire in answer.sketches]
            pairs = zip(answer.sketches, numbers, strict=True)
            wires += [wire for wire, number in pairs if after < number <= closed]
            full = len(set(numbers)) >= MAX_ANSWERED_WINDOWS
            before, after = after, max(numbers) if full else answer.open_window - 1
            if not full or after <= before:
                break
    except ProbeError as error:
        return error
    except (TypeError, ValueError) as error:
        return ProbeError(f"pod {target.pod} gave no sketches ({type(error).__name__})")
    return Told(target, tuple(wires), min(after, closed), digest)


def common_features(told: Iterable[Told], known: str | None) -> str | None:
    """The features of the stream: those of before while a pod still has them, else what most pods
    have, the first of them by name."""
    digests = [one.digest for one in told if one.digest is not None]
    if known in digests or not digests:
        return known
    return Counter(digests).most_common(1)[0][0]
