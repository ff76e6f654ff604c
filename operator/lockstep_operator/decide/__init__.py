"""The rules of a release, pure: one snapshot in, one plan out.

One package per concern, each importing only those below it: `status` (what the statuses say),
`releases` (which exist, what people ask of them, what is kept), `stages` (one module per stage),
`workloads` (pods of a release), `gates` (verdicts), `traffic` (the entry point and the routers),
`jobs` (Jobs and their attempts), `context` (the pass in progress), `snapshot` (what was observed),
`vocabulary` (times, reasons, conditions, hashes). `stage_table` has what holds of each stage.
"""

from lockstep_operator.decide.decide import decide

__all__ = ["decide"]
