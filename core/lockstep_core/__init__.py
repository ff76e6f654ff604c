"""What two or more of Lockstep's programs must agree on, and nothing else."""

import os

# onnxruntime's official builds report models, sessions and a device identifier to their vendor from
# the moment of import. A private model must not be announced: off, unless someone turns it on.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
