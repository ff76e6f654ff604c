"""Names that the operator's manifests and the programs share."""

CONFIG_VARIABLE = "LOCKSTEP_CONFIG"
"""The program's config as JSON; `--config FILE` is the same outside a cluster."""

CANARY_VARIABLE = "LOCKSTEP_CANARY"
"""What an encoder of a candidate is told beside its config (`CanaryConfig`, JSON).

Not a field of the config: a release keeps the images that it was made with, and an encoder of
before this variable refuses a field that it does not know.
"""

DEFAULT_INDEX_VARIABLE = "LOCKSTEP_DEFAULT_INDEX"
"""Of the several indexes of an encoder the one that answers a search which names none.

As above no field of the config.
"""

MONITOR_VARIABLE = "LOCKSTEP_MONITOR"
"""What an encoder is told of the monitor beside it (`TapConfig`), and the config of a monitor
(`MonitorConfig`), JSON.

As above no field of the encoder's config.
"""

TERMINATION_PATH = "/dev/termination-log"
TERMINATION_PATH_VARIABLE = "LOCKSTEP_TERMINATION_PATH"
TERMINATION_LIMIT = 4096

SERVING_PORT = 8080
"""HTTP of the encoder and of the index server: API, /healthz, /readyz and /metrics."""

PROGRESS_PORT = 9100
"""HTTP of a Job's pod: /progress (JSON) and /metrics."""

MONITOR_PORT = 9102
"""HTTP of the monitor beside an encoder: /v1/sketch, /v1/baseline, /v1/bets, /v1/report, /metrics
and /healthz."""

RENDEZVOUS_PORT = 29500
"""TCP of pod 0 of a training with several pods: where its processes meet."""

PROGRAM_UID = 65532
