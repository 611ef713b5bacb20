"""Volumes: when one is made anew, in which order, who forbids it; and which ones go with whom."""

from __future__ import annotations

from typing import Any

import pytest
from fake_runtime import FakeRuntime
from planning import needs, plan_for, service, stack, up

from stackr.errors import Conflict, InvalidArgument
from stackr.planner.change.risk import RISKS
from stackr.planner.commands.lifecycle import plan_down, plan_remove
from stackr.planner.desired.project import desired
from stackr.planner.observe.observed import observe
from stackr.planner.plan.model import Kind, Plan
from stackr.planner.plan.options import DownOptions, UpOptions
from stackr.runtime import labels
from stackr.runtime.container import ContainerConfig, Mount
from stackr.runtime.types import Capabilities, VolumeState
from stackr.spec.model.deploy import Deploy, UpdateConfig
from stackr.spec.model.mounts import ServiceVolume
from stackr.spec.model.project import Project
from stackr.spec.model.service import Service
from stackr.spec.model.volume import Volume

ASKED = UpOptions(recreate_volumes=True)
DATA = ServiceVolume(type="volume", source="data", target="/data")
ANONYMOUS = ServiceVolume(type="volume", target="/anonymous")


def keeping(**services: Service) -> Project:
    return stack(services, volumes={"data": Volume(name="demo_data")})


def changed(**services: Service) -> Project:
    options = {"type": "tmpfs", "device": "tmpfs"}
    return stack(services, volumes={"data": Volume(name="demo_data", driver_opts=options)})


async def running(project: Project) -> FakeRuntime:
    runtime = FakeRuntime.with_images("app")
    runtime.capabilities = Capabilities(handover=True)
    await up(runtime, project)
    return runtime


async def plan_of(runtime: FakeRuntime, project: Project, options: UpOptions = ASKED) -> Plan:
    observed = await observe(
        runtime, "demo", desired(project, options), strangers=options.recreate_volumes
    )
    return plan_for(project, observed, options)


def steps(plan: Plan) -> list[str]:
    return [f"{o.action.value} {o.resource.name}" for o in plan.operations]


class TestMadeAnew:
    async def test_it_is_kept_unless_that_is_asked_for(self) -> None:
        runtime = await running(keeping(web=service(volumes=(DATA,))))
        after = changed(web=service(volumes=(DATA,)))
        plan = await plan_of(runtime, after, UpOptions())
        assert plan.is_empty
        assert plan.warnings == (
            "volume demo_data is kept as it is, although the stack file changed"
            " driver_opts.device, driver_opts.type: creating it again would lose its data"
            " (--yes does that)",
        )

    async def test_it_goes_between_its_containers_and_their_successors(self) -> None:
        update = Deploy(update_config=UpdateConfig(order="start-first"))
        web = service(volumes=(DATA, ANONYMOUS), deploy=update)
        runtime = await running(keeping(web=web, other=service()))
        kept = {m.name for c in runtime.containers.values() for m in c.mounts} - {"demo_data"}
        plan = await plan_of(runtime, changed(web=web, other=service()))
        assert steps(plan) == [
            "stop container demo-web-1",
            "remove container demo-web-1",
            "remove volume demo_data",
            "create volume demo_data",
            "create container demo-web-1",
            "start container demo-web-1",
        ]
        [volume, container] = plan.changes
        assert (volume.kind, volume.cause) == (
            Kind.RECREATE,
            "driver_opts.device, driver_opts.type changed",
        )
        assert container.cause == "volume demo_data is created again"
        _, outcome = await up(runtime, changed(web=web, other=service()), ASKED)
        assert outcome.is_success
        assert runtime.volumes["demo_data"].options == {"type": "tmpfs", "device": "tmpfs"}
        now = {m.name for c in runtime.containers.values() for m in c.mounts} - {"demo_data"}
        assert now == kept
        assert (await plan_of(runtime, changed(web=web, other=service()))).is_empty

    async def test_the_risk_has_a_name(self) -> None:
        runtime = await running(keeping(web=service(volumes=(DATA,))))
        plan = await plan_of(runtime, changed(web=service(volumes=(DATA,))))
        found = {risk.id: risk for risk in plan.risks}
        assert found["volume-removed"].path == "volumes.data"
        assert "its data is lost" in found["volume-removed"].message
        assert "volume-removed" in RISKS

    @pytest.mark.parametrize("how", ["stranger", "other service", "orphan"])
    async def test_what_others_use_is_left_alone(self, how: str) -> None:
        web = service(volumes=(DATA,))
        runtime = await running(keeping(web=web, db=web if how == "other service" else service()))
        options, after = ASKED, changed(web=web, db=service())
        user = "demo-db-1"
        if how == "stranger":
            mount = Mount(type="volume", source="demo_data", target="/d")
            user = "outside"
            await runtime.create_container(user, ContainerConfig(image="app", mounts=(mount,)))
        elif how == "other service":
            options = UpOptions(services=("web",), recreate_volumes=True)
            after = changed(web=web, db=web)
        else:
            await up(runtime, keeping(web=web, db=web))
            after = changed(web=web)
        with pytest.raises(Conflict, match=f"cannot be created again: it is used by {user}"):
            await plan_of(runtime, after, options)

    async def test_orphans_go_first(self) -> None:
        web = service(volumes=(DATA,))
        runtime = await running(keeping(web=web, db=web))
        options = UpOptions(recreate_volumes=True, remove_orphans=True)
        _, outcome = await up(runtime, changed(web=web), options)
        assert outcome.is_success
        assert (await plan_of(runtime, changed(web=web), options)).is_empty

    async def test_one_of_another_project_is_never_touched(self) -> None:
        project = keeping(web=service(volumes=(DATA,)))
        runtime = await running(project)
        state = runtime.volumes["demo_data"]
        owner = {**state.labels, labels.PROJECT: "other"}
        runtime.volumes["demo_data"] = type(state)("demo_data", "local", labels=owner)
        plan = await plan_of(runtime, changed(web=service(volumes=(DATA,))))
        assert plan.is_empty

    async def test_what_is_to_be_undone_loses_no_data(self) -> None:
        runtime = await running(keeping(web=service(volumes=(DATA,))))
        options = UpOptions(recreate_volumes=True, atomic=True)
        with pytest.raises(InvalidArgument, match="--atomic and --yes"):
            await plan_of(runtime, changed(web=service(volumes=(DATA,))), options)

    async def test_what_exists_is_kept_where_that_is_asked(self) -> None:
        runtime = await running(keeping(web=service(volumes=(DATA,))))
        options = UpOptions(recreate_volumes=True, recreate="never")
        plan = await plan_of(runtime, changed(web=service(volumes=(DATA,))), options)
        assert plan.is_empty
        assert plan.warnings


