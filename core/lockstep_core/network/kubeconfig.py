"""Which cluster, and as whom: resolved as kubectl resolves it.

The official Python client lets the last file of KUBECONFIG win and kubectl the first, so the files
are merged here, and the client gets the one context that was chosen. The rules are those of
https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/ and of
client-go; a cluster test holds them against kubectl itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

VARIABLE = "KUBECONFIG"
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
IN_CLUSTER = "in-cluster"
FIX = f"Set {VARIABLE}, or give --kubeconfig and --context"

_SECTIONS = {"clusters": "cluster", "contexts": "context", "users": "user"}
# Paths in a file are relative to its folder.
_PATHS = {
    "clusters": ("certificate-authority",),
    "contexts": (),
    "users": ("client-certificate", "client-key", "tokenFile"),
}
_ACTING = ("as", "as-uid", "as-groups", "as-user-extra")

Fields = dict[str, Any]
Sections = dict[str, dict[str, Fields]]


class KubeconfigError(Exception):
    """The files do not say which cluster to speak to; the message names the file and the fix."""


@dataclass(frozen=True)
class Login:
    """One cluster, one identity, one namespace.

    `config` is a kubeconfig of one context for the official client, paths absolute; None means the
    service account of this pod, and then `context` is None too.
    """

    config: Fields | None
    context: str | None
    cluster: str
    server: str
    namespace: str

    @property
    def user(self) -> Fields:
        """The credentials' fields; empty for a pod's service account."""
        fields: Fields = self.config["users"][0]["user"] if self.config else {}
        return fields

    def impersonation(self) -> list[tuple[str, str]]:
        """The headers of `as`, `as-uid`, `as-groups` and `as-user-extra`."""
        user = self.user
        single = (("Impersonate-User", "as"), ("Impersonate-Uid", "as-uid"))
        headers = [(header, str(user[field])) for header, field in single if field in user]
        headers += [("Impersonate-Group", str(group)) for group in user.get("as-groups") or ()]
        for key, values in (user.get("as-user-extra") or {}).items():
            headers += [(f"Impersonate-Extra-{quote(key, safe='')}", str(v)) for v in values]
        return headers

    def check_exec(self, *, got: bool) -> None:
        """Raises `KubeconfigError` where the user's `exec` was run and no credentials were `got`:
        the official client would go on as nobody."""
        if "exec" in self.user and not got:
            command = self.user["exec"].get("command")
            raise KubeconfigError(f"{self}: `exec` of its user gave no credentials: {command}")

    def __str__(self) -> str:
        if self.context is None:
            return f"the cluster of this pod ({self.server}), as its service account"
        return f"cluster {self.cluster} ({self.server}), context {self.context}"


def resolve(
    *,
    kubeconfig: str | None = None,
    context: str | None = None,
    environment: Mapping[str, str] | None = None,
    service_account: Path = SERVICE_ACCOUNT,
) -> Login:
    """Where `kubectl --kubeconfig=… --context=…` would go; raises `KubeconfigError`.

    `kubeconfig` is one file, which must exist. Otherwise the files of $KUBECONFIG, or
    ~/.kube/config: the first one that has a value wins, and those that are missing are passed
    over. In a pod its service account is what is left when they name no context.
    """
    environment = os.environ if environment is None else environment
    current, sections = _merged(_files(kubeconfig, environment))
    chosen = context or current
    if chosen is None:
        if _in_pod(environment, service_account):
            return _pod_login(environment, service_account)
        raise KubeconfigError(
            f"no kubeconfig has a current-context, and this is no pod with a service account. {FIX}"
        )
    login = _context_login(chosen, sections)
    if "namespace" not in sections["contexts"][chosen] and _in_pod(environment, service_account):
        return replace(login, namespace=_pod_namespace(environment, service_account))
    return login


def _files(kubeconfig: str | None, environment: Mapping[str, str]) -> Iterator[Path]:
    """The files to read, first one first."""
    if kubeconfig:
        if not Path(kubeconfig).is_file():
            raise KubeconfigError(f"--kubeconfig {kubeconfig}: there is no such file. {FIX}")
        yield Path(kubeconfig)
    elif environment.get(VARIABLE):
        named = dict.fromkeys(environment[VARIABLE].split(os.pathsep))
        yield from (Path(name) for name in named if name and Path(name).exists())
    else:
        default = Path(environment.get("HOME") or "~").expanduser() / ".kube" / "config"
        yield from [default] if default.exists() else []


def _merged(files: Iterator[Path]) -> tuple[str | None, Sections]:
    """The current context and the named entries; of two with one name the first file's is taken
    whole."""
    current: str | None = None
    sections: Sections = {section: {} for section in _SECTIONS}
    for path in files:
        content = _read(path)
        current = current or _text(path, "current-context", content.get("current-context"))
        for section in _SECTIONS:
            for name, fields in _entries(path, section, content.get(section)).items():
                sections[section].setdefault(name, fields)
    return current, sections


def _read(path: Path) -> Fields:
    try:
        content = yaml.load(path.read_bytes(), _Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise KubeconfigError(f"cannot read the kubeconfig {path}: {error}. {FIX}") from error
    content = {} if content is None else content
    if not isinstance(content, dict):
        raise KubeconfigError(f"{path} is no kubeconfig: it holds no map. {FIX}")
    for field, only in (("kind", "Config"), ("apiVersion", "v1")):
        if content.get(field) not in (None, "", only):
            raise KubeconfigError(
                f"{path} is no kubeconfig: `{field}` is {content[field]!r}, must be {only!r}"
            )
    return content


class _Loader(yaml.SafeLoader):
    """Dates are strings, as they are for kubectl: names may look like one."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in each if tag != "tag:yaml.org,2002:timestamp"]
    for first, each in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _entries(path: Path, section: str, listed: Any) -> dict[str, Fields]:
    if not isinstance(listed, list | None):
        raise KubeconfigError(f"`{section}` of {path} must be a list")
    entries: dict[str, Fields] = {}
    for entry in listed or ():
        name = _text(path, f"{section}.name", entry.get("name") if isinstance(entry, dict) else 0)
        fields = entry.get(_SECTIONS[section]) or {}
        if not isinstance(fields, dict):
            raise KubeconfigError(f"`{_SECTIONS[section]}` of {name} in {path} must be a map")
        if name in entries:
            raise KubeconfigError(f"`{section}` of {path} has two entries of the name {name}")
        entries[name or ""] = _absolute(path, section, fields)
    return entries


