"""What an encoder says of all that it embedded, as differences from one datagram to the next."""

from __future__ import annotations

from dataclasses import dataclass

from lockstep_core.protocol.monitoring import Header, TrafficRole


@dataclass(frozen=True)
class _Said:
    process: int
    observed: int
    sampled: int
    dropped: int


class Totals:
    """Counters of one encoder, by role. They begin anew with its process."""

    def __init__(self) -> None:
        self._said: dict[TrafficRole, _Said] = {}
        self._known = False

    def since(self, header: Header) -> tuple[int, int]:
        """Embeddings since the last datagram of this role that were not chosen, and that were
        chosen and lost. Of what came before this monitor knew any encoder nothing is counted: it
        was another window's."""
        before = self._said.get(header.role)
        now = _Said(header.process, header.observed, header.sampled, header.dropped)
        self._said[header.role] = now
        if before is None or before.process != header.process:
            first, self._known = not self._known, True
            if first:
                return 0, 0
            before = _Said(header.process, 0, 0, 0)
        # Counters of one process only rise: what does not is no datagram of ours.
        passed = (now.observed - before.observed) - (now.sampled - before.sampled)
        return max(0, passed), max(0, now.dropped - before.dropped)
