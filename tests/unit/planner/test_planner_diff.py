"""Field-by-field comparison, what is masked, and what never recreates a container."""

from __future__ import annotations

from typing import Any

import pytest
from planning import port, service

from stackr.planner.change.diff import field_changes
from stackr.planner.desired.config_hash import canonical_json, digest, service_spec
from stackr.spec.mask import MASK, is_secret_name, masked
from stackr.spec.model.deploy import Deploy, Resource, Resources


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"user": "a"}, {"user": "b"}, [("user", "a", "b")]),
        ({}, {"user": "b"}, [("user", None, "b")]),
        (
            {"environment": {"A": "1", "B": "2"}},
            {"environment": {"B": "3", "C": "4"}},
            [
                ("environment.A", "1", None),
                ("environment.B", "2", "3"),
                ("environment.C", None, "4"),
            ],
        ),
        ({}, {"environment": {"A": "1"}}, [("environment.A", None, "1")]),
        (
            {"command": ["a", "b"]},
            {"command": ["a", "c"]},
            [("command", ["a", "b"], ["a", "c"])],
        ),
        (
            {"cap_add": ["A", "B"]},
            {"cap_add": ["B", "C"]},
            [("cap_add", ["A"], ["C"])],
        ),
        (
            {"ports": [{"target": 80, "published": "8080", "protocol": "tcp"}]},
            {"ports": [{"target": 80, "published": "9090", "protocol": "tcp"}]},
            [("ports", ["8080:80/tcp"], ["9090:80/tcp"])],
        ),
        (
            {"volumes": [{"target": "/a", "source": "x"}, {"target": "/b"}]},
            {"volumes": [{"target": "/a", "source": "y"}]},
            [("volumes[/a].source", "x", "y"), ("volumes[/b]", {"target": "/b"}, None)],
        ),
        (
            {"configs": [{"source": "a", "target": "/x"}, {"source": "a", "target": "/y"}]},
            {"configs": [{"source": "a", "target": "/x"}, {"source": "a", "target": "/z"}]},
            [
                ("configs[a:/y]", {"source": "a", "target": "/y"}, None),
                ("configs[a:/z]", None, {"source": "a", "target": "/z"}),
            ],
        ),
        (
            {"secrets": [{"source": "a", "mode": 0o400}]},
            {"secrets": [{"source": "a", "mode": 0o440}]},
            [("secrets[a].mode", "0400", "0440")],
        ),
        (
            {"ports": [{"target": 80, "published": "80", "mode": "ingress"}]},
            {"ports": [{"target": 80, "published": "80", "mode": "host"}]},
            [("ports", ["80:80/tcp"], ["80:80/tcp, host"])],
        ),
        (
            {"networks": {"front": None}},
            {"networks": {"back": None}},
            [("networks.back", None, {}), ("networks.front", {}, None)],
        ),
        ({}, {"environment": {"PATH": None}}, [("environment.PATH", None, "(unset)")]),
        (
            {"healthcheck": {"interval": 5.0, "retries": 3}},
            {"healthcheck": {"interval": 6.0, "retries": 3}},
            [("healthcheck.interval", "5s", "6s")],
        ),
    ],
)
def test_fields(
    old: dict[str, Any], new: dict[str, Any], expected: list[tuple[str, Any, Any]]
) -> None:
    assert [(c.path, c.old, c.new) for c in field_changes(old, new)] == expected


@pytest.mark.parametrize(
    "name",
    [
        *("DB_PASSWORD", "PASSWD", "SECRET", "API_KEY", "AUTH_TOKEN", "JWT", "PRIVATE_KEY"),
        *("POSTGRES_PASSWORD", "apiKey", "SECRET_KEY_BASE", "PGPASS", "REDIS_AUTH"),
    ],
)
def test_names_that_sound_secret(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("PATH", "LOG_LEVEL", "PASSWORD_FILE", "KEYBOARD", "MONKEY", "AUTHOR", "PORT", "TZ"),
        *("SECRET_NAME", "COMPASS", "PASSENGERS"),
    ],
)
def test_names_that_do_not(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("path", "value", "shown"),
    [
        ("environment.PASSWORD", "x", MASK),
        ("environment.URL", "postgres://me:pw@db/x", f"postgres://me:{MASK}@db/x"),
        ("command", ["--password=pw", "-v"], [f"--password={MASK}", "-v"]),
        ("environment.LOG", "info", "info"),
        ("environment.TOKEN", None, None),
        ("healthcheck.test", ["CMD", "pg", "--token", "x"], ["CMD", "pg", "--token", "x"]),
        ("secrets[db]", {"source": "db", "sha256": "ab"}, {"source": "db", "sha256": MASK}),
        ("secrets[db.key].sha256", "ab", MASK),
        ("secrets[db].target", "/x", "/x"),
        ("configs[db].sha256", "ab", "ab"),
    ],
)
def test_masked(path: str, value: Any, shown: Any) -> None:
    assert masked(path, value) == (shown, shown != value)


def test_of_deploy_only_resources_and_restarts_count() -> None:
    limits = Deploy(resources=Resources(limits=Resource(cpus=1)))
    assert service_spec(service(deploy=Deploy(replicas=4, labels={"a": "b"}))) == service_spec(
        service()
    )
    assert service_spec(service(deploy=limits))["deploy"] == {
        "resources": {"limits": {"cpus": 1.0}}
    }


def test_order_of_ports_does_not_change_the_hash() -> None:
    one, other = (port(1, "1"), port(2, "2")), (port(2, "2"), port(1, "1"))
    hashes = {digest(canonical_json(service_spec(service(ports=p)))) for p in (one, other)}
    assert len(hashes) == 1
