"""Who counts the encoder pods, by the word of a real API server and its own autoscaler.

Without a metrics API the real controller still keeps `minReplicas` and `maxReplicas`, and scales
for no other reason; `kubectl scale` writes what it would write for load.
"""

from __future__ import annotations

import json
from typing import Any

from tests.cluster.support.kubelet import Kubelet
from tests.cluster.support.models import Cluster, Launch, index, model, no_crash
from tests.cluster.support.operator_process import Writes, wait_for

ENCODER = "glyphs-r1-encoder"


def serving(cluster: Cluster, **fields: Any) -> None:
    patch = json.dumps({"spec": {"serving": fields}})
    cluster.kubectl("patch", "em", "glyphs", "--type=merge", "-p", patch)


def replicas(cluster: Cluster) -> int:
    found = cluster.control_plane.get("deployment", ENCODER, cluster.namespace)
    return int(found["spec"]["replicas"])


def managers(cluster: Cluster) -> set[str]:
    """Who holds `spec.replicas`."""
    text = cluster.kubectl("get", "deployment", ENCODER, "-o", "json", "--show-managed-fields")
    entries = json.loads(text)["metadata"]["managedFields"]
    return {e["manager"] for e in entries if "f:replicas" in e["fieldsV1"].get("f:spec", {})}


def whole(cluster: Cluster, count: int) -> None:
    def told() -> bool:
        status = cluster.status("em", "glyphs")
        ready = (status.get("stable") or {}).get("readyReplicas")
        return status.get("phase") == "Healthy" and ready == count

    wait_for(f"{count} encoders are ready", told, 60)


def test_the_number_of_pods_changes_hands_and_never_falls(
    cluster: Cluster, launch: Launch, kubelet: Kubelet, writes: Writes
) -> None:
    operator = launch()
    spec = model("glyphs", indexing="Required")
    spec["spec"]["serving"] = {"replicas": 3}
    cluster.apply(spec, index("glyphs", "glyphs"))
    cluster.healthy("glyphs", "glyphs-r1")
    seen = Replicas(cluster)
    serving(cluster, autoscaling={"minReplicas": 2, "maxReplicas": 6})
    wait_for("an autoscaler", lambda: cluster.names("hpa"))
    wait_for("it is handed over", lambda: "lockstep" not in managers(cluster))
    whole(cluster, 3)

    # What a controller writes stays, over a change of the template and a restart too.
    cluster.kubectl("scale", "deployment", ENCODER, "--replicas=5")
    whole(cluster, 5)
    serving(cluster, template={"nodeSelector": {"kubernetes.io/os": "linux"}})
    wait_for("the template changed", lambda: "nodeSelector" in pod(cluster))
    whole(cluster, 5)
    before = writes.settled()
    assert operator.stop() == 0
    again = launch(name="again")
    assert writes.settled() == before, "a restart beside an autoscaler writes nothing"

    # The real controller raises to the minimum.
    serving(cluster, autoscaling={"minReplicas": 6, "maxReplicas": 6})
    whole(cluster, 6)
    serving(cluster, replicas=3, autoscaling=None)
    wait_for("the spec counts again", lambda: managers(cluster) >= {"lockstep"})
    whole(cluster, 3)
    assert cluster.names("hpa") == []
    assert seen.least() == 3, "at no instant were there fewer than before"
    no_crash(operator)
    no_crash(again)


def pod(cluster: Cluster) -> dict[str, Any]:
    found = cluster.control_plane.get("deployment", ENCODER, cluster.namespace)
    return dict(found["spec"]["template"]["spec"])


class Replicas:
    """Every number of pods that the API server stored."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._from = int(self._live()["metadata"]["resourceVersion"])

    def _live(self) -> dict[str, Any]:
        return self._cluster.control_plane.get("deployment", ENCODER, self._cluster.namespace)

    def least(self) -> int:
        """The smallest, from the construction on: a watch replays what was stored since."""
        kind = f"/apis/apps/v1/namespaces/{self._cluster.namespace}/deployments"
        query = f"watch=1&resourceVersion={self._from}&timeoutSeconds=2"
        text = self._cluster.kubectl("get", "--raw", f"{kind}?{query}")
        events = [json.loads(line)["object"] for line in text.splitlines()]
        found = [e["spec"]["replicas"] for e in events if e["metadata"]["name"] == ENCODER]
        assert len(found) > 5, "the watch replays"
        return int(min(found))


def test_scaling_the_model_by_hand_is_refused_while_an_autoscaler_counts(cluster: Cluster) -> None:
    spec = model("glyphs")
    spec["spec"]["serving"] = {"replicas": 2}
    cluster.apply(spec)
    cluster.kubectl("scale", "em", "glyphs", "--replicas=3")
    serving(cluster, autoscaling={"maxReplicas": 4})
    done = cluster.control_plane.kubectl(
        *("scale", "em", "glyphs", "--replicas=4", "-n", cluster.namespace), check=False
    )
    assert done.returncode != 0 and "`replicas` must not change" in done.stderr
    serving(cluster, replicas=2, autoscaling=None)
    cluster.kubectl("scale", "em", "glyphs", "--replicas=1")
