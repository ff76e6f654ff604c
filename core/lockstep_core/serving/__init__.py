"""What the encoder and the index server share as HTTP servers. The operator does not import it.

`serve.run_server` runs a program: it reads the config, listens at once (`/healthz`, `/readyz`,
`/metrics`), loads, checks, becomes Ready, and drains on SIGTERM. Every response carries the
identity of who gave it; every error is JSON in OpenAI's shape.
"""
