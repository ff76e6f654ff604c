"""The chart: lints, renders the same each time, refuses wrong values, and grants no more than it
needs, by the word of a real API server.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from lockstep_operator.__main__ import config_from
from lockstep_operator.api.crd import KINDS, definition
from tests.cluster.support.chart import CHART, Helm
from tests.cluster.support.control_plane import ControlPlane

OPERATOR = "system:serviceaccount:lockstep-system:lockstep-operator"


@pytest.fixture(scope="module", params=[3, 4], ids=["helm3", "helm4"])
def helm(request: pytest.FixtureRequest) -> Helm:
    return Helm.find(request.param)


def of_kind(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [found for found in objects if found["kind"] == kind]


def operator_container(objects: list[dict[str, Any]]) -> dict[str, Any]:
    (deployment,) = of_kind(objects, "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return dict(container)


def environment(objects: list[dict[str, Any]]) -> dict[str, str]:
    return {e["name"]: e["value"] for e in operator_container(objects)["env"] if "value" in e}


def test_lint(helm: Helm) -> None:
    helm.run("lint", "--strict", str(CHART))
    helm.run("lint", "--strict", str(CHART), "--set", "rbac.scope=Namespaced,replicas=2")


EVERYTHING = (
    "replicas=2",
    "networkPolicy.enabled=true",
    "metrics.podMonitor.enabled=true",
    "watchNamespaces={a,b}",
)


def test_rendering_is_deterministic(helm: Helm) -> None:
    assert helm.render(*EVERYTHING).stdout == helm.render(*EVERYTHING).stdout


def test_both_majors_render_the_same() -> None:
    assert Helm.find(3).objects(*EVERYTHING) == Helm.find(4).objects(*EVERYTHING)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("replica=2", "replica"),
        ("replicas=two", "replicas"),
        ("replicas=-1", "replicas"),
        ("image.name=x", "name"),
        ("image.tag=a/b", "tag"),
        ("image.digest=sha256:abc", "digest"),
        ("image.pullPolicy=Sometimes", "pullPolicy"),
        ("rbac.scope=cluster", "scope"),
        ("watchNamespaces={A_B}", "watchNamespaces"),
        ("watchNamespaces=a", "watchNamespaces"),
        ("imagePullSecrets={a}", "imagePullSecrets"),
        ("logLevel=loud", "logLevel"),
        ("workers=0", "workers"),
        ("crds.install=maybe", "install"),
        ("programs.reranker.tag=x", "reranker"),
        ("metrics.podMonitor.interval=often", "interval"),
        ("releaseGuard.enabled=perhaps", "enabled"),
        ("serviceAccount.create=false", "`serviceAccount.name` must be set"),
    ],
)
def test_wrong_values_are_refused(helm: Helm, value: str, words: str) -> None:
    done = helm.render(value, check=False)
    assert done.returncode != 0 and words in done.stderr


def test_every_value_has_a_schema_and_a_line_in_the_readme() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    readme = (CHART / "README.md").read_text()

    for name, value in values.items():
        assert name in readme, f"README.md says nothing of {name}"
        known = schema["properties"][name]
        assert known.get("additionalProperties") is not True
        if isinstance(value, dict) and value:
            assert value.keys() == known["properties"].keys() & value.keys(), name


def test_crds_are_kept_and_are_those_generated(helm: Helm) -> None:
    found = {o["metadata"]["name"]: o for o in of_kind(helm.objects(), "CustomResourceDefinition")}
    assert len(found) == len(KINDS)
    for kind in KINDS:
        wanted = definition(kind)
        rendered = found[wanted["metadata"]["name"]]
        assert rendered["spec"] == wanted["spec"]
        assert rendered["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_crds_can_be_left_out_or_let_go(helm: Helm) -> None:
    assert not of_kind(helm.objects("crds.install=false"), "CustomResourceDefinition")
    for found in of_kind(helm.objects("crds.keep=false"), "CustomResourceDefinition"):
        assert "annotations" not in found["metadata"]
    for found in of_kind(helm.objects("crds.annotations.a=b"), "CustomResourceDefinition"):
        assert found["metadata"]["annotations"]["a"] == "b"


def test_images_follow_tag_digest_and_version(helm: Helm) -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    objects = helm.objects()
    assert operator_container(objects)["image"] == f"lockstep/operator:{version}"
    assert environment(objects)["LOCKSTEP_TRAINER_IMAGE"] == f"lockstep/trainer:{version}"
    digest = "sha256:" + "0" * 64
    objects = helm.objects(
        "image.tag=dev", "programs.encoder.tag=v7", f"programs.indexer.digest={digest}"
    )
    assert operator_container(objects)["image"] == "lockstep/operator:dev"
    found = environment(objects)
    assert found["LOCKSTEP_TRAINER_IMAGE"] == "lockstep/trainer:dev"
    assert found["LOCKSTEP_ENCODER_IMAGE"] == "lockstep/encoder:v7"
    assert found["LOCKSTEP_INDEXER_IMAGE"] == f"lockstep/indexer@{digest}"
    objects = helm.objects("registry=mirror.example:5000", "image.tag=dev")
    assert operator_container(objects)["image"] == "mirror.example:5000/lockstep/operator:dev"
    found = environment(objects)
    assert found["LOCKSTEP_ENCODER_IMAGE"] == "mirror.example:5000/lockstep/encoder:dev"


def test_the_operator_understands_its_environment(helm: Helm) -> None:
    given = environment(
        helm.objects("watchNamespaces={a,b}", "programs.imagePullSecrets[0].name=mirror")
    )
    config = config_from([], {**given, "POD_NAME": "p", "POD_NAMESPACE": "lockstep-system"})
    assert tuple(config.namespaces) == ("a", "b")
    assert config.lease_name == "lockstep-operator"
    assert config.settings.image_pull_secrets == ("mirror",)
    assert config.workers == 16


def test_a_namespaced_installation_has_no_cluster_role(helm: Helm) -> None:
    objects = helm.objects("rbac.scope=Namespaced", "watchNamespaces={a,b}")
    kinds = {found["kind"] for found in objects}
    assert not kinds & {"ClusterRole", "ClusterRoleBinding"}
    places = {(r["metadata"]["namespace"], r["metadata"]["name"]) for r in of_kind(objects, "Role")}
    assert places == {
        ("a", "lockstep-operator"),
        ("b", "lockstep-operator"),
        ("lockstep-system", "lockstep-operator-lease"),
    }
    assert environment(objects)["LOCKSTEP_WATCH_NAMESPACES"] == "a,b"
    for role in of_kind(objects, "Role"):
        if role["metadata"]["namespace"] == "lockstep-system":
            continue
        # No Role can give a right to a kind of the whole cluster.
        assert rights_in(role["rules"]) == allowed() - {(GATEWAY_CLASSES, "get")}


def test_a_namespaced_installation_watches_its_own_namespace_by_default(helm: Helm) -> None:
    objects = helm.objects("rbac.scope=Namespaced")
    assert environment(objects)["LOCKSTEP_WATCH_NAMESPACES"] == "lockstep-system"
    assert "LOCKSTEP_WATCH_NAMESPACES" not in environment(helm.objects())


def test_the_guard_of_what_serves_holds_where_this_operator_watches(helm: Helm) -> None:
    kinds = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
    for kind in kinds:
        assert not of_kind(helm.objects("releaseGuard.enabled=false"), kind)
    (policy,) = of_kind(helm.objects(), kinds[0])
    (binding,) = of_kind(helm.objects(), kinds[1])
    assert binding["spec"] == {
        "policyName": policy["metadata"]["name"],
        "validationActions": ["Deny"],
    }
    (narrow,) = of_kind(helm.objects("watchNamespaces={a,b}"), kinds[1])
    (wanted,) = narrow["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"]
    assert wanted["values"] == ["a", "b"]


def test_a_budget_only_where_it_does_not_block_a_drain(helm: Helm) -> None:
    assert not of_kind(helm.objects(), "PodDisruptionBudget")
    (budget,) = of_kind(helm.objects("replicas=2"), "PodDisruptionBudget")
    assert budget["spec"]["maxUnavailable"] == 1


def test_no_rule_is_a_wildcard_or_touches_a_secret(helm: Helm) -> None:
    for scope in ("Cluster", "Namespaced"):
        objects = helm.objects(f"rbac.scope={scope}")
        for role in of_kind(objects, "ClusterRole") + of_kind(objects, "Role"):
            for rule in role["rules"]:
                words = rule["apiGroups"] + rule["resources"] + rule["verbs"]
                assert "*" not in words and "secrets" not in words
                assert not {"escalate", "bind", "impersonate"} & set(words)


def test_the_server_accepts_all_of_it(helm: Helm, control_plane: ControlPlane) -> None:
    ensure_namespace(control_plane, "lockstep-system")
    rendered = helm.render(
        "replicas=2", "networkPolicy.enabled=true", "networkPolicy.prometheusPorts={9090}"
    ).stdout
    assert "port: 9090" in rendered and "lockstep.dev/component: encoder" in rendered
    control_plane.kubectl(
        *("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-"),
        stdin=rendered,
    )


def test_the_operators_pod_is_restricted(control_plane: ControlPlane, namespace: str) -> None:
    label = "pod-security.kubernetes.io/enforce=restricted"
    control_plane.kubectl("label", "namespace", namespace, label)
    (deployment,) = of_kind(Helm.find(4).objects(), "Deployment")
    template = deployment["spec"]["template"]
    # The service account is not there: what is asked is what Pod Security says.
    spec = {**template["spec"], "serviceAccountName": "default"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "operator", "namespace": namespace},
        "spec": spec,
    }
    control_plane.kubectl("create", "serviceaccount", "default", "-n", namespace, check=False)
    control_plane.kubectl("create", "--dry-run=server", "-f", "-", stdin=pod)


def ensure_namespace(control_plane: ControlPlane, name: str) -> None:
    found = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    control_plane.kubectl("apply", "--server-side", "-f", "-", stdin=found)


@pytest.fixture(scope="module")
def granted(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """The chart's roles and bindings, in place."""
    ensure_namespace(control_plane, "lockstep-system")
    kinds = {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}
    objects = [o for o in Helm.find(4).objects("crds.install=false") if o["kind"] in kinds]
    stdin = {"apiVersion": "v1", "kind": "List", "items": objects}
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=stdin)
    yield control_plane
    control_plane.kubectl("delete", "--wait=false", "-f", "-", stdin=stdin)


