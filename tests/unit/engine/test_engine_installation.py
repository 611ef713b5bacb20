"""The service of systemd: its units, the steps that make it, and what is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackr.errors import Conflict, NotFound, NotSupported
from stackr.runtime.engine import installation
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.installation import check_installable, install_steps, uninstall_steps
from stackr.runtime.engine.units import DOCKER_SOCKET, Install, service_unit, socket_unit

_PACKAGING = Path(__file__).parents[3] / "packaging"
_INSTALL = Install(["/usr/local/bin/stackr"], ["/run/stackr/stackr.sock"], "stackr")


def test_the_packages_units_are_these() -> None:
    assert (_PACKAGING / "stackr.socket").read_text() == socket_unit(_INSTALL)
    assert (_PACKAGING / "stackr.service").read_text() == service_unit(_INSTALL)


def test_units_say_what_is_asked_for() -> None:
    install = Install(["/opt/a b/stackr", "100%"], ["/run/x", DOCKER_SOCKET], "wheel")
    command = 'ExecStart="/opt/a b/stackr" "100%%" engine start --foreground --group wheel\n'
    assert command in service_unit(install)
    assert f"ListenStream=/run/x\nListenStream={DOCKER_SOCKET}\n" in socket_unit(install)
    assert "SocketGroup=wheel\n" in socket_unit(install)


def steps(root: Path) -> list[installation.Step]:
    return list(install_steps(_INSTALL, EngineConfig(), root, start=True))


def test_it_is_written_below_another_root_again_and_again(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/group").write_text("root:x:0:\nstackr:x:990:\n")
    for _ in range(2):
        for step in steps(tmp_path):
            step.run()
    units = tmp_path / "etc/systemd/system"
    assert (units / "stackr.service").read_text() == service_unit(_INSTALL)
    assert (units / "stackr.service").stat().st_mode & 0o777 == 0o644
    link = units / "multi-user.target.wants/stackr.service"
    assert link.resolve() == units / "stackr.service"
    for step in uninstall_steps(tmp_path):
        step.run()
    assert not [path for path in units.rglob("*") if not path.is_dir()]


def test_a_packages_own_units_are_linked_and_not_written(tmp_path: Path) -> None:
    """So that the package's upgrades change them; a copy of before goes."""
    packaged, units = tmp_path / "usr/lib/systemd/system", tmp_path / "etc/systemd/system"
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/group").write_text("stackr:x:990:\n")
    for step in steps(tmp_path):
        step.run()
    packaged.mkdir(parents=True)
    (packaged / "stackr.socket").write_text(socket_unit(_INSTALL))
    (packaged / "stackr.service").write_text(service_unit(_INSTALL))
    for step in steps(tmp_path):
        step.run()
    assert [path.name for path in units.iterdir() if path.is_file()] == []
    link = units / "multi-user.target.wants/stackr.service"
    assert str(link.readlink()) == "/usr/lib/systemd/system/stackr.service"
    (packaged / "stackr.socket").write_text("[Socket]\n")
    assert f"write {units / 'stackr.socket'}" in [step.text for step in steps(tmp_path)]
    for step in uninstall_steps(tmp_path):
        step.run()
    assert not [path for path in units.rglob("*") if not path.is_dir()]


def test_a_group_is_made_where_it_is_missing(tmp_path: Path) -> None:
    assert steps(tmp_path)[0].text == f"run groupadd --prefix {tmp_path} --system -- stackr"


def test_a_running_system_is_told() -> None:
    texts = [step.text for step in steps(Path("/"))]
    assert texts[-3:] == [
        "run systemctl daemon-reload",
        "end the engine that runs by itself; containers go on",
        "run systemctl restart stackr.socket stackr.service",
    ]


def test_somebody_elses_unit_stays(tmp_path: Path) -> None:
    unit = tmp_path / "etc/systemd/system/stackr.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\n")
    with pytest.raises(Conflict, match="is not of stackr engine install"):
        steps(tmp_path)
    with pytest.raises(Conflict, match="is not of stackr engine install"):
        list(uninstall_steps(tmp_path))


def test_without_systemd_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "_RUNS_SYSTEMD", tmp_path / "none")
    with pytest.raises(NotSupported, match="systemd does not run here"):
        check_installable(Path("/"))
    with pytest.raises(NotSupported, match=r"^engine uninstall: systemd does not run here"):
        check_installable(Path("/"), command="uninstall")


def test_a_root_without_a_system_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="holds no system"):
        check_installable(tmp_path / "mistyped")
