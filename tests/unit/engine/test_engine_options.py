"""The engine's options: dockerd's names, errors with file and key, and what a reload takes over."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from stackr.errors import InvalidArgument, NotSupported, StackrError
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.container.settings.defaults import with_defaults
from stackr.runtime.engine.container.settings.spec import HostConfig
from stackr.runtime.engine.events import EventBus
from stackr.runtime.engine.options import EngineOptions, merged, options_of
from stackr.runtime.engine.reload import reload_options

DOCKERD = Path(__file__).with_name("dockerd_options.txt").read_text().split()
"""The names of moby's daemon/config, and those of dockerd 20.10 that are gone from it."""


def write(path: Path, **options: Any) -> Path:
    path.write_text(json.dumps({key.replace("_", "-"): value for key, value in options.items()}))
    return path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hots": []}, 'f: hots: unknown option; did you mean "hosts"?'),
        ({"log_level": "x"}, 'f: log_level: unknown option; did you mean "log-level"?'),
        ({"tls": "yes"}, "f: tls: input should be a valid boolean"),
        ({"hosts": "fd://"}, "f: hosts: input should be a list"),
        ({"hosts": ["x"]}, 'f: hosts: "x": not an address to listen at; write'),
        ({"log-opts": {"max-size": 5}}, "f: log-opts.max-size: input should be a valid string"),
        ({"bip": "10.0.0.1"}, 'f: bip: "10.0.0.1" is not an address and a prefix'),
        ({"mtu": 1}, "f: mtu: input should be greater than or equal to 68"),
        ({"dns": ["a"]}, "f: dns: 'a' does not appear to be an IPv4 or IPv6 address"),
        ({"labels": ["a"]}, 'f: labels: "a" is not KEY=VALUE'),
        ({"registry-mirrors": ["a"]}, 'f: registry-mirrors: "a" is not http(s)://HOST[:PORT]'),
        ({"metrics-addr": "9323"}, 'f: metrics-addr: "9323" is not ADDRESS:PORT'),
        (
            {"default-address-pools": [{"base": "10.0.0.0/16", "size": 8}]},
            "f: default-address-pools: 10.0.0.0/16: no networks of size 8 fit into it",
        ),
        ({"default-shm-size": "much"}, 'f: default-shm-size: "much" is not a size such as 64m'),
        ({"userns-remap": "default"}, "f: userns-remap: not supported by the embedded engine: "),
        (
            {"features": {"cdi": True, "containerd-snapshotter": True}},
            "f: features: not supported by the embedded engine: containerd-snapshotter=true",
        ),
        ({"iptables": False}, "f: iptables: not supported by the embedded engine: networks need"),
        (
            {"bip": "10.0.0.1/16", "fixed-cidr": "10.1.0.0/24"},
            "f: fixed-cidr: 10.1.0.0/24 is not within 10.0.0.0/16",
        ),
        ({"bip6": "fd00::1/64"}, "f: bip6, fixed-cidr-v6: the network bridge has IPv6 with"),
        ({"min-api-version": "1.9"}, "f: min-api-version: minimum supported API version is 1.24"),
        ({"default-ipc-mode": "host"}, "f: default-ipc-mode: input should be 'private' or"),
        ({"default-stop-timeout": -1}, "f: default-stop-timeout: input should be greater"),
        ({"cdi-spec-dirs": ["cdi"]}, 'f: cdi-spec-dirs: "cdi" is not an absolute path'),
        ({"proxies": {"http-proxy": "x"}}, "f: proxies.http-proxy: not an address such as"),
        ({"builder": {"gc": {"policy": []}}}, "f: builder.gc.policy: unknown option"),
    ],
)
def test_errors_name_the_key(options: dict[str, Any], message: str) -> None:
    with pytest.raises(StackrError) as raised:
        options_of(options, "f")
    hint = f"; {raised.value.hint}" if raised.value.hint else ""
    assert f"{raised.value.message}{hint}".startswith(message)


def test_what_is_so_anyway_may_be_asked_for() -> None:
    settled = {"iptables": True, "storage-driver": "overlay2", "features": {"buildkit": False}}
    assert options_of(settled, "f") == EngineOptions()


@pytest.mark.parametrize("key", DOCKERD)
def test_no_option_of_dockerds_is_passed_over(key: str) -> None:
    """It is an option here, too, or refused with the reason."""
    if key in {name.replace("_", "-") for name in EngineOptions.model_fields}:
        return
    with pytest.raises(NotSupported, match=f"f: {key}: not supported by the embedded engine: ."):
        options_of({key: "/no-value-of-this-engine"}, "f")


def test_the_documentation_names_each() -> None:
    page = (Path(__file__).parents[3] / "docs/engine.md").read_text()
    own = {name.replace("_", "-") for name in EngineOptions.model_fields}
    assert [key for key in {*own, *DOCKERD} if f"`{key}`" not in page] == []


