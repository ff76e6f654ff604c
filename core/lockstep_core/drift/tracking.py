"""One policy over the stream of a release: a baseline is learned, then every window is judged.

Pure: a state, the merged sketches of a closed window and the parameters give the state after it,
and what there is to report. The state survives a restart (`tracking_records`): after any window it
may be written and read, and goes on to the same result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lockstep_core.drift.baseline import Baseline
from lockstep_core.drift.bet import Bet
from lockstep_core.drift.role_tracking import RoleState, step_role
from lockstep_core.drift.sketch import Sketch
from lockstep_core.protocol.drift import BaselineKind, Parameters, RoleReport
from lockstep_core.protocol.monitoring import TrafficRole


@dataclass(frozen=True, eq=False)
class TrackingState:
    """Bets carry `key` and their role. `window` is the last that was counted, `reports` what it
    showed."""

    key: str
    release: str
    baseline: BaselineKind
    window_seconds: int
    epoch: str
    features_digest: str | None = None
    window: int | None = None
    roles: Mapping[TrafficRole, RoleState] = field(default_factory=dict)
    reports: tuple[RoleReport, ...] = ()

    def fits(self, parameters: Parameters) -> bool:
        """Whether what was learned is of this release, of windows of this length and of this
        epoch."""
        return (self.release, self.baseline, self.window_seconds, self.epoch) == (
            parameters.release,
            parameters.baseline,
            parameters.window_seconds,
            parameters.epoch,
        )

    @property
    def coming_bets(self) -> tuple[Bet, ...]:
        """What pods are to be told for the windows to come."""
        held = (state.evidence for _, state in sorted(self.roles.items()))
        bets = (one.coming_bet for one in held if one is not None)
        return tuple(bet for bet in bets if bet is not None)


def begin(key: str, parameters: Parameters) -> TrackingState:
    """Nothing is known yet."""
    return TrackingState(
        key,
        parameters.release,
        parameters.baseline,
        parameters.window_seconds,
        parameters.epoch,
    )


def step(
    state: TrackingState,
    window: int,
    sketches: Mapping[TrafficRole, Sketch],
    parameters: Parameters,
    held_out: Baseline | None = None,
) -> TrackingState:
    """After one more closed window, all of whose sketches were merged; a role that had no traffic
    has none. `held_out` is the baseline of the artifact, where that is compared with.

    A window that is not after the last one changes nothing. Sketches of other features than before
    begin anew: the release was made again under its name.
    """
    if not state.fits(parameters):
        state = begin(state.key, parameters)
    if state.window is not None and window <= state.window:
        return state
    digest = next((sketch.features_digest for sketch in sketches.values()), state.features_digest)
    if state.features_digest not in (None, digest):
        state = begin(state.key, parameters)
    roles, reports = dict[TrafficRole, RoleState](), []
    for role in parameters.roles:
        before, sketch = state.roles.get(role, RoleState()), sketches.get(role)
        after, report = step_role(
            f"{state.key}-{role}", role, before, window, sketch, parameters, held_out
        )
        roles[role] = after
        reports.append(report)
    return replace(
        state, features_digest=digest, window=window, roles=roles, reports=tuple(reports)
    )
