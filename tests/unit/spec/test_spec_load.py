"""Whole stack files: how files combine, what is filled in, what is refused and how it is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stackr.errors import InvalidProject
from stackr.spec.discover import normalize_name
from stackr.spec.load import LoadOptions, load, load_tree
from stackr.spec.model.project import Project

Load = Callable[..., Project]
Refused = Callable[..., list[str]]
Write = Callable[[dict[str, str]], Path]


class TestDiscovery:
    def test_the_file_is_looked_for_upwards_with_its_override(self, write: Write) -> None:
        folder = write(
            {
                "compose.yaml": "services: {a: {image: i}}",
                "compose.override.yml": "services: {a: {image: j}}",
                "sub/x": "",
            }
        )
        project = load(LoadOptions(), {}, folder / "sub")
        assert project.services["a"].image == "j"
        assert [Path(file).name for file in project.compose_files] == [
            "compose.yaml",
            "compose.override.yml",
        ]
        assert (project.name, project.working_dir) == ("proj", str(folder))

    def test_several_candidates_are_a_warning(self, project: Load) -> None:
        text = "services: {a: {image: i}}"
        loaded = project({"compose.yaml": text, "docker-compose.yml": text})
        assert any("Found multiple config files" in warning for warning in loaded.warnings)

    def test_compose_file_names_several(self, project: Load) -> None:
        files = {"a.yml": "services: {a: {image: i}}", "b.yml": "services: {b: {image: j}}"}
        loaded = project(files, {"COMPOSE_FILE": "a.yml,b.yml", "COMPOSE_PATH_SEPARATOR": ","})
        assert sorted(loaded.services) == ["a", "b"]

    def test_what_is_not_there_is_told(self, project: Load, problems: Refused) -> None:
        assert problems({"x": ""}) == ["no configuration file provided: not found"]
        (missing,) = problems({"x": ""}, files=("no.yaml",))
        assert "no.yaml: no such file or directory" in missing
        (named,) = problems({"x": ""}, {"COMPOSE_FILE": "no.yml"})
        assert "stat " in named
        (folder,) = problems({"x": ""}, files=(".",))
        assert "is a directory" in folder
        (remote,) = problems({"x": ""}, files=("git@example.com:a/b.git",))
        assert "not supported" in remote

    @pytest.mark.parametrize(
        ("text", "env", "options", "name"),
        [
            ("", {}, {}, "proj"),
            ("name: My App\n", {}, {}, "myapp"),
            ("name: ${N:-x}-y\n", {"N": "n"}, {}, "n-y"),
            ("name: a\n", {"COMPOSE_PROJECT_NAME": "env"}, {}, "env"),
            ("name: a\n", {"COMPOSE_PROJECT_NAME": "env"}, {"project_name": "given"}, "given"),
        ],
    )
    def test_names(
        self, project: Load, text: str, env: dict[str, str], options: dict[str, Any], name: str
    ) -> None:
        text += "services: {a: {image: '${COMPOSE_PROJECT_NAME}'}}"
        loaded = project(text, env, **options)
        assert loaded.name == name
        assert loaded.services["a"].image == name

    def test_names_that_are_none(self, problems: Refused) -> None:
        assert "invalid project name" in problems("services: {}", project_name="A b")[0]
        assert "must not be empty" in problems("name: ${NO}\nservices: {}")[0]
        assert normalize_name("_A.b-C") == "ab-c"

    def test_profiles(self, project: Load) -> None:
        text = "services: {a: {image: i}, b: {image: i, profiles: [p]}}"
        assert sorted(project(text).disabled_services) == ["b"]
        assert sorted(project(text, profiles=("p",)).services) == ["a", "b"]
        assert sorted(project(text, {"COMPOSE_PROFILES": "x, p"}).services) == ["a", "b"]
        assert sorted(project(text, services=("b",)).services) == ["b"]

    def test_dot_env_gives_way_to_the_environment(self, project: Load) -> None:
        files = {"compose.yaml": "services: {a: {image: '$A$B'}}", ".env": "A=file\nB=file\n"}
        assert project(files, {"A": "env"}).services["a"].image == "envfile"
        files["compose.yaml"] = "services: {a: {image: 'i$A'}}"
        assert project(files, {"COMPOSE_DISABLE_ENV_FILE": "1"}).services["a"].image == "i"

    def test_env_files_are_given(self, project: Load, problems: Refused) -> None:
        files = {"compose.yaml": "services: {a: {image: '$A'}}", "x.env": "A=x\n", ".env": "A=y\n"}
        assert project(files, env_files=("x.env",)).services["a"].image == "x"
        assert project(files, {"COMPOSE_ENV_FILES": "x.env"}).services["a"].image == "x"
        assert "couldn't find env file" in problems(files, env_files=("no",))[0]


class TestCombining:
    def test_lists_append_maps_merge_scalars_are_replaced(self, project: Load) -> None:
        service = project(
            {
                "a.yaml": "services: {s: {image: i, ports: ['80:80'], command: a b,"
                " environment: {A: '1', B: '1'}, labels: [x=1], dns: 1.1.1.1,"
                " logging: {driver: d, options: {a: '1'}}, ulimits: {nofile: 1}}}",
                "b.yaml": "services: {s: {ports: ['81:81', '80:80'], command: [c],"
                " environment: [B=2, C=3], labels: {y: 2}, dns: [2.2.2.2],"
                " logging: {driver: e}, ulimits: {nofile: {soft: 1, hard: 2}}}}",
            },
            files=("a.yaml", "b.yaml"),
        ).services["s"]
        assert [port.published for port in service.ports] == ["80", "81"]
        assert service.command == ("c",)
        assert service.environment == {"A": "1", "B": "2", "C": "3"}
        assert service.labels == {"x": "1", "y": "2"}
        assert service.dns == ("1.1.1.1", "2.2.2.2")
        assert service.logging is not None
        assert (service.logging.driver, service.logging.options) == ("e", {})
        assert service.ulimits["nofile"].limits == (1, 2)

    def test_reset_and_override(self, project: Load) -> None:
        service = project(
            {
                "a.yaml": "services: {s: {image: i, ports: ['80'], dns: [1.1.1.1], user: u}}",
                "b.yaml": "services: {s: {ports: !reset [], dns: !override [2.2.2.2],"
                " user: !reset null}}",
            },
            files=("a.yaml", "b.yaml"),
        ).services["s"]
        assert (service.ports, service.dns, service.user) == ((), ("2.2.2.2",), None)

    def test_documents_of_a_file_override_each_other(self, project: Load) -> None:
        text = "services: {s: {image: i}}\n---\nservices: {s: {image: j}}\n"
        assert project(text).services["s"].image == "j"

    def test_address_pools_merge_by_subnet(self, project: Load) -> None:
        pool = "networks: {{n: {{ipam: {{config: [{{subnet: {0}, {1}: {2}}}]}}}}}}\n"
        base = "services: {s: {image: i, networks: [n]}}\n" + pool.format(
            "10.0.0.0/24", "gateway", "10.0.0.1"
        )
        same = pool.format("10.0.0.0/24", "ip_range", "10.0.0.0/28")
        other = pool.format("10.1.0.0/24", "gateway", "10.1.0.1")
        merged = project({"a": base, "b": same}, files=("a", "b")).networks["n"].ipam.config
        assert [(each.gateway, each.ip_range) for each in merged] == [("10.0.0.1", "10.0.0.0/28")]
        replaced = project({"a": base, "b": other}, files=("a", "b")).networks["n"].ipam.config
        assert [each.subnet for each in replaced] == ["10.1.0.0/24"]

    def test_kinds_that_do_not_merge(self, problems: Refused) -> None:
        files = {"a": "services: {s: {image: i, deploy: {labels: []}}}", "b": "services: {s: []}"}
        assert "s: must be a mapping" in problems(files, files=("a", "b"))[0]
        files["b"] = "services: {s: {deploy: 3}}"
        assert "another kind" in problems(files, files=("a", "b"))[0]

    def test_extends_across_folders(self, project: Load, write: Write) -> None:
        loaded = project(
            {
                "compose.yaml": "services: {s: {extends: {file: sub/b.yaml, service: b},"
                " environment: {X: y}}}",
                "sub/b.yaml": "services: {a: {image: i, volumes: ['./d:/d']},"
                " b: {extends: a, environment: {X: x, Z: z}, env_file: e.env}}",
                "sub/e.env": "E=1\n",
            }
        )
        service = loaded.services["s"]
        assert service.image == "i"
        assert service.environment == {"X": "y", "Z": "z", "E": "1"}
        assert service.volumes[0].source == f"{loaded.working_dir}/sub/d"
        place = loaded.position("services.s.image")
        assert place is not None
        assert place.file == "sub/b.yaml"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("services: {a: {extends: b}, b: {extends: a}}", "circular reference: a -> b -> a"),
            ("services: {a: {extends: no}}", 'service "no" not found'),
            ("services: {a: {extends: {file: x}}}", '"service" is missing'),
            ("services: {a: {extends: {file: 1, service: b}}}", "must be a string"),
            ("services: {a: {extends: {file: no.yaml, service: b}}}", "no such file"),
            ("services: {a: {extends: {file: compose.yaml, service: a}}}", "circular reference"),
            ("services: {a: {extends: {file: 'oci://x', service: a}}}", "not supported"),
        ],
    )
    def test_extends_that_fail(self, problems: Refused, text: str, message: str) -> None:
        assert message in problems(text)[0]

    def test_include_has_its_own_folder_and_environment(self, project: Load) -> None:
        loaded = project(
            {
                "compose.yaml": "include: [sub/c.yaml]\n"
                "services: {s: {image: '${V:-none}', depends_on: [i]}}",
                "sub/c.yaml": "services: {i: {image: '${V}', volumes: ['./d:/d', 'vol:/v']}}\n"
                "volumes: {vol: {}}",
                "sub/.env": "V=inner\n",
            }
        )
        assert loaded.services["s"].image == "none"
        included = loaded.services["i"]
        assert included.image == "inner"
        assert included.volumes[0].source == f"{loaded.working_dir}/sub/d"
        assert loaded.volumes["vol"].name == "proj_vol"

    def test_include_in_its_long_form(self, project: Load) -> None:
        loaded = project(
            {
                "compose.yaml": "include:\n- path: [sub/a.yaml, sub/b.yaml]\n"
                "  project_directory: .\n  env_file: x.env\n",
                "sub/a.yaml": "services: {i: {image: '${V}', volumes: ['./d:/d']}}",
                "sub/b.yaml": "services: {i: {user: u}}",
                "x.env": "V=given\n",
            }
        )
        included = loaded.services["i"]
        assert (included.image, included.user) == ("given", "u")
        assert included.volumes[0].source == f"{loaded.working_dir}/d"

    @pytest.mark.parametrize(
        ("files", "message"),
        [
            ({"compose.yaml": "include: [compose.yaml]"}, "include cycle detected"),
            ({"compose.yaml": "include: [no.yaml]"}, "no such file"),
            ({"compose.yaml": "include: {a: b}"}, "must be a list"),
            ({"compose.yaml": "include: [3]"}, "must be a path or a mapping"),
            ({"compose.yaml": "include: [{path: [3]}]"}, "paths must be strings"),
            ({"compose.yaml": "include: [{path: a, env_file: no}]", "a": ""}, "no such file"),
            ({"compose.yaml": "include: ['https://x/y.git']"}, "not supported"),
            (
                {
                    "compose.yaml": "include: [a.yaml]\nservices: {a: {image: j}}",
                    "a.yaml": "services: {a: {image: i}}",
                },
                "services.a: conflicts with imported resource",
            ),
        ],
    )
    def test_includes_that_fail(
        self, problems: Refused, files: dict[str, str], message: str
    ) -> None:
        assert message in problems(files)[0]


class TestResolving:
    def test_networks_names_and_dependencies_are_spelt_out(self, project: Load) -> None:
        loaded = project(
            "services:\n  a: {image: i, links: ['b:x'], ipc: 'service:c', volumes_from: ['d:ro']}\n"
            "  b: {image: i}\n  c: {image: i}\n  d: {image: i, network_mode: host}\n"
            "volumes: {v: {external: true}}\n",
            all_resources=True,
        )
        assert loaded.networks["default"].name == "proj_default"
        assert loaded.volumes["v"].name == "v"
        restarts = {name: each.restart for name, each in loaded.services["a"].depends_on.items()}
        assert restarts == {"b": True, "c": True, "d": False}
        assert loaded.services["d"].networks == {}

    def test_values_are_typed(self, project: Load) -> None:
        service = project(
            "services:\n  a:\n    image: i\n    command: sh -c 'x y'\n    entrypoint: []\n"
            "    stop_grace_period: 1m30s\n    mem_limit: 1g\n    cpus: '0.5'\n    init: 'yes'\n"
            "    healthcheck: {test: x, interval: 5s, retries: 3}\n"
            "    deploy: {replicas: 3, resources: {limits: {memory: 5m, cpus: '1.5'}}}\n"
            "    secrets: [s]\n    extra_hosts: ['h:[::1]']\nsecrets: {s: {file: x}}\n",
            check_consistency=False,
        ).services["a"]
        assert (service.command, service.entrypoint) == (("sh", "-c", "x y"), ())
        assert (service.stop_grace_period, service.mem_limit, service.init) == (90.0, 1 << 30, True)
        assert service.healthcheck is not None
        assert (service.healthcheck.test, service.healthcheck.interval) == (("CMD-SHELL", "x"), 5.0)
        assert service.deploy is not None
        assert service.deploy.resources.limits is not None
        assert service.deploy.resources.limits.memory == 5 << 20
        assert (service.deploy.replicas, service.extra_hosts) == (3, {"h": ("::1",)})
        assert service.secrets[0].target == "/run/secrets/s"

    def test_secrets_and_configs_from_variables(self, project: Load) -> None:
        loaded = project(
            "services: {a: {image: i, secrets: [s], configs: [c]}}\n"
            "secrets: {s: {environment: S}}\nconfigs: {c: {environment: S}}\n",
            {"S": "hidden"},
        )
        assert loaded.secrets["s"].content == loaded.configs["c"].content == "hidden"
        assert loaded.secrets["s"].extensions == {}

    def test_env_files_are_read_into_the_environment(
        self, project: Load, problems: Refused
    ) -> None:
        files = {
            "compose.yaml": "services: {a: {image: i, environment: {A: own, B: }, label_file: l,"
            " env_file: [e, {path: no, required: false}]}}",
            "e": "A=file\nC=${A}-${P}\n",
            "l": "l=1\n",
        }
        service = project(files, {"P": "p"}).services["a"]
        assert service.environment == {"A": "own", "B": None, "C": "own-p"}
        assert (service.env_file, service.labels) == ((), {"l": "1"})
        missing = problems("services: {a: {image: i, env_file: none.env}}")
        assert "services.a.env_file[0]: env file" in missing[0]

    def test_only_what_is_used_is_kept(self, project: Load) -> None:
        text = "services: {a: {image: i}, b: {image: i, networks: [n], depends_on: [a]}}\n"
        text += "networks: {n: {}}\nvolumes: {v: {}}\n"
        assert project(text).volumes == {}
        assert sorted(project(text, services=("a",)).networks) == ["default"]
        assert sorted(project(text, services=("b",)).services) == ["a", "b"]

    def test_an_unknown_service_is_refused(self, problems: Refused) -> None:
        assert problems("services: {web: {image: i}}", services=("wbe",)) == [
            "no such service: wbe"
        ]

    def test_extensions_are_kept(self, project: Load) -> None:
        loaded = project("x-a: 1\nservices: {a: {image: i, x-b: {c: 2}}}")
        assert loaded.extensions == {"x-a": 1}
        assert loaded.services["a"].extensions == {"x-b": {"c": 2}}

    def test_nothing_is_resolved_that_is_not_asked_for(self, write: Write) -> None:
        folder = write({"compose.yaml": "services: {a: {image: '${X}', volumes: ['./a:/b']}}"})
        options = LoadOptions(interpolate=False, normalize=False, resolve_paths=False)
        tree = load_tree(options, {}, folder).tree
        assert tree["services"]["a"]["image"] == "${X}"
        assert tree["services"]["a"]["volumes"][0]["source"] == "./a"
        assert "networks" not in tree


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("services:\n  a:\n    immage: i\n", 'yaml:3:5: services.a.immage: unknown key'),
            ("services:\n  a: {image: [1]}\n", "yaml:2:14: services.a.image: must be a"),
            ("services: {a b: {image: i}}", 'services.a b: not a valid name "a b"'),
            ("servces: {}", "servces: unknown key"),
            ("- a", "top-level object must be a mapping"),
            ("", "empty compose file: /"),
            ("a: [", "compose.yaml:2:1: while parsing"),
            ("services: {a: {image: '${X:?why}'}}", "required variable X is missing a value: why"),
            ("services: {a: {image: '${'}}", "invalid interpolation format"),
            ("services: {a: {image: i, scale: x}}", "failed to cast to expected type"),
            ("services: {a: {}}", "has neither an image nor a build context"),
            ("services: {a: {image: i, ports: ['x']}}", "ports[0]: invalid containerPort: x"),
            ("services: {a: {image: i, mem_limit: x}}", "mem_limit: invalid size: 'x'"),
            ("services: {a: {image: i, networks: [n]}}", "undefined network n"),
            ("services: {a: {image: i, volumes: ['v:/x:ro', 'vv:/v']}}", "undefined volume vv"),
            ("services: {a: {image: i, secrets: [s]}}", "undefined secret s"),
            ("services: {a: {image: i, depends_on: [b]}}", 'undefined service "b"'),
            ("services: {a: {image: i, network_mode: host, networks: [b]}}", "mutually exclusive"),
            ("services: {a: {image: i, container_name: cc, scale: 2}}", "must be unique"),
            ("services: {a: {image: i, scale: 2, deploy: {replicas: 3}}}", "distinct values"),
            ("services: {a: {image: i, tmpfs: [/x], volumes: ['vol:/x']}}\nvolumes: {vol: }",
             "target /x already mounted"),
            ("services: {a: {image: i, healthcheck: {test: [x]}}}", "must start either by"),
            ("services: {a: {image: i, pid: }}", "must be a string, not empty"),
            ("services: {a: {image: i}}\nsecrets: {s: {}}", "one of file|environment must be set"),
            ("services: {a: {image: i}}\nvolumes: {v: {external: true, driver: d}}", "conflicting"),
            ("services: {a: {image: i, environment: {D: 2020-01-01}}}", "not the date"),
            ("services: {a: {image: i, x-stackr: {colour: red}}}", 'unknown key "colour"'),
            ("services: {a: {build: {context: ., platforms: [x]}, platform: y}}", "must include"),
            ("services: {a: {image: i, gpus: [{count: 1, device_ids: ['0']}]}}", "exclusive"),
            ("services: {a: {image: i, ports: [{target: 80, host_ip: x}]}}", "invalid ip address"),
            ("services: {a: {image: i, cpus: 1, deploy: {resources: {limits: {pids: 1}}}}}",
             "can't set distinct values on 'cpus'"),
        ],
    )  # fmt: skip
    def test_one_line_says_what_is_wrong(self, problems: Refused, text: str, message: str) -> None:
        found = problems(text)
        assert any(message in problem for problem in found), found
        assert all("\n" not in problem for problem in found)

    def test_every_problem_of_a_phase_is_told(self, problems: Refused) -> None:
        found = problems("services: {a: {immage: i, prots: []}, b: {user: []}}\nnetwork: {}\n")
        assert len(found) == 4

    def test_the_nearest_key_is_a_hint(self, project: Load) -> None:
        with pytest.raises(InvalidProject) as caught:
            project("services: {a: {immage: i}}")
        (problem,) = caught.value.problems
        assert getattr(problem, "hint", None) == 'did you mean "image"?'
        assert getattr(problem, "snippet", "").splitlines()[-1].endswith("^")

    def test_a_cycle_shows_its_way(self, problems: Refused) -> None:
        text = "services: {a: {image: i, depends_on: [b]}, b: {image: i, depends_on: [c]},"
        text += " c: {image: i, depends_on: [a]}}"
        assert "dependency cycle detected: a -> b -> c -> a" in problems(text)[0]

    def test_a_needed_service_may_not_be_disabled(self, problems: Refused, project: Load) -> None:
        text = "services: {a: {image: i, depends_on: {b: {condition: service_started%s}}},"
        text += " b: {image: i, profiles: [p]}}"
        assert 'service "b" is required by "a" but is disabled' in problems(text % "")[0]
        assert project(text % ", required: false").services["a"].depends_on.keys() == {"b"}

    def test_long_chains_of_dependencies_are_fine(self, project: Load) -> None:
        rows = ["services:", "  s0: {image: i}"]
        rows += [f"  s{n}: {{image: i, depends_on: [s{n - 1}]}}" for n in range(1, 1500)]
        assert len(project("\n".join(rows)).services) == 1500

    def test_long_chains_of_extends_are_refused(self, problems: Refused) -> None:
        rows = ["services:", *(f"  s{n}: {{extends: s{n + 1}}}" for n in range(1500))]
        assert "extends more than" in problems("\n".join([*rows, "  s1500: {image: i}"]))[0]

    def test_includes_that_multiply_are_refused(self, problems: Refused) -> None:
        files = {f"c{n}.yaml": f"include: [c{n + 1}.yaml, c{n + 1}.yaml]" for n in range(40)}
        files["c40.yaml"] = "services: {a: {image: i}}"
        assert "more than 1000 files" in problems(files, files=("c0.yaml",))[0]
