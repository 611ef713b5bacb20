"""Numbers from outside that are none, or longer than numbers are, are refused by name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stackr.errors import InvalidArgument
from stackr.runtime.engine.api.container_filters import ListOptions, select
from stackr.runtime.engine.api.filters import Filters
from stackr.runtime.engine.container.io import log_options
from stackr.runtime.engine.container.io.deliveries import facility
from stackr.runtime.engine.container.life.networking import check_ports
from stackr.runtime.engine.container.oci.devices import parse_rules
from stackr.runtime.engine.container.oci.user import ProcessUser, resolve_user
from stackr.runtime.engine.container.settings.links import Link, link_environment
from stackr.runtime.engine.container.settings.signals import signal_number
from stackr.runtime.engine.container.settings.spec import Config, HostConfig, LogConfig
from stackr.runtime.engine.image.changes import apply_changes
from stackr.runtime.engine.network.bridge import mtu_of
from stackr.runtime.engine.network.types import NetworkSpec

LONG, ARABIC, SUPERSCRIPT = "9" * 5000, "\u0663", "\u00b2"


def user(text: str) -> object:
    return resolve_user(text, passwd="", group="")


def log(**options: str) -> object:
    keys = {key.replace("_", "-"): value for key, value in options.items()}
    return log_options.rotation(LogConfig(type="json-file", config=keys))


def published(key: str, port: str) -> None:
    bindings = {key: [{"HostIp": "", "HostPort": port}]}
    check_ports(Config(), HostConfig.model_validate({"PortBindings": bindings}))


def listed(**filters: str) -> object:
    chosen = Filters({key: (value,) for key, value in filters.items()})
    options = ListOptions(chosen, True, 0, str, str, lambda _: (), lambda _: pytest.fail("none"))
    return select([], options)


@pytest.mark.parametrize("number", [LONG, ARABIC, SUPERSCRIPT])
@pytest.mark.parametrize(
    "parse",
    [
        pytest.param(user, id="user"),
        pytest.param(lambda text: user(f"0:{text}"), id="group"),
        pytest.param(
            lambda text: resolve_user("", passwd="", group="", group_add=[text]), id="group_add"
        ),
        pytest.param(signal_number, id="signal"),
        pytest.param(lambda text: signal_number(f"RTMIN+{text}"), id="realtime"),
        pytest.param(facility, id="facility"),
        pytest.param(lambda text: log(max_file=text), id="max-file"),
        pytest.param(lambda text: log(max_size=f"{text}m"), id="max-size"),
        pytest.param(lambda text: published(f"{text}/tcp", ""), id="port"),
        pytest.param(lambda text: published("80/tcp", text), id="host port"),
        pytest.param(lambda text: parse_rules([f"c {text}:3 rwm"]), id="device"),
        pytest.param(lambda text: listed(publish=text), id="publish"),
        pytest.param(lambda text: listed(expose=f"80-{text}"), id="expose"),
        pytest.param(
            lambda text: mtu_of(NetworkSpec("n", options={"com.docker.network.driver.mtu": text})),
            id="mtu",
        ),
        pytest.param(lambda text: apply_changes({}, [f"STOPSIGNAL {text}"]), id="STOPSIGNAL"),
        pytest.param(lambda text: apply_changes({}, [f"EXPOSE {text}"]), id="EXPOSE"),
        pytest.param(
            lambda text: apply_changes({}, [f"HEALTHCHECK --retries={text} CMD x"]), id="retries"
        ),
        pytest.param(
            lambda text: apply_changes({}, [f"HEALTHCHECK --interval={text}s CMD x"]),
            id="interval",
        ),
    ],
)
def test_refused(parse: Callable[[str], object], number: str) -> None:
    with pytest.raises(InvalidArgument):
        parse(number)


@pytest.mark.parametrize("number", [LONG, ARABIC, SUPERSCRIPT, str(2**31)])
def test_an_account_of_an_image_without_a_number_is_none(number: str) -> None:
    passwd = f"bad:x:{number}:0::/:/bin/sh\nworse:x:0:{number}::/:/bin/sh\ngood:x:7:8::/g:/bin/sh\n"
    group = f"bad:x:{number}:good\nstaff:x:50:good\n"
    found = resolve_user("good", passwd=passwd, group=group)
    assert found == ProcessUser(7, 8, (8, 50), "/g")
    for name in ("bad", "worse"):
        with pytest.raises(InvalidArgument, match="no matching entries in passwd file"):
            resolve_user(name, passwd=passwd, group=group)


def test_ports_of_an_image_that_are_none_are_not_linked() -> None:
    exposed = ("80", "53/udp", "8000-8010/tcp", f"{LONG}/tcp", "99999/tcp", "x/y", "/tcp", "")
    config = Config(exposed_ports={port: {} for port in exposed})
    assert config.exposed_numbers == ((53, "udp"), (80, "tcp"), (8000, "tcp"))
    link = Link("db", "db", "/web/db", "10.0.0.2", config)
    assert "DB_PORT=tcp://10.0.0.2:80" in link_environment([link])