def can(
    control_plane: ControlPlane,
    asked: list[tuple[str, str]],
    *,
    who: str,
    namespace: str = "default",
) -> list[bool]:
    """SubjectAccessReviews of (verb, `resource[.group][/subresource][#name]`), in their order."""
    reviews = [_review(verb, text, who, namespace) for verb, text in asked]
    stdin = {"apiVersion": "v1", "kind": "List", "items": reviews}
    shown = 'jsonpath={.status.allowed}{"\\n"}'
    done = control_plane.kubectl("create", "-o", shown, "-f", "-", stdin=stdin)
    answers = [line == "true" for line in done.stdout.split()]
    assert len(answers) == len(asked)
    return answers


def _review(verb: str, text: str, who: str, namespace: str) -> dict[str, Any]:
    text, _, name = text.partition("#")
    text, _, subresource = text.partition("/")
    resource, _, group = text.partition(".")
    attributes = {
        "verb": verb,
        "group": group,
        "resource": resource,
        "subresource": subresource,
        "name": name,
        "namespace": namespace,
    }
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": who, "resourceAttributes": attributes},
    }


GATEWAY_CLASSES = "gatewayclasses.gateway.networking.k8s.io"
ALLOWED = {
    "embeddingmodels.lockstep.dev": "get list watch",
    "vectorindexes.lockstep.dev": "get list watch",
    "driftpolicies.lockstep.dev": "get list watch",
    "embeddingreleases.lockstep.dev": "get list watch create patch delete",
    "embeddingmodels.lockstep.dev/status": "patch",
    "vectorindexes.lockstep.dev/status": "patch",
    "driftpolicies.lockstep.dev/status": "patch",
    "embeddingreleases.lockstep.dev/status": "patch",
    "embeddingmodels.lockstep.dev/finalizers": "update",
    "driftpolicies.lockstep.dev/finalizers": "update",
    "embeddingreleases.lockstep.dev/finalizers": "update",
    # By their names: what drift policies have learned.
    "configmaps": "get create patch",
    "jobs.batch": "get list watch create patch delete",
    "deployments.apps": "get list watch create patch delete",
    "horizontalpodautoscalers.autoscaling": "get list watch create patch delete",
    "services": "get list watch create patch delete",
    "httproutes.gateway.networking.k8s.io": "get list watch create patch delete",
    "gateways.gateway.networking.k8s.io": "get",
    GATEWAY_CLASSES: "get",
    "pods": "list watch",
    "events": "list create",
}
NEVER = (
    *("secrets", "serviceaccounts", "serviceaccounts/token", "nodes", "namespaces"),
    *("pods/exec", "pods/attach", "pods/log", "pods/portforward", "pods/proxy", "services/proxy"),
    *("persistentvolumeclaims", "persistentvolumes", "roles.rbac.authorization.k8s.io"),
    *("clusterroles.rbac.authorization.k8s.io", "leases.coordination.k8s.io"),
    "customresourcedefinitions.apiextensions.k8s.io",
)


