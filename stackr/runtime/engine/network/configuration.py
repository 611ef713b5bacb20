"""Networks that are settings alone, and those that take their settings from one; pure.

Source: moby `daemon/libnetwork/network.go`, validateConfiguration and applyConfigurationTo.
"""

from __future__ import annotations

from dataclasses import replace

from stackr.errors import PermissionDenied
from stackr.runtime.engine.network.types import NetworkSpec

__all__ = ["check_configuration", "configured"]


def check_configuration(spec: NetworkSpec) -> None:
    """Raises PermissionDenied, with Docker's texts, for what excludes each other."""
    if spec.config_only and (spec.internal or spec.attachable):
        raise PermissionDenied(
            "configuration network can only contain network specific fields. Network operator"
            " fields like [ ingress | internal | attachable | scope ] are not supported."
        )
    if spec.config_only and spec.config_from:
        raise PermissionDenied(
            "a configuration network cannot depend on another configuration network"
        )
    if spec.config_from and (spec.pools or spec.options or spec.ipam_options or spec.enable_ipv6):
        raise PermissionDenied(
            "user-specified configurations are not supported if the network depends on a"
            " configuration network"
        )


def configured(spec: NetworkSpec, settings: NetworkSpec) -> NetworkSpec:
    """A network with the settings of another; its own labels stay."""
    return replace(
        spec,
        enable_ipv4=settings.enable_ipv4,
        enable_ipv6=settings.enable_ipv6,
        ipam_driver=settings.ipam_driver,
        ipam_options=settings.ipam_options,
        pools=settings.pools,
        options=settings.options,
        labels={**settings.labels, **spec.labels},
    )
