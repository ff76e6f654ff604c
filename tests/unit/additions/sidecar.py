"""A toy sidecar: a proxy that others make, beside every encoder."""

from tests.unit.additions.edits import Addition, after, before, instead

PROGRAMS = "operator/lockstep_operator/manifests/programs.py"
SERVING = "operator/lockstep_operator/manifests/serving.py"

ADDITION = Addition(
    what="a sidecar",
    changes=(
        instead(
            PROGRAMS,
            "PROGRAMS = (TRAINER, ENCODER, INDEXER, MONITOR)",
            """
PROXY = ProgramImage("proxy", "stands beside encoders", container="proxy", built=False)

PROGRAMS = (TRAINER, ENCODER, INDEXER, MONITOR, PROXY)
""",
        ),
        instead(
            SERVING,
            "from lockstep_operator.manifests.pods import HTTP_PORT, ProgramSpec",
            "from lockstep_operator.manifests.pods import HTTP_PORT, ProgramSpec, Sidecar",
        ),
        instead(
            SERVING,
            "from lockstep_operator.manifests.programs import ENCODER, INDEXER",
            "from lockstep_operator.manifests.programs import ENCODER, INDEXER, PROXY",
        ),
        instead(
            SERVING,
            "        sidecars=monitor_sidecars(model, release),",
            "        sidecars=(*monitor_sidecars(model, release), *_proxy(release)),",
        ),
        before(
            SERVING,
            "def encoder_config(release: Release) -> EncoderConfig:",
            """
def _proxy(release: Release) -> tuple[Sidecar, ...]:
    if release.spec.images.proxy is None:
        return ()
    image, requests = PROXY.of(release.spec.images), {"cpu": "10m", "memory": "32Mi"}
    return (Sidecar(PROXY.container, image, ("proxy", "--run"), requests),)


""",
        ),
        after(
            "charts/lockstep/values.yaml",
            """
    repository: lockstep/monitor
    tag: ""
    digest: ""
""",
            """
  proxy:
    repository: others/proxy
    tag: "1.2"
    digest: ""
""",
        ),
        before(
            "charts/lockstep/values.schema.json",
            '        "indexer": {',
            """
        "proxy": {
          "type": "object",
          "additionalProperties": false,
          "properties": {
            "repository": {
              "type": "string",
              "minLength": 1
            },
            "tag": {
              "type": "string",
              "pattern": "^[A-Za-z0-9_.-]{0,128}$"
            },
            "digest": {
              "type": "string",
              "pattern": "^(sha256:[0-9a-f]{64})?$"
            }
          }
        },
""",
        ),
        instead(
            "charts/lockstep/README.md",
            "| `programs.trainer`, `.encoder`, `.indexer`, `.monitor` | `lockstep/<program>`,"
            " `image.tag` | images that new releases run: `repository`, `tag`, `digest` |",
            "| `programs.trainer`, `.encoder`, `.indexer`, `.monitor`, `.proxy` |"
            " `lockstep/<program>`, `image.tag` |"
            " images that new releases run: `repository`, `tag`, `digest` |",
        ),
    ),
    beside=(
        after(
            "operator/lockstep_operator/api/release.py",
            "    monitor: ImageReference | None = None",
            "    proxy: ImageReference | None = None",
        ),
    ),
)