def test_the_operator_may_do_this_and_nothing_else(granted: ControlPlane) -> None:
    """SelfSubjectRulesReview of the service account, against the table above."""
    assert rules_of(granted, "default") == allowed()


def allowed() -> set[tuple[str, str]]:
    return {(r, verb) for r, verbs in ALLOWED.items() for verb in verbs.split()}


def rules_of(control_plane: ControlPlane, namespace: str) -> set[tuple[str, str]]:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    done = control_plane.kubectl(
        "create", "--validate=false", "-o", "json", f"--as={OPERATOR}", "-f", "-", stdin=review
    )
    return rights_in(json.loads(done.stdout)["status"]["resourceRules"])


def rights_in(rules: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """(`resource[.group][/subresource]`, verb) of RBAC rules."""
    found: set[tuple[str, str]] = set()
    for rule in rules:
        for group in rule["apiGroups"]:
            if group in ("authentication.k8s.io", "authorization.k8s.io"):
                continue  # what every account may ask about itself
            for resource in rule["resources"]:
                name, _, sub = resource.partition("/")
                full = f"{name}.{group}" if group else name
                full = f"{full}/{sub}" if sub else full
                found |= {(full, verb) for verb in rule["verbs"]}
    return found


def test_the_operator_may_not(granted: ControlPlane) -> None:
    asked = [(verb, r) for r in NEVER for verb in ("get", "list", "watch", "create", "delete")]
    asked += [(verb, "configmaps") for verb in ("list", "watch", "update", "delete")]
    answers = can(granted, asked, who=OPERATOR)
    assert [what for what, yes in zip(asked, answers, strict=True) if yes] == []


def test_the_operator_never_writes_what_users_write(granted: ControlPlane) -> None:
    kinds = ("embeddingmodels.lockstep.dev", "vectorindexes.lockstep.dev")
    asked = [(verb, k) for k in kinds for verb in ("create", "update", "patch", "delete")]
    asked += [("patch", f"{kind}/scale") for kind in kinds]
    assert not any(can(granted, asked, who=OPERATOR))


def test_the_lease_is_its_own_alone(granted: ControlPlane) -> None:
    leases = "leases.coordination.k8s.io"
    asked = [
        ("get", f"{leases}#lockstep-operator"),
        ("update", f"{leases}#lockstep-operator"),
        ("create", leases),
        ("get", f"{leases}#other"),
        ("update", f"{leases}#other"),
        ("list", leases),
        ("delete", f"{leases}#lockstep-operator"),
    ]
    answers = can(granted, asked, who=OPERATOR, namespace="lockstep-system")
    assert answers == [True] * 3 + [False] * 4


def test_editors_write_models_and_only_read_releases(granted: ControlPlane, namespace: str) -> None:
    for role in ("edit", "view"):
        granted.kubectl(
            *("create", "rolebinding", role, f"--clusterrole={role}", f"--user={role}er"),
            *("-n", namespace),
        )

    plurals = {kind.kind: f"{kind.plural}.lockstep.dev" for kind in KINDS}
    models, releases = plurals.pop("EmbeddingModel"), plurals.pop("EmbeddingRelease")
    others = list(plurals.values())

    def may(who: str, *asked: tuple[str, str]) -> list[bool]:
        return can(granted, list(asked), who=who, namespace=namespace)

    wait_for(lambda: all(may("editer", ("patch", models), *(("create", kind) for kind in others))))
    wait_for(lambda: all(may("viewer", ("list", models), ("get", releases))))
    assert all(may("editer", ("list", releases), ("patch", f"{models}/scale")))
    assert not any(may("editer", ("patch", releases), ("patch", f"{models}/status")))
    assert all(may("viewer", *(("list", kind) for kind in others)))
    assert not any(may("viewer", ("patch", models), *(("delete", kind) for kind in others)))


def wait_for(condition: Callable[[], bool]) -> None:
    """Roles are aggregated by a controller, a moment later."""
    for _ in range(40):
        if condition():
            return
        time.sleep(0.25)
    raise AssertionError("still not after ten seconds")


def test_install_upgrade_uninstall_keeps_the_crds(
    helm: Helm, control_plane: ControlPlane, namespace: str
) -> None:
    place = ("-n", namespace, "--kubeconfig", str(control_plane.kubeconfig))
    name = f"trial-{namespace}"
    # The CRDs of this control plane were applied by hand: an installation may take them over.
    said = helm.run("install", name, str(CHART), *place, "--take-ownership").stdout
    _check_commands(control_plane, said)
    let_go = helm.run("upgrade", name, str(CHART), *place, "--set", "crds.keep=false").stdout
    assert "uninstalling deletes" in let_go
    assert "stops nothing" not in let_go
    helm.run("upgrade", name, str(CHART), *place, "--set", "replicas=2")
    (deployment,) = json.loads(
        control_plane.kubectl("get", "deployments", "-n", namespace, "-o", "json").stdout
    )["items"]
    assert deployment["spec"]["replicas"] == 2
    helm.run("uninstall", name, *place)
    for kind in KINDS:
        crd = control_plane.kubectl("get", "crd", f"{kind.plural}.lockstep.dev", "-o", "name")
        assert crd.stdout
    left = control_plane.kubectl("get", "deployments,poddisruptionbudgets", "-n", namespace)
    assert left.stdout == ""


def _check_commands(control_plane: ControlPlane, notes: str) -> None:
    """Each command that the notes offer does something; a deletion is only tried."""
    commands = re.findall(r"^  kubectl (.*)$", notes, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        words = command.split()
        if words[0] == "delete":
            words.append("--dry-run=server")
        done = control_plane.kubectl(*words)
        assert "No resources found" not in done.stderr or words[0] == "get"
        assert words[0] != "delete" or done.stdout.count("deleted") == len(KINDS)
