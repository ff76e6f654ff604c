"""Counts and exponents, on the control plane of the cluster tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.conftest import cluster, control_plane, kubelet, launch, namespace, writes

__all__ = ["cluster", "control_plane", "kubelet", "launch", "namespace", "writes"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.scale)
