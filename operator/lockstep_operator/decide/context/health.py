"""The health of a release: its encoder, each index's servers, and their Services."""

from __future__ import annotations

from dataclasses import dataclass, field

from lockstep_operator.api.objects import Object

BEING_MADE = " is being made"
# A release may carry 32 indexes: the first lines are enough.
LINES_SHOWN = 6
PODS_SHOWN = 2


@dataclass(frozen=True)
class PodTrouble:
    """A pod that is not ready, and why. `reason` is empty where it only takes its time.

    `container` is the one whose log tells more, None where none ever ran; `previous`: the log of
    the time before.
    """

    pod: str
    reason: str = ""
    container: str | None = None
    previous: bool = False


@dataclass
class ReleaseHealth:
    """The state of a release's children, and what would bring them to what they should be.

    `ready`: all are as they should be, with all replicas ready. `serving`: at least one encoder
    and one server of each index answer. `rolling`: some are on their way to another template.
    `ready_pods` of `wanted_pods` are the encoder's. `missing`: a line for each thing that is not
    as it should be. `unready`: the pods of its workloads that are not ready; `troubled`: those of
    the lines in `missing` that tell why one is not.
    `conflicts`: a sentence for each child whose name belongs to someone else.
    `to_apply`: manifests of children that are absent or differ. `awaits_removal`: children of a
    deleted release still hold names of ours.
    """

    ready: bool = True
    serving: bool = True
    rolling: bool = False
    ready_pods: int = 0
    wanted_pods: int = 0
    missing: list[str] = field(default_factory=list)
    unready: list[PodTrouble] = field(default_factory=list)
    troubled: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    to_apply: list[Object] = field(default_factory=list)
    awaits_removal: bool = False

    @property
    def conflict(self) -> str | None:
        """The first name that belongs to someone else."""
        return next(iter(self.conflicts), None)

    def add_missing(self, line: str) -> None:
        """Something is not as it should be."""
        self.ready = False
        self.missing.append(line)

    def add_unready(self, line: str, pods: list[PodTrouble]) -> None:
        """A workload lacks pods: why is part of its line, of the first `PODS_SHOWN` that say so."""
        self.unready.extend(pods)
        why = [pod.reason for pod in pods if pod.reason]
        if why:
            more = f" and {len(why) - PODS_SHOWN} more" if len(why) > PODS_SHOWN else ""
            line = f"{line}: {', '.join(why[:PODS_SHOWN])}{more}"
            self.troubled.append(line)
        self.add_missing(line)

    def sentence(self) -> str:
        """What is missing, of bounded length; children that are only being made share a clause."""
        made = [line.removesuffix(BEING_MADE) for line in self.missing if line.endswith(BEING_MADE)]
        lines = [line for line in self.missing if not line.endswith(BEING_MADE)]
        if made:
            shown = ", ".join(made[:LINES_SHOWN])
            more = f" and {len(made) - LINES_SHOWN} more" if len(made) > LINES_SHOWN else ""
            lines.append(f"{shown}{more} {'is' if len(made) == 1 else 'are'} being made")
        shown_lines = lines[:LINES_SHOWN]
        if len(lines) > LINES_SHOWN:
            shown_lines.append(f"and {len(lines) - LINES_SHOWN} more")
        return "; ".join(shown_lines)