def _text(path: Path, field: str, value: Any) -> str | None:
    if not isinstance(value, str | None):
        raise KubeconfigError(f"`{field}` of {path} is {value!r}, must be a string")
    return value or None


def _absolute(path: Path, section: str, fields: Fields) -> Fields:
    """Without empty fields, and with every path of a file absolute."""
    kept = {field: value for field, value in fields.items() if value not in (None, "")}
    folder = path.absolute().parent
    for field in _PATHS[section]:
        if field in kept:
            kept[field] = str(folder / str(kept[field]))
    command = kept["exec"].get("command") if isinstance(kept.get("exec"), dict) else None
    if isinstance(command, str) and os.sep in command:
        kept["exec"] = {**kept["exec"], "command": str(folder / command)}
    return kept


def _context_login(name: str, sections: Sections) -> Login:
    if name not in sections["contexts"]:
        there = ", ".join(sorted(sections["contexts"])) or "none"
        raise KubeconfigError(f"there is no context {name} (there are: {there}). {FIX}")
    context = sections["contexts"][name]
    cluster = str(context.get("cluster", ""))
    server = sections["clusters"].get(cluster, {}).get("server")
    if not isinstance(server, str):
        raise KubeconfigError(
            f"context {name} is of cluster {cluster!r}, and no kubeconfig has its `server`. {FIX}"
        )
    user = str(context.get("user", ""))
    if user and user not in sections["users"]:
        raise KubeconfigError(f"context {name} is of user {user}, and no kubeconfig has it. {FIX}")
    credentials = _credentials(user, sections["users"].get(user, {}))
    if not server.startswith("https:"):
        # In the clear kubectl sends no credentials; nor do we.
        credentials = {field: credentials[field] for field in _ACTING if field in credentials}
    config = {
        "current-context": name,
        "clusters": [{"name": cluster, "cluster": sections["clusters"][cluster]}],
        "contexts": [{"name": name, "context": {**context, "user": user}}],
        "users": [{"name": user, "user": credentials}],
    }
    return Login(config, name, cluster, server, str(context.get("namespace", "default")))


def _credentials(name: str, user: Fields) -> Fields:
    """The user's fields, with one way to log in, the one that kubectl would take."""
    if "token" in user and ("username" in user or "password" in user):
        raise KubeconfigError(
            f"user {name} of the kubeconfig has `token` and `username`: keep one of them"
        )
    chosen = dict(user)
    if file := chosen.pop("tokenFile", None):
        try:
            chosen["token"] = Path(file).read_text().strip() or chosen.get("token", "")
        except (OSError, UnicodeDecodeError) as error:
            if "token" not in chosen:
                message = f"`tokenFile` of user {name} of the kubeconfig: {error}"
                raise KubeconfigError(message) from error
    if "token" in chosen:
        chosen.pop("exec", None)
    return chosen


def _in_pod(environment: Mapping[str, str], service_account: Path) -> bool:
    there = environment.get("KUBERNETES_SERVICE_HOST") and environment.get(
        "KUBERNETES_SERVICE_PORT"
    )
    return bool(there) and (service_account / "token").is_file()


def _pod_login(environment: Mapping[str, str], service_account: Path) -> Login:
    host, port = environment["KUBERNETES_SERVICE_HOST"], environment["KUBERNETES_SERVICE_PORT"]
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return Login(None, None, IN_CLUSTER, server, _pod_namespace(environment, service_account))


def _pod_namespace(environment: Mapping[str, str], service_account: Path) -> str:
    if environment.get("POD_NAMESPACE"):
        return environment["POD_NAMESPACE"]
    try:
        return (service_account / "namespace").read_text().strip() or "default"
    except OSError:
        return "default"
