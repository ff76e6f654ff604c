"""kopf as the shell: it watches, logs in and handles signals, and keeps no state of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import kopf

from lockstep_core.protocol.labels import GROUP
from lockstep_operator.api.kinds import WATCHED
from lockstep_operator.runtime.client import PAGE, in_cluster


class NoDiffBase(kopf.DiffBaseStorage):
    """Keeps no last-handled copy. kopf would deep-copy every object for every event otherwise."""

    def build(self, *, body: kopf.Body, extra_fields: Iterable[Any] | None = None) -> Any:
        return {}

    def fetch(self, *, body: kopf.Body) -> Any:
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: Any) -> None:
        return None


class NoProgress(kopf.ProgressStorage):
    """Keeps no handler progress: handlers only put a key into a queue."""

    def fetch(self, *, key: Any, body: kopf.Body) -> Any:
        return None

    def store(self, *, key: Any, record: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        return None

    def purge(self, *, key: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        return None

    def touch(self, *, body: kopf.Body, patch: kopf.Patch, value: str | None) -> None:
        return None

    def clear(self, *, essence: Any) -> Any:
        return essence


def configure(settings: kopf.OperatorSettings) -> None:
    """Sets kopf up as a watcher that writes nothing."""
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.queueing.idle_timeout = 1.0
    settings.queueing.exit_timeout = 0.5
    settings.watching.chunk_size = PAGE
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 310
    settings.watching.connect_timeout = 10
    settings.networking.request_timeout = 30
    settings.networking.error_backoffs = (0.5, 1, 2, 4)
    settings.persistence.finalizer = f"{GROUP}/finalizer"
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.persistence.progress_storage = NoProgress()
    for kind in WATCHED:
        if kind.selector is not None:
            # Item by item: kopf does not see a mapping that replaces its own.
            settings.watching.label_selectors[kind.plural] = kind.selector


def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    """The same choice as `client.connect`, by kopf's own readers of both kinds of files."""
    if in_cluster():
        return kopf.login_with_service_account(**kwargs)
    return kopf.login_with_kubeconfig(**kwargs)
