"""The worlds in which scenarios happen, made when the first of them comes."""

from __future__ import annotations

from collections.abc import Callable

from tests.e2e.support.ground import HOLD_SECONDS, Ground, steps
from tests.e2e.support.kube import Kube
from tests.e2e.support.world import World


class Grounds:
    """One ground of each kind; a ground that did not come to rest is replaced."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._open: dict[str, Ground] = {}

    def get(self, kind: str) -> Ground:
        if kind not in self._open:
            # Worlds side by side would share the node's cores, and each is measured.
            self.close()
            self._open[kind] = KINDS[kind](self._kube)
        return self._open[kind]

    def drop(self, kind: str) -> None:
        ground = self._open.pop(kind, None)
        if ground is not None:
            ground.close()

    def close(self) -> None:
        for kind in list(self._open):
            self.drop(kind)


def replicas(kube: Kube, namespace: str = "reliability", *, hold: int = HOLD_SECONDS) -> Ground:
    """Weights are shares of three pods, and each is held for so many seconds."""
    ground = Ground(fresh_world(kube, namespace))
    ground.open(rollout={"steps": steps(hold)})
    return ground


def fresh_world(kube: Kube, namespace: str) -> World:
    """An empty world of that name, whatever an earlier run left of it."""
    world = World(kube, namespace)
    world.close()
    world.open()
    return world


KINDS: dict[str, Callable[[Kube], Ground]] = {"replicas": replicas}
