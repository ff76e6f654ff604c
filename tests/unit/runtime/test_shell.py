"""kopf watches the cluster that our client writes to, as the same user."""

from __future__ import annotations

from pathlib import Path

import kopf
import pytest

from lockstep_core.network.kubeconfig import KubeconfigError, resolve
from lockstep_operator.runtime.client import configuration_of, connect
from lockstep_operator.runtime.shell import login

pytestmark = pytest.mark.unit

FILE = """
current-context: {name}
clusters: [{{name: {name}, cluster: {{server: "https://{name}:6443", {trust}}}}}]
contexts: [{{name: {name}, context: {{cluster: {name}, user: {name}, namespace: shop}}}}]
users: [{{name: {name}, user: {user}}}]
"""


def given(monkeypatch: pytest.MonkeyPatch, folder: Path, user: str) -> None:
    """KUBECONFIG of a missing file, staging and prod."""
    names = ("staging", "prod")
    for name in names:
        trust = f"insecure-skip-tls-verify: {str(name == 'staging').lower()}"
        (folder / name).write_text(FILE.format(name=name, user=user, trust=trust))
    paths = [folder / "none", *(folder / name for name in names)]
    monkeypatch.setenv("KUBECONFIG", ":".join(map(str, paths)))


async def logged_in() -> kopf.ConnectionInfo:
    found = await login(settings=kopf.OperatorSettings())
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("user", "header"),
    [
        ("{token: abc}", "Bearer abc"),
        ("{username: ann, password: secret}", "Basic YW5uOnNlY3JldA=="),
        ("{tokenFile: token}", "Bearer of-the-file"),
    ],
)
async def test_both_take_the_first_of_several_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, user: str, header: str
) -> None:
    (tmp_path / "token").write_text("of-the-file\n")
    given(monkeypatch, tmp_path, user)
    kopfs, client = await logged_in(), await connect()
    ours = client.configuration
    await client.close()
    assert kopfs.server == ours.host == "https://staging:6443"
    assert kopfs.insecure and not ours.verify_ssl
    assert kopfs.as_http_headers() == {"Authorization": header}
    assert ours.api_key == {"BearerToken": header}
    assert kopfs.default_namespace == "shop"


async def test_without_credentials_both_are_nobody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given(monkeypatch, tmp_path, "{}")
    assert (await logged_in()).as_http_headers() == {}


async def test_what_kopf_cannot_do_is_refused_for_both(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given(monkeypatch, tmp_path, "{token: abc, as: ann}")
    for connecting in (configuration_of(resolve()), logged_in()):
        with pytest.raises(KubeconfigError, match=r"staging.*`as`"):
            await connecting