def test_the_limit_of_the_build_cache() -> None:
    config = EngineConfig(build_cache_bytes=5)
    assert config.build_limit_bytes == 5
    for gc, limit in (
        ({"defaultKeepStorage": "20GB"}, 20 << 30),
        ({"defaultMaxUsedSpace": "1m", "defaultKeepStorage": "2m"}, 1 << 20),
        ({"enabled": False}, 0),
    ):
        config.live.options = options_of({"builder": {"gc": gc}}, "f")
        assert config.build_limit_bytes == limit


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON: line 1, column 2"),
        ('{"debug": true, "debug": false}', '"debug" is there twice'),
        ("[]", "not a JSON object"),
        ("[" * 100_000, "cannot be read|not JSON"),
    ],
)
def test_files_that_are_none(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "engine.json"
    path.write_text(text)
    with pytest.raises(InvalidArgument, match=message) as raised:
        merged(path, {})
    assert str(path) in raised.value.message
    with pytest.raises(InvalidArgument, match="cannot be read: No such file"):
        merged(tmp_path / "none", {})


def test_an_option_comes_from_one_place(tmp_path: Path) -> None:
    file = write(tmp_path / "engine.json", debug=True, hosts=["fd://"])
    with pytest.raises(InvalidArgument, match="both as a flag and in the") as raised:
        merged(file, {"hosts": ["unix:///x"]})
    assert "hosts: (from flag: ['unix:///x'], from file: ['fd://'])" in raised.value.message
    both = merged(file, {"labels": ["a=b"]})
    assert (both.debug, both.hosts, both.labels) == (True, ("fd://",), ("a=b",))


def test_folders_come_from_flag_or_environment_or_file(tmp_path: Path) -> None:
    file = write(tmp_path / "engine.json", data_root="/file/data", exec_root="/file/run")
    environ = {"STACKR_ENGINE_CONFIG": str(file)}
    assert str(EngineConfig.from_environment(environ).data_root) == "/file/data"
    environ["STACKR_DATA_ROOT"] = "/env/data"
    config = EngineConfig.from_environment(environ)
    assert (str(config.data_root), str(config.socket)) == ("/env/data", "/file/run/stackr.sock")
    config = EngineConfig.from_environment(environ, flags={"data-root": "/flag/data"})
    assert str(config.data_root) == "/flag/data"


def test_a_reload_takes_over_what_dockerd_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = write(tmp_path / "engine.json", labels=["a=1"], mtu=1400)
    config, events = EngineConfig(file=file), EventBus()
    config.live.options = config.read_options()
    write(
        file,
        labels=["a=2"],
        mtu=1300,
        registry_mirrors=["http://m:5000"],
        default_shm_size="1m",
        default_ipc_mode="shareable",
        default_stop_timeout=3,
    )
    reload_options(config, "id", events)
    assert (config.options.labels, config.options.mtu) == (("a=2",), 1400)
    host = with_defaults(HostConfig(), config.options)
    assert (host.shm_size, host.ipc_mode) == (1 << 20, "shareable")
    assert "option mtu: counts from the engine's next start" in caplog.text
    (event,) = events.kept()
    assert (event.type, event.action, event.id) == ("daemon", "reload", "id")
    assert event.attributes["registry-mirrors"] == '["http://m:5000"]'
    assert event.attributes["debug"] == "false"
    assert event.attributes["default-stop-timeout"] == "3"
    file.write_text('{"mtuu": 1}')
    reload_options(config, "id", events)
    assert config.options.labels == ("a=2",)
    assert f"options are as before: {file}: mtuu: unknown option" in caplog.text
    assert len(events.kept()) == 1
    logging.getLogger().setLevel(logging.WARNING)


def test_containers_get_what_they_do_not_say() -> None:
    options = options_of(
        {
            "log-opts": {"max-size": "1m", "max-file": "2"},
            "init": True,
            "no-new-privileges": True,
            "default-shm-size": "1m",
            "default-cgroupns-mode": "host",
            "cgroup-parent": "/all",
        },
        "f",
    )
    host = with_defaults(HostConfig(), options)
    assert (host.log_config.type, host.log_config.config["max-file"]) == ("json-file", "2")
    assert (host.init, host.shm_size, host.security_opt) == (True, 1 << 20, ["no-new-privileges"])
    assert (host.cgroupns_mode, host.cgroup_parent, host.ipc_mode) == ("host", "/all", "")
    own = HostConfig.model_validate(
        {
            "CgroupParent": "own",
            "CgroupnsMode": "private",
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "9m"}},
            "Init": False,
            "ShmSize": 5,
            "SecurityOpt": ["no-new-privileges:false"],
        }
    )
    host = with_defaults(own, options)
    assert host.log_config.config == {"max-size": "9m", "max-file": "2"}
    assert (host.init, host.shm_size) == (False, 5)
    assert (host.cgroup_parent, host.cgroupns_mode) == ("own", "private")
    assert host.security_opt == ["no-new-privileges:false"]
    none = HostConfig.model_validate({"LogConfig": {"Type": "none"}})
    assert with_defaults(none, options).log_config.config == {}
    assert with_defaults(HostConfig(), EngineOptions()).shm_size == 64 << 20
