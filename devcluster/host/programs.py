"""The Go programs of the host backend: what is built from which of our Go modules."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).resolve().parent.parent / "go"


@dataclass(frozen=True)
class Bundle:
    """YAML files of a required module (a glob in its folder), kept as one file `output`."""

    output: str
    module: str
    glob: str


@dataclass(frozen=True)
class Trim:
    """One file of a required module that a file of ours replaces: `<name>.in` beside go.mod."""

    module: str
    file: str

    @property
    def replacement(self) -> str:
        return f"{Path(self.file).name}.in"


@dataclass(frozen=True)
class Edit:
    """A text in one file of a required module, and what is built instead of it."""

    module: str
    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Program:
    """A Go module of ours, the packages to build from it, and what it costs when cold: time, and
    GB of Go's caches."""

    module: str
    packages: tuple[str, ...]
    outputs: tuple[str, ...]
    cold: str
    gigabytes: float
    version_of: str = ""
    version_variables: tuple[str, ...] = ()
    bundles: tuple[Bundle, ...] = ()
    changes: tuple[Trim | Edit, ...] = ()


_KUBERNETES = Program(
    "kubernetes",
    (".",),
    ("kubernetes",),
    "10 minutes",
    3.5,
    "k8s.io/kubernetes",
    # Without a version in these variables clients misread the server's version.
    (
        "k8s.io/component-base/version.gitVersion",
        "k8s.io/client-go/pkg/version.gitVersion",
    ),
)
_BUILDKIT = Program(
    "buildkit",
    (
        "github.com/moby/buildkit/cmd/buildctl",
        "github.com/moby/buildkit/cmd/buildkitd",
    ),
    ("buildctl", "buildkitd"),
    "3 minutes",
    1.5,
)
_VERSITYGW = Program(
    "versitygw",
    ("github.com/versity/versitygw/cmd/versitygw",),
    ("versitygw",),
    "2 minutes",
    1.0,
)
_TRAEFIK = Program(
    "traefik",
    ("github.com/traefik/traefik/v3/cmd/traefik",),
    ("traefik",),
    "4 minutes",
    2.5,
    "github.com/traefik/traefik/v3",
    ("github.com/traefik/traefik/v3/pkg/version.Version",),
    bundles=(
        Bundle(
            "gateway-crds",
            "sigs.k8s.io/gateway-api",
            "config/crd/standard/gateway.networking*.yaml",
        ),
        Bundle(
            "traefik-crds",
            "github.com/traefik/traefik/v3",
            "docs/content/reference/dynamic-configuration/kubernetes-crd-definition-v1.yml",
        ),
    ),
    changes=(Trim("github.com/go-acme/lego/v4", "providers/dns/zz_gen_dns_providers.go"),),
)
_METRICS_SERVER = Program(
    "metrics-server",
    ("sigs.k8s.io/metrics-server/cmd/metrics-server",),
    ("metrics-server",),
    "3 minutes",
    1.0,
    "sigs.k8s.io/metrics-server",
    ("sigs.k8s.io/metrics-server/pkg/version.gitVersion",),
)

_EG = "github.com/envoyproxy/gateway"
_ENVOY_GATEWAY = Program(
    "envoy-gateway",
    (f"{_EG}/cmd/envoy-gateway",),
    ("envoy-gateway",),
    "6 minutes",
    2.5,
    _EG,
    (f"{_EG}/internal/cmd/version.envoyGatewayVersion",),
    bundles=(
        Bundle(
            "envoy-gateway-crds",
            _EG,
            "charts/gateway-helm/charts/crds/crds/generated/*.yaml",
        ),
    ),
    # It reads its certificates in the root of a container; here, in the folder that it runs in.
    changes=tuple(
        Edit(_EG, f"internal/{file}.go", '"/certs', '"certs')
        for file in (
            "xds/runner/runner",
            "gatewayapi/runner/runner",
            "provider/kubernetes/kubernetes",
        )
    ),
)

PROGRAMS = {
    program.module: program
    for program in (
        _KUBERNETES,
        _BUILDKIT,
        Program("coredns", (".",), ("coredns",), "2 minutes", 1.0),
        _VERSITYGW,
        Program("pause", (".",), ("pause",), "seconds", 0.1),
        _METRICS_SERVER,
        _TRAEFIK,
        _ENVOY_GATEWAY,
    )
}
