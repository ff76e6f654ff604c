"""Kubeconfigs and what they mean: our reader is held against these, and these against kubectl."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILES = {
    "staging": """
apiVersion: v1
kind: Config
current-context: staging
clusters:
- name: staging
  cluster: {server: "https://staging:6443", certificate-authority-data: Y2E=}
- name: shared
  cluster: {server: "https://shared-of-staging:6443"}
contexts:
- name: staging
  context: {cluster: staging, user: ann, namespace: shop}
- name: shared
  context: {cluster: shared, user: ann}
users:
- name: ann
  user: {username: ann, password: secret}
""",
    "prod": """
apiVersion: v1
kind: Config
current-context: prod
clusters:
- name: prod
  cluster: {server: "https://prod:6443"}
- name: shared
  cluster: {server: "https://shared-of-prod:6443", insecure-skip-tls-verify: true}
contexts:
- name: prod
  context: {cluster: prod, user: ann}
- name: shared
  context: {cluster: shared, user: bob, namespace: of-prod}
users:
- name: ann
  user: {token: ann-of-prod}
- name: bob
  user: {token: bob-of-prod}
""",
    "only-context": """
current-context: far
contexts:
- name: far
  context: {cluster: far, user: far, namespace: away}
""",
    "only-cluster": """
clusters:
- name: far
  cluster: {server: "https://far:6443", certificate-authority: certificates/ca.crt}
""",
    "only-user": """
users:
- name: far
  user: {client-certificate: certificates/user.crt, client-key: certificates/user.key}
""",
    "empty": "",
    "nulls": "current-context: ''\nclusters: null\ncontexts:\nusers: []\n",
    "unknown-field": "color: blue\n",
    "no-current": """
clusters: [{name: c, cluster: {server: "https://c:6443"}}]
contexts: [{name: c, context: {cluster: c}}]
""",
    "no-user": """
current-context: c
clusters: [{name: c, cluster: {server: "https://c:6443"}}]
contexts: [{name: c, context: {cluster: c}}]
""",
    "dates": """
current-context: 2024-01-01
clusters: [{name: 2024-01-01, cluster: {server: "https://dates:6443"}}]
contexts: [{name: 2024-01-01, context: {cluster: 2024-01-01, namespace: 2024-01-02}}]
""",
    "lost-user": """
current-context: c
clusters: [{name: c, cluster: {server: "https://c:6443"}}]
contexts: [{name: c, context: {cluster: c, user: nobody}}]
""",
    "lost-cluster": """
current-context: lost
contexts: [{name: lost, context: {cluster: nowhere, user: ann}}]
""",
    "torn": "clusters: [",
    "of-another-kind": "kind: Pod\napiVersion: v1\n",
    "of-another-version": "kind: Config\napiVersion: v2\n",
    "a-list": "- clusters\n",
    "twice": """
current-context: c
clusters: [{name: c, cluster: {server: "https://c:1"}}, {name: c, cluster: {server: "https://d:1"}}]
contexts: [{name: c, context: {cluster: c}}]
""",
    "numbered": """
