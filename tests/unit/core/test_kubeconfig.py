"""Which cluster a kubeconfig leads to. A cluster test holds the same table against kubectl."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockstep_core.network.kubeconfig import KubeconfigError, Login, resolve
from tests.unit.core.kubeconfigs import CASES, FILES, Case, entry

pytestmark = pytest.mark.unit

IN_A_POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
USER = """
current-context: c
clusters: [{{name: c, cluster: {{server: "https://c:6443"}}}}]
contexts: [{{name: c, context: {{cluster: c, user: u}}}}]
users: [{{name: u, user: {user}}}]
"""


@pytest.fixture
def pod(tmp_path: Path) -> Path:
    """The folder of a service account in the namespace `of-the-pod`."""
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    (folder / "token").write_text("of-the-pod")
    (folder / "namespace").write_text("of-the-pod\n")
    return folder


def of_user(folder: Path, user: str) -> Login:
    path = folder / "config"
    path.write_text(USER.format(user=user))
    return resolve(kubeconfig=str(path), environment={}, service_account=folder / "none")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_files_lead_to_one_cluster(case: Case, tmp_path: Path) -> None:
    environment = case.environment(tmp_path)

    def ours() -> Login:
        return resolve(
            kubeconfig=case.file(tmp_path),
            context=case.context,
            environment=environment,
            service_account=tmp_path / "none",
        )

    if case.leads_to is None:
        with pytest.raises(KubeconfigError):
            ours()
    else:
        login = ours()
        assert (login.context, login.server, login.namespace) == case.leads_to
        assert login.server in str(login) and case.leads_to[0] in str(login)


def test_a_refusal_names_the_file_the_field_and_what_is_there(tmp_path: Path) -> None:
    for name, words in {
        "numbered": ("numbered", "`clusters.name`", "12", "a string"),
        "twice": ("twice", "`clusters`", "two entries", " c"),
        "torn": ("torn", "cannot read"),
        "of-another-kind": ("`kind`", "'Pod'", "'Config'"),
        "lost-cluster": ("context lost", "'nowhere'", "`server`", "--context"),
    }.items():
        (tmp_path / name).write_text(FILES[name])
        with pytest.raises(KubeconfigError) as told:
            resolve(kubeconfig=str(tmp_path / name), environment={}, service_account=tmp_path)
        assert all(word in str(told.value) for word in words), told.value
    (tmp_path / "prod").write_text(FILES["prod"])
    with pytest.raises(KubeconfigError, match=r"no context far \(there are: prod, shared\)"):
        resolve(kubeconfig=str(tmp_path / "prod"), context="far", environment={})


def test_paths_are_of_the_folder_of_their_file(tmp_path: Path) -> None:
    login = of_user(
        tmp_path, "{client-certificate: u.crt, client-key: /k/u.key, exec: {command: ./log/in}}"
    )
    assert login.user["client-certificate"] == str(tmp_path / "u.crt")
    assert login.user["client-key"] == "/k/u.key"
    assert login.user["exec"]["command"] == str(tmp_path / "log/in")
    assert of_user(tmp_path, "{exec: {command: login}}").user["exec"]["command"] == "login"


def test_credentials_are_the_ones_that_kubectl_would_take(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of-the-file\n")
    assert of_user(tmp_path, "{token: t, tokenFile: token}").user == {"token": "of-the-file"}
    assert of_user(tmp_path, "{token: t, tokenFile: none}").user == {"token": "t"}
    assert of_user(tmp_path, "{token: t, exec: {command: login}}").user == {"token": "t"}
    with pytest.raises(KubeconfigError, match="`tokenFile` of user u"):
        of_user(tmp_path, "{tokenFile: none}")
    with pytest.raises(KubeconfigError, match="`token` and `username`: keep one"):
        of_user(tmp_path, "{token: t, username: n, password: p}")


def test_no_credentials_are_sent_in_the_clear(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(USER.format(user="{token: t, as: ann}").replace("https:", "http:"))
    assert resolve(kubeconfig=str(path), environment={}).user == {"as": "ann"}


def test_an_exec_that_gave_nothing_is_not_taken_for_nobody(tmp_path: Path) -> None:
    login = of_user(tmp_path, "{exec: {command: login}}")
    login.check_exec(got=True)
    with pytest.raises(KubeconfigError, match="`exec` of its user gave no credentials: login"):
        login.check_exec(got=False)
    of_user(tmp_path, "{}").check_exec(got=False)


def test_acting_as_another_becomes_headers(tmp_path: Path) -> None:
    user = "{as: ann, as-uid: '7', as-groups: [a, b], as-user-extra: {x/y: [one, two]}}"
    assert of_user(tmp_path, user).impersonation() == [
        ("Impersonate-User", "ann"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Group", "a"),
        ("Impersonate-Group", "b"),
        ("Impersonate-Extra-x%2Fy", "one"),
        ("Impersonate-Extra-x%2Fy", "two"),
    ]


def test_in_a_pod_the_service_account_is_what_is_left(pod: Path, tmp_path: Path) -> None:
    home = IN_A_POD | {"HOME": str(tmp_path)}
    login = resolve(environment=home, service_account=pod)
    assert (login.config, login.context, login.server) == (None, None, "https://10.0.0.1:443")
    assert login.namespace == "of-the-pod" and "service account" in str(login)
    assert login.user == {} and login.impersonation() == []
    assert resolve(environment=home | {"POD_NAMESPACE": "p"}, service_account=pod).namespace == "p"
    six = home | {"KUBERNETES_SERVICE_HOST": "fd00::1"}
    assert resolve(environment=six, service_account=pod).server == "https://[fd00::1]:443"
    (pod / "namespace").unlink()
    assert resolve(environment=home, service_account=pod).namespace == "default"
    missing = home | {"KUBECONFIG": str(tmp_path / "none")}
    assert resolve(environment=missing, service_account=pod).config is None
    with pytest.raises(KubeconfigError, match="no context prod"):
        resolve(environment=home, context="prod", service_account=pod)


def test_a_kubeconfig_in_a_pod_is_taken_before_the_service_account(
    pod: Path, tmp_path: Path
) -> None:
    for name in ("staging", "prod"):
        (tmp_path / name).write_text(FILES[name])
    staging = IN_A_POD | {"KUBECONFIG": str(tmp_path / "staging")}
    login = resolve(environment=staging, service_account=pod)
    assert login.config is not None
    assert entry(login.config, "clusters")["server"] == "https://staging:6443"
    assert login.namespace == "shop"
    # As kubectl does: a context without a namespace is in that of the pod.
    prod = IN_A_POD | {"KUBECONFIG": str(tmp_path / "prod")}
    assert resolve(environment=prod, service_account=pod).namespace == "of-the-pod"
