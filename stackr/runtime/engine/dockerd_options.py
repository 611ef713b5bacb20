"""dockerd's options that this engine has not: refused by name, but for the values that are so here
in any case. Source: moby, daemon/config: Config, BridgeConfig and CommonConfig.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["unsupported", "without_settled"]

_NO_SWARM = "the engine takes part in no swarm"
_NO_CONTAINERD = "there is no containerd"
_NFTABLES = "networks need the firewall, by nftables"

_SETTLED: Mapping[str, tuple[tuple[object, ...], str]] = {
    "allow-direct-routing": ((False,), "a container's own addresses are its networks' alone"),
    "authorization-plugins": (([],), "there are no plug-ins"),
    "bridge": (("",), "the network bridge has a bridge of the engine's own: see bip"),
    "bridge-accept-fwmark": (("",), "a container's own addresses are its networks' alone"),
    "containerd": (("",), _NO_CONTAINERD),
    "cri-containerd": ((False,), _NO_CONTAINERD),
    "exec-opts": (
        ([], ["native.cgroupdriver=cgroupfs"]),
        "control groups are written by the engine itself (native.cgroupdriver=cgroupfs)",
    ),
    "experimental": ((False,), "there is nothing that is only then on"),
    "firewall-backend": (("", "nftables"), "the firewall is nftables"),
    "ip-forward": ((True,), "networks need it"),
    "ip-forward-no-drop": ((True,), "the policy of the host's own firewall stays as it is"),
    "ip6tables": ((True,), _NFTABLES),
    "iptables": ((True,), _NFTABLES),
    "node-generic-resources": (([],), _NO_SWARM),
    "nri-opts": (({}, {"enable": False}), "there are no plug-ins"),
    "raw-logs": ((False,), "there are no colours in logs"),
    "rootless": ((False,), "the engine is root's"),
    "runtimes": (({},), "crun and runc are found on the host: see default-runtime"),
    "selinux-enabled": ((False,), "labels are not set"),
    "storage-driver": (("", "overlay2"), "layers are kept by overlayfs alone (overlay2)"),
    "storage-opts": (([],), "a container's size is its own option: --storage-opt size=..."),
    "swarm-default-advertise-addr": (("",), _NO_SWARM),
    "userland-proxy": ((True,), "a relay answers where the firewall cannot"),
    "userns-remap": (("",), "containers are in the host's user namespace"),
}
"""The values that this engine has, and why there are no others."""

_FEATURES: Mapping[str, bool] = {
    "buildkit": False,
    "cdi": True,
    "containerd-snapshotter": False,
    "windows-dns-proxy": False,
}
"""What of `features` is so here, and cannot be otherwise."""

_ABSENT: Mapping[str, str] = {
    "allow-nondistributable-artifacts": "every layer is pushed",
    "api-cors-header": "requests of web pages are refused",
    "cluster-advertise": _NO_SWARM,
    "cluster-store": _NO_SWARM,
    "cluster-store-opts": _NO_SWARM,
    "containerd-namespace": _NO_CONTAINERD,
    "containerd-plugin-namespace": _NO_CONTAINERD,
    "cpu-rt-period": "a container's own options are there",
    "cpu-rt-runtime": "a container's own options are there",
    "default-gateway": "the gateway of the network bridge is the bridge: see bip",
    "default-gateway-v6": "the gateway of the network bridge is the bridge: see bip6",
    "deprecated-key-path": "there is no such key",
    "http-proxy": 'write {"proxies": {"http-proxy": ...}}',
    "https-proxy": 'write {"proxies": {"https-proxy": ...}}',
    "no-proxy": 'write {"proxies": {"no-proxy": ...}}',
    "network-control-plane-mtu": _NO_SWARM,
    "network-diagnostic-port": _NO_SWARM,
    "oom-score-adjust": "the engine's is -500",
    "userland-proxy-path": "the relay is the engine's own",
}


def without_settled(values: Mapping[str, object]) -> dict[str, object]:
    """Without what asks for what is so in any case."""
    return {key: value for key, value in values.items() if not _is_settled(key, value)}


def unsupported(key: str, value: object) -> str | None:
    """Why dockerd has it and this engine has not; None for what is another matter."""
    if key == "features":
        features = value if isinstance(value, dict) else {}
        wanted = [name for name, is_on in features.items() if _FEATURES.get(name) is not is_on]
        return f"{wanted[0]}={str(features[wanted[0]]).lower()}" if wanted else "expected an object"
    if key in _SETTLED:
        return _SETTLED[key][1]
    return _ABSENT.get(key)


def _is_settled(key: str, value: object) -> bool:
    if key == "features" and isinstance(value, dict):
        return all(_FEATURES.get(name) is is_on for name, is_on in value.items())
    if key not in _SETTLED:
        return False
    return any(type(value) is type(each) and value == each for each in _SETTLED[key][0])