class TestOptionsThatAreAReason:
    project = stack(
        {
            "web": service(depends_on=needs("db"), volumes=(ANONYMOUS,)),
            "db": service(),
            "other": service(),
        }
    )

    @pytest.mark.parametrize(
        ("options", "want"),
        [
            (
                {"renew_anonymous_volumes": True},
                dict.fromkeys(("web", "db", "other"), "new anonymous volumes"),
            ),
            (
                {"renew_anonymous_volumes": True, "services": ("web",)},
                {"web": "new anonymous volumes"},
            ),
            ({"recreate_dependencies": True}, {}),
            ({"recreate_dependencies": True, "services": ("web",)}, {"db": "forced"}),
            ({"recreate": "force", "services": ("web",)}, {"web": "forced"}),
            (
                {"recreate": "force", "recreate_dependencies": True, "services": ("web",)},
                {"web": "forced", "db": "forced"},
            ),
            ({"recreate": "never", "recreate_dependencies": True, "services": ("web",)}, {}),
        ],
    )
    async def test_as_docker_compose_has_it(
        self, options: dict[str, Any], want: dict[str, str]
    ) -> None:
        runtime = await running(self.project)
        plan = await plan_of(runtime, self.project, UpOptions(**options))
        assert {c.resource.service: c.cause for c in plan.changes} == want
        assert {c.kind for c in plan.changes} <= {Kind.RECREATE}


class TestAnonymous:
    @staticmethod
    async def twice(**services: Service) -> FakeRuntime:
        """Up, and recreated once; the anonymous volumes are those of the first containers."""
        runtime = await running(keeping(**services))
        await up(runtime, keeping(**services), UpOptions(recreate="force"))
        return runtime

    async def test_down_takes_those_that_a_recreation_kept(self) -> None:
        runtime = await self.twice(web=service(volumes=(DATA, ANONYMOUS)))
        [kept] = set(runtime.volumes) - {"demo_data"}
        observed = await observe(runtime, "demo")
        assert f"remove volume {kept}" in steps(plan_down(observed, DownOptions(volumes=True)))
        assert not any("volume" in step for step in steps(plan_down(observed, DownOptions())))

    async def test_rm_takes_those_of_its_containers_alone(self) -> None:
        web = service(volumes=(DATA, ANONYMOUS))
        runtime = await self.twice(web=web, db=web)
        [kept] = [m.name for m in runtime._find("demo-web-1").mounts if m.target == "/anonymous"]
        observed = await observe(runtime, "demo")
        plan = plan_remove(observed, ["web"], stop=True, volumes=True)
        assert [step for step in steps(plan) if "volume" in step] == [f"remove volume {kept}"]
        plan = plan_remove(observed, ["web"], stop=True)
        assert not any("volume" in step for step in steps(plan))

    async def test_a_named_volume_stays_whatever_its_name(self) -> None:
        name = "ab" * 32
        project = stack(
            {"web": service(volumes=(DATA,))}, volumes={"data": Volume(name=name, external=True)}
        )
        runtime = FakeRuntime.with_images("app")
        runtime.volumes[name] = VolumeState(name, "local")
        await up(runtime, project)
        await up(runtime, project, UpOptions(recreate="force"))
        plan = plan_down(await observe(runtime, "demo"), DownOptions(volumes=True))
        assert not any("volume" in step for step in steps(plan))

    async def test_those_of_others_stay(self) -> None:
        runtime = await self.twice(
            web=service(volumes=(ANONYMOUS,)),
            side=service(volumes_from=("web",), depends_on=needs("web")),
        )
        plan = plan_remove(await observe(runtime, "demo"), ["side"], stop=True, volumes=True)
        assert not any("volume" in step for step in steps(plan))
