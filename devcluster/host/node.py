"""The node: containerd, the kubelet, kube-proxy and BuildKit."""

from __future__ import annotations

import datetime
import subprocess
from pathlib import Path

from devcluster.host import addons, binaries, cleanup, images
from devcluster.host.api import Api
from devcluster.host.processes import Spec
from devcluster.host.state import (
    DNS_SERVICE_IP,
    NODE_POD_CIDR,
    POD_CIDR,
    Cluster,
    write_json,
)
from devcluster.layout import Layout
from devcluster.report import step

ORDER = ("containerd", "kubelet", "kube-proxy", "buildkitd")
PLUGINS = "/usr/lib/cni"


def _mtu() -> int:
    """MTU of the interface with the default route: a larger one in pods loses packets."""
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1] == "00000000":
            return int(Path(f"/sys/class/net/{fields[0]}/mtu").read_text())
    return 1500


def _network(cluster: Cluster) -> None:
    """Point-to-point links: every packet between pods is routed by the host, so the
    host's service rules see both directions without any bridge or filter module."""
    folder = cluster.layout.config / "cni"
    folder.mkdir(exist_ok=True)
    addresses = {
        "type": "host-local",
        "dataDir": str(cluster.layout.run / "ipam"),
        "ranges": [[{"subnet": NODE_POD_CIDR}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    link = {"type": "ptp", "ipMasq": False, "mtu": _mtu(), "ipam": addresses}
    network = {"cniVersion": "1.0.0", "name": "lockstep", "plugins": [link]}
    write_json(folder / "10-lockstep.conflist", network)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1\n")
    rules = f"""
        table ip {cleanup.NFT_TABLE}
        delete table ip {cleanup.NFT_TABLE}
        table ip {cleanup.NFT_TABLE} {{
          chain postrouting {{
            type nat hook postrouting priority srcnat;
            ip saddr {POD_CIDR} ip daddr != {POD_CIDR} masquerade
          }}
        }}
    """
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
    subprocess.run(["ip", "route", "replace", *cleanup.DEAD_PODS], check=True)


def containerd(cluster: Cluster) -> Spec:
    layout = cluster.layout
    config = layout.config / "containerd.toml"
    config.write_text(f"""version = 2
root = "{layout.containerd_root}"
state = "{layout.containerd_state}"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "{layout.containerd_socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{layout.containerd_root}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{images.PAUSE_IMAGE}"
  # Lowering the score needs CAP_SYS_RESOURCE, which root in a sandbox may not have.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{PLUGINS}"
    conf_dir = "{layout.config}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
""")
    return Spec("containerd", ("containerd", f"--config={config}"))


def _kubelet_config(layout: Layout) -> dict[str, object]:
    authority = {"clientCAFile": str(layout.pki / "ca.crt")}
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "failSwapOn": False,
        "failCgroupV1": False,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": authority,
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(layout.pki / "kubelet.crt"),
        "tlsPrivateKeyFile": str(layout.pki / "kubelet.key"),
        "clusterDomain": "cluster.local",
        "clusterDNS": [DNS_SERVICE_IP],
        "maxPods": 110,
        "serializeImagePulls": False,
        "podLogsDir": str(layout.logs / "pods"),
        "volumePluginDir": str(layout.kubelet_root / "volume-plugins"),
        "makeIPTablesUtilChains": False,
        # Nobody can pull an image again that the node threw away, and on disk pressure the kubelet
        # removes every image that no container uses, the sandbox's included. So the disk is left
        # out here: `up` looks at it, and at the images.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi"},
    }


def kubelet(cluster: Cluster) -> Spec:
    layout = cluster.layout
    (layout.kubelet_root / "volume-plugins").mkdir(parents=True, exist_ok=True)
    config = write_json(layout.config / "kubelet.json", _kubelet_config(layout))
    return Spec(
        "kubelet",
        (
            str(binaries.binary("kubernetes")),
            "kubelet",
            f"--config={config}",
            f"--kubeconfig={layout.pki / 'kubelet.kubeconfig'}",
            f"--hostname-override={cluster.node_name}",
            f"--node-ip={cluster.settings.node_ip}",
            f"--root-dir={layout.kubelet_root}",
        ),
    )


def kube_proxy(cluster: Cluster) -> Spec:
    config = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": POD_CIDR,
        "hostnameOverride": cluster.node_name,
        "clientConnection": {"kubeconfig": str(cluster.layout.pki / "proxy.kubeconfig")},
        "conntrack": {"maxPerCore": 0, "min": 0},
    }
    path = write_json(cluster.layout.config / "kube-proxy.json", config)
    return Spec(
        "kube-proxy", (str(binaries.binary("kubernetes")), "kube-proxy", f"--config={path}")
    )


def buildkitd(cluster: Cluster) -> Spec:
    layout = cluster.layout
    config = layout.config / "buildkitd.toml"
    config.write_text(f"""root = "{layout.buildkit_root}"
[grpc]
  address = ["unix://{layout.buildkit_socket}"]
[worker.oci]
  enabled = false
[worker.containerd]
  enabled = true
  address = "{layout.containerd_socket}"
  namespace = "k8s.io"
  snapshotter = "overlayfs"
  networkMode = "host"
  defaultCgroupParent = "/{cleanup.CGROUPS[1]}"
  gc = true
  maxUsedSpace = "{images.CACHE_BOUND_MB}MB"
  minFreeSpace = "{images.KEEP_FREE_MB}MB"
""")
    # Without a pod to belong to, its containers need no cgroup of the kubelet's.
    return Spec("buildkitd", (str(binaries.binary("buildkitd")), f"--config={config}"))


def start(cluster: Cluster, *, new_server: bool) -> None:
    """Bring up what does not run of the node, and wait until it is Ready."""
    processes, layout = cluster.processes, cluster.layout
    if new_server:
        # They wait ever longer between attempts to reach a server that was away.
        processes.stop(["kubelet", "kube-proxy"], grace=2)
    if processes.alive("containerd") is None and not cleanup.shims(layout):
        step("clearing what an earlier node left")
        processes.stop(ORDER, grace=1)
        cleanup.clear_node(cluster)
    step("starting containerd, the kubelet and kube-proxy")
    _network(cluster)
    processes.ensure(containerd(cluster))
    check = images.runtime_answers
    processes.wait(
        "containerd does not answer", lambda: check(cluster), needs=["containerd"], timeout=60
    )
    images.import_static(cluster)
    since = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if not processes.ensure(kubelet(cluster)):
        since = ""
    processes.ensure(kube_proxy(cluster))
    processes.ensure(buildkitd(cluster))
    api = Api(cluster)
    processes.wait(
        "the node is not Ready",
        lambda: api.node_ready(cluster.node_name, since=since),
        needs=["kube-apiserver", "containerd", "kube-proxy", "kubelet"],
        timeout=120,
    )
    step("the node is Ready")
    addons.apply(cluster)


def stop(cluster: Cluster) -> None:
    """The kubelet first, or it would start again whatever stops after it."""
    cluster.processes.stop(["kubelet"], grace=3)
    cluster.processes.stop(["kube-proxy", "buildkitd"], grace=3)
    cleanup.clear_node(cluster)
    cluster.processes.stop(ORDER, grace=1)
