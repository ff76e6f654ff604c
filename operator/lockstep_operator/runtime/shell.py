"""kopf as the shell: it watches, logs in and handles signals, and keeps no state of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import kopf

from lockstep_core.network.kubeconfig import resolve
from lockstep_core.protocol.labels import GROUP
from lockstep_operator.api.kinds import WATCHED
from lockstep_operator.runtime.client import PAGE, configuration_of


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


async def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    """kopf's connection: to the same cluster and with the same credentials as `client.connect`."""
    chosen = resolve()
    if chosen.config is None:
        return kopf.login_with_service_account(**kwargs)
    configuration = await configuration_of(chosen)
    scheme, _, token = configuration.api_key.get("BearerToken", "").partition(" ")
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        scheme=scheme or None,
        token=token or None,
        proxy_url=configuration.proxy,
        trust_env=kwargs["settings"].networking.trust_env,
        default_namespace=chosen.namespace,
    )