current-context: c
clusters: [{name: 12, cluster: {server: "https://c:1"}}]
contexts: [{name: c, context: {cluster: "12"}}]
""",
    "clusters-is-a-map": "clusters: {c: {server: 'https://c:1'}}\n",
    "certificates/ca.crt": "ca of a file",
    "certificates/user.crt": "certificate of a file",
    "certificates/user.key": "key of a file",
}

SPLIT = "only-context:only-cluster:only-user"


@dataclass(frozen=True)
class Case:
    """What is given, and where it leads: (context, server, namespace), or None for an error.

    `variable` is KUBECONFIG with names of `FILES` or of none; "" leaves it unset, and then
    `home` is what ~/.kube/config holds.
    """

    name: str
    variable: str
    leads_to: tuple[str, str, str] | None
    context: str | None = None
    kubeconfig: str | None = None
    home: str | None = None

    def environment(self, folder: Path) -> dict[str, str]:
        """The environment of kubectl and of ours, after the files were written to `folder`."""
        for name, text in FILES.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        home = folder / "home"
        (home / ".kube").mkdir(parents=True)
        if self.home:
            (home / ".kube" / "config").write_text(FILES[self.home])
        paths = ":".join(name and str(folder / name) for name in self.variable.split(":"))
        return {"HOME": str(home)} | ({"KUBECONFIG": paths} if paths else {})

    def file(self, folder: Path) -> str | None:
        """What --kubeconfig is, if it is given."""
        if self.kubeconfig is None:
            return None
        return ":".join(str(folder / name) for name in self.kubeconfig.split(":"))


STAGING = ("staging", "https://staging:6443", "shop")
PROD = ("prod", "https://prod:6443", "default")
CASES = (
    Case("one file", "prod", PROD),
    Case("the first of two", "staging:prod", STAGING),
    Case("the first of two, turned", "prod:staging", PROD),
    Case("a context of the second", "staging:prod", PROD, context="prod"),
    Case(
        *("of two with one name, the first", "staging:prod"),
        ("shared", "https://shared-of-staging:6443", "default"),
        context="shared",
    ),
    Case(
        *("of two with one name, the first, turned", "prod:staging"),
        ("shared", "https://shared-of-prod:6443", "of-prod"),
        context="shared",
    ),
    Case("split files", SPLIT, ("far", "https://far:6443", "away")),
    Case(
        "split files, turned", ":".join(SPLIT.split(":")[::-1]), ("far", "https://far:6443", "away")
    ),
    Case("split files, one of them missing", "only-context:only-user", None),
    Case("a missing file first", "none:staging", STAGING),
    Case("a missing file between", "staging:none:prod", STAGING),
    Case("only missing files", "none:nowhere", None),
    Case("empty places", ":staging::prod:", STAGING),
    Case("the same file again", "staging:staging", STAGING),
    Case("an empty file first", "empty:staging", STAGING),
    Case("empty fields first", "nulls:staging", STAGING),
    Case("a field that nobody knows", "unknown-field:prod", PROD),
    Case("a context of none", "staging:prod", None, context="none"),
    Case("no current context", "no-current", None),
    Case(
        "no current context, but one is given",
        "no-current",
        ("c", "https://c:6443", "default"),
        context="c",
    ),
    Case("nobody", "no-user", ("c", "https://c:6443", "default")),
    Case("a user that is nowhere", "lost-user", None),
    Case("a cluster that is nowhere", "lost-cluster", None),
    Case("names like dates", "dates", ("2024-01-01", "https://dates:6443", "2024-01-02")),
    Case("--kubeconfig over the variable", "staging", PROD, kubeconfig="prod"),
    Case(
        "--kubeconfig and --context",
        "staging",
        ("shared", "https://shared-of-prod:6443", "of-prod"),
        kubeconfig="prod",
        context="shared",
    ),
    Case("--kubeconfig takes one file alone", "staging", None, kubeconfig="staging:prod"),
    Case("--kubeconfig that is missing", "staging", None, kubeconfig="none"),
    Case("~/.kube/config", "", PROD, home="prod"),
    Case("the variable over ~/.kube/config", "staging", STAGING, home="prod"),
    Case("missing files are not ~/.kube/config", "none", None, home="prod"),
    Case("nothing at all", "", None),
    *(
        Case(f"a file that is {name}", f"{name}:staging", None)
        for name in (
            "torn",
            "of-another-kind",
            "of-another-version",
            "a-list",
            "twice",
            "numbered",
            "clusters-is-a-map",
        )
    ),
)


def entry(config: dict[str, Any], section: str) -> dict[str, Any]:
    """The only entry of a section, by the name of its kind."""
    (only,) = config[section]
    fields: dict[str, Any] = only[section.removesuffix("s")]
    return fields
