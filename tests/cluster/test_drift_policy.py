"""DriftPolicies on a real API server: their statuses, and the ConfigMap that a policy owns."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lockstep_operator.api.kinds import CONFIG_MAP
from lockstep_operator.runtime.client import Api, connect
from lockstep_operator.runtime.drift_store import DriftStore, Place
from lockstep_operator.runtime.errors import Refused
from tests.cluster.support.bad_policies import GOOD_POLICY
from tests.cluster.support.control_plane import ControlPlane
from tests.cluster.support.operator_process import OperatorProcess, chart_kubeconfig, wait_for
from tests.cluster.support.specs import GOOD_INDEX, GOOD_MODEL


@pytest.fixture
def kubeconfig(
    control_plane: ControlPlane, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The rights of the chart, and nothing more."""
    path = chart_kubeconfig(control_plane, namespace, tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(path))
    return path


@pytest.fixture
def operator(kubeconfig: Path, namespace: str, tmp_path: Path) -> Iterator[OperatorProcess]:
    process = OperatorProcess(
        kubeconfig=kubeconfig,
        log=tmp_path / "operator.log",
        namespaces=(namespace,),
        lease_namespace=namespace,
    ).start()
    try:
        wait_for("the operator leads", process.leads, 45)
        yield process
        assert [line for line in process.lines() if line["level"] == "error"] == []
    finally:
        process.stop(signal.SIGKILL)


def apply(control_plane: ControlPlane, namespace: str, *objects: dict[str, Any]) -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    control_plane.kubectl("apply", "-n", namespace, "-f", "-", stdin=listed)


def ready(control_plane: ControlPlane, namespace: str) -> dict[str, Any]:
    status = control_plane.get("drift", "glyphs", namespace).get("status") or {}
    found = (c for c in status.get("conditions") or [] if c["type"] == "Ready")
    return next(found, {"reason": "", "message": ""})


def test_a_policy_is_told_what_it_lacks(
    control_plane: ControlPlane, namespace: str, operator: OperatorProcess
) -> None:
    apply(control_plane, namespace, GOOD_POLICY)
    wait_for(
        "the policy names the model that is missing",
        lambda: ready(control_plane, namespace)["reason"] == "ModelNotFound",
    )
    apply(control_plane, namespace, GOOD_MODEL, GOOD_INDEX)
    wait_for(
        "the policy waits for a release",
        lambda: "no release serves yet" in ready(control_plane, namespace)["message"],
    )
    found = control_plane.get("drift", "glyphs", namespace)
    assert found["status"]["observedGeneration"] == found["metadata"]["generation"]
    assert found["status"]["state"] == "Unmonitored"


async def test_what_is_learned_belongs_to_the_policy_and_goes_with_it(
    control_plane: ControlPlane, namespace: str, kubeconfig: Path
) -> None:
    assert os.environ["KUBECONFIG"] == str(kubeconfig)
    apply(control_plane, namespace, GOOD_POLICY)
    uid = control_plane.get("drift", "glyphs", namespace)["metadata"]["uid"]
    place = Place(namespace, "glyphs", "glyphs", uid)
    api = Api(await connect())
    try:
        one, other = DriftStore(api, place), DriftStore(api, place)
        assert (await one.load()).text == "" and (await other.load()).text == ""
        assert await one.save("first") is None
        # Another leader finds it, and does not write over it.
        found = await other.save("theirs")
        assert found is not None and found.text == "first"
        assert await other.save("second") is None
        found = await one.save("third")
        assert found is not None and found.text == "second"
        stored = await api.get(CONFIG_MAP, namespace, "glyphs-drift")
        assert [o["uid"] for o in stored["metadata"]["ownerReferences"]] == [uid]
        with pytest.raises(Refused):
            await api.delete(CONFIG_MAP, namespace, "glyphs-drift", uid=None)
    finally:
        await api.close()
    control_plane.kubectl("delete", "drift", "glyphs", "-n", namespace)

    def gone() -> bool:
        listed = control_plane.kubectl("get", "configmaps", "-n", namespace, "-o", "name").stdout
        return "configmap/glyphs-drift" not in listed.split()

    await asyncio.to_thread(wait_for, "the ConfigMap goes with its policy", gone, 60)


async def test_a_config_map_of_someone_else_is_left_alone(
    control_plane: ControlPlane, namespace: str, kubeconfig: Path
) -> None:
    theirs = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "glyphs-drift"},
        "data": {"mine": "1"},
    }
    apply(control_plane, namespace, theirs, GOOD_POLICY)
    uid = control_plane.get("drift", "glyphs", namespace)["metadata"]["uid"]
    api = Api(await connect())
    try:
        store = DriftStore(api, Place(namespace, "glyphs", "glyphs", uid))
        assert "belongs to someone else" in (await store.load()).problem
        found = await store.save("ours")
        assert found is not None and "belongs to someone else" in found.problem
    finally:
        await api.close()
    assert control_plane.get("configmap", "glyphs-drift", namespace)["data"] == {"mine": "1"}
