"""The monitor beside every encoder, and pods that stay as they were without one."""

from __future__ import annotations

import copy
import dataclasses
import json
from typing import Any

import pytest

from lockstep_core.protocol.environment import MONITOR_PORT, MONITOR_VARIABLE
from lockstep_core.protocol.monitoring import MonitorConfig, RecallConfig, TapConfig
from lockstep_operator import manifests
from lockstep_operator.api.objects import Object, Release
from lockstep_operator.manifests.monitoring import monitor_sidecars, tap_environment
from lockstep_operator.manifests.serving import encoder_config
from tests.unit.manifests.support import samples
from tests.unit.manifests.support.built import container_of

pytestmark = pytest.mark.unit


def with_image(release: Release) -> Release:
    images = release.spec.images.replace(monitor="monitor:1")
    return dataclasses.replace(release, spec=release.spec.replace(images=images))


def pod(release: Release, **spec: Any) -> Object:
    deployment = manifests.encoder_deployment(samples.model(**spec), release)
    found: Object = deployment["spec"]["template"]["spec"]
    return found


def test_encoder_and_monitor_share_a_folder_of_a_size() -> None:
    found = pod(with_image(samples.release()))
    (sidecar,) = found["initContainers"]
    mount = {"name": "monitor", "mountPath": "/run/lockstep"}
    assert mount in sidecar["volumeMounts"] and mount in found["containers"][0]["volumeMounts"]
    assert {"name": "monitor", "emptyDir": {"sizeLimit": "96Mi"}} in found["volumes"]
    assert (sidecar["name"], sidecar["image"]) == ("monitor", "monitor:1")
    assert sidecar["restartPolicy"] == "Always"
    assert sidecar["ports"] == [
        {"name": "monitor", "containerPort": MONITOR_PORT, "protocol": "TCP"}
    ]


def test_a_pod_is_as_ready_as_its_encoder() -> None:
    """A probe of the monitor would hold the encoder back, or take it out of the Service."""
    (sidecar,) = pod(with_image(samples.release()))["initContainers"]
    assert not [name for name in sidecar if name.endswith("Probe")]


def test_each_is_told_its_part() -> None:
    monitoring = {"maxPerSecond": 7, "windowSeconds": 60}
    found = pod(with_image(samples.release(3)), monitoring=monitoring)
    (sidecar,), (encoder,) = found["initContainers"], found["containers"]
    told = {
        container["name"]: json.loads(entry["value"])
        for container in (sidecar, encoder)
        for entry in container["env"]
        if entry["name"] == MONITOR_VARIABLE
    }
    assert TapConfig.model_validate(told["main"]) == TapConfig(max_per_second=7)
    monitor = MonitorConfig.model_validate(told["monitor"])
    assert monitor.model_copy(update={"recall": None}) == MonitorConfig(
        model="glyphs", release="glyphs-r3", namespace="shop", window_seconds=60
    )


def test_a_monitor_asks_the_indexes_that_its_encoder_asks() -> None:
    release = with_image(samples.release(3))
    (sidecar,) = monitor_sidecars(samples.model(), release)
    told = MonitorConfig.model_validate_json(sidecar.environment[MONITOR_VARIABLE]).recall
    assert told is not None and (told.per_minute, told.k) == (60, 10)
    asked = encoder_config(release).indexes
    assert asked and [each.model_dump() for each in told.indexes] == [
        each.model_dump() for each in asked
    ]
    for monitoring, expected in (
        ({"recall": {"perMinute": 0}}, None),
        ({"recall": {"perMinute": 6, "k": 5}}, RecallConfig(per_minute=6, k=5)),
    ):
        (sidecar,) = monitor_sidecars(samples.model(monitoring=monitoring), release)
        found = MonitorConfig.model_validate_json(sidecar.environment[MONITOR_VARIABLE]).recall
        assert (found and found.model_copy(update={"indexes": ()})) == expected


def test_a_release_without_the_image_or_the_wish_has_the_pod_of_before() -> None:
    """So no pod that serves begins anew when the operator is upgraded."""
    release = samples.release()
    plain = pod(release)
    assert json.dumps(plain) == json.dumps(pod(with_image(release), monitoring={"enabled": False}))
    assert plain == pod(release, monitoring={"maxPerSecond": 9})
    watched = copy.deepcopy(pod(with_image(release)))
    del watched["initContainers"]
    main = watched["containers"][0]
    main["env"] = [entry for entry in main["env"] if entry["name"] != MONITOR_VARIABLE]
    for holder in (main["volumeMounts"], watched["volumes"]):
        (folder,) = (each for each in holder if each["name"] == "monitor")
        holder.remove(folder)
    assert json.dumps(watched) == json.dumps(plain), "nothing else differs"
    assert container_of(manifests.encoder_deployment(samples.model(), release)) == main


def test_what_is_left_out_is_left_out_of_both() -> None:
    model, release = samples.model(monitoring={"enabled": False}), samples.release()
    assert monitor_sidecars(model, with_image(release)) == () == monitor_sidecars(model, release)
    assert tap_environment(model, with_image(release)) == {} == tap_environment(model, release)


def test_a_change_of_monitoring_makes_no_other_release() -> None:
    from lockstep_operator.decide.vocabulary.hashing import space_hash

    plain, other = samples.model(), samples.model(monitoring={"windowSeconds": 60})
    assert plain.spec.training is not None and other.spec.training is not None
    assert space_hash(plain.spec.training, "file:///a") == space_hash(
        other.spec.training, "file:///a"
    )
