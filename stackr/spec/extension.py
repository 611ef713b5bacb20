"""Checks `x-stackr`, and reads the policy file that it may name.

As any `x-*`, it is interpolated, merged and extended before it comes here, and printed as written.
"""

from __future__ import annotations

from typing import Any, cast

from stackr.spec.decode import EXTENSION, Faults
from stackr.spec.extension_readers import LEVELS, POLICY
from stackr.spec.loaded import Loaded
from stackr.spec.model.extension import Level, ProjectExtension, ServiceExtension
from stackr.spec.paths import absolute
from stackr.spec.positions import Place
from stackr.spec.rules import Path
from stackr.spec.session import Session
from stackr.spec.source import BadSource, documents
from stackr.spec.structs import struct_of

__all__ = ["check", "read_policy"]

SERVICE = struct_of(ServiceExtension, closed=True)
PROJECT = struct_of(ProjectExtension, closed=True)


def check(tree: dict[str, Any], faults: Faults) -> None:
    """Note what is wrong with the extension in a project's tree."""
    if tree.get(EXTENSION) is not None:
        PROJECT.decode(tree[EXTENSION], (EXTENSION,), faults)
    for name, service in (tree.get("services") or {}).items():
        value = service.get(EXTENSION)
        if value is not None:
            path: Path = ("services", name, EXTENSION)
            typed = SERVICE.decode(value, path, faults)
            test = (service.get("healthcheck") or {}).get("test")
            if typed and "probe" in typed and test is not None:
                message = f"stands beside services.{name}.healthcheck.test: only one of them can be"
                faults.add((*path, "probe"), message, at_key=True)
            if typed and "restart_unhealthy" in typed and _is_unchecked(typed, service):
                message = f"no effect: services.{name}.healthcheck disables the health check"
                faults.add((*path, "restart_unhealthy"), message, at_key=True)


def _is_unchecked(extension: dict[str, Any], service: dict[str, Any]) -> bool:
    """Whether its containers have no health check, whatever their image says."""
    check = service.get("healthcheck") or {}
    test = check.get("test") or ()
    return "probe" not in extension and (bool(check.get("disable")) or list(test)[:1] == ["NONE"])


def read_policy(extension: Any, loaded: Loaded) -> dict[str, Level]:
    """What each risk means, by its ID, from the extension or the file that it names.

    Raises InvalidProject for a file that is no such map.
    """
    policy = extension.get("policy") or {}
    if isinstance(policy, str):
        session = loaded.session
        file = absolute(policy, session.base(loaded.found.working_dir))
        policy = _policy_file(file, session)
    return cast("dict[str, Level]", policy)


def _policy_file(file: str, session: Session) -> dict[str, Any]:
    data = session.read_bytes(file)
    session.sources.add(file, data, searched=False)
    faults = Faults()
    policy: Any = None
    try:
        policy = next((document.value for document in documents(data)), None)
    except BadSource as error:
        place = Place(file, error.line + 1, error.column + 1)
        session.problems.add(error.path, error.message, place=place)
    if isinstance(policy, dict):
        POLICY.decode(policy, (), faults)
    elif policy is not None:
        faults.add((), f"must be a mapping from risks to {', '.join(LEVELS)}")
    session.problems.take(
        fault._replace(place=session.sources.find_in(file, fault.path)) for fault in faults.found
    )
    session.problems.check()
    return policy or {}
