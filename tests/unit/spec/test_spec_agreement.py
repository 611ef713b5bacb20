"""Rare forms, as Docker Compose v2.40.3 takes or refuses them; each was taken otherwise once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stackr.errors import InvalidProject
from stackr.spec.load import LoadOptions, load_tree
from stackr.spec.model.project import Project
from stackr.spec.render import unresolved_tree

Load = Callable[..., Project]
Refused = Callable[..., list[str]]
Write = Callable[[dict[str, str]], Path]


def test_files_are_included_and_extended_by_their_absolute_path(
    project: Load, write: Write
) -> None:
    folder = write(
        {
            "sub/i.yaml": "services: {b: {image: i, build: .}}",
            "sub/base.yaml": "services: {b: {image: i, volumes: ['./x:/x']}}",
            "e": "A=1\n",
        }
    )
    text = (
        f"include: [{{path: {folder}/sub/i.yaml, env_file: {folder}/e}}]\n"
        f"services: {{a: {{extends: {{file: {folder}/sub/base.yaml, service: b}}}}}}"
    )
    loaded = project(text).services
    assert loaded["a"].volumes[0].source == f"{folder}/sub/x"
    assert loaded["b"].build is not None
    assert loaded["b"].build.context == f"{folder}/sub"


@pytest.mark.parametrize("section", ["networks", "volumes", "secrets", "services"])
def test_nothing_can_be_included_into_an_empty_section(problems: Refused, section: str) -> None:
    files = {
        "compose.yaml": f"include: [i.yaml]\n{section}:\n",
        "i.yaml": "services: {a: {image: i}}\nnetworks: {n: }\nvolumes: {v: }\n"
        "secrets: {s: {file: x}}",
    }
    assert any(f"{section}: must be a mapping" in problem for problem in problems(files))


def test_what_an_included_project_watches_is_relative_to_it(write: Write) -> None:
    files = {
        "compose.yaml": "include: [{path: i.yaml, project_directory: inc}]",
        "i.yaml": "services: {a: {image: i, develop: {watch: [{path: d, action: rebuild}]}}}",
        "inc/d": "",
    }
    tree = load_tree(LoadOptions(resolve_paths=False), {}, write(files)).tree
    assert tree["services"]["a"]["develop"]["watch"][0]["path"] == "inc/d"


def test_a_project_directory_may_be_a_number(project: Load) -> None:
    files = {
        "compose.yaml": "include: [{path: i.yaml, project_directory: 5}]",
        "i.yaml": "services: {a: {image: i, build: .}}",
        "5/file": "",
    }
    build = project(files).services["a"].build
    assert build is not None
    assert (build.context or "").endswith("/proj/5")


def test_an_anchor_is_not_both_merged_into_a_mapping_and_a_value_in_it(problems: Refused) -> None:
    text = "x-a: &a {image: i}\nservices: {s: {<<: *a, x-b: *a}}"
    assert 'cycle: "*a" is merged into services.s and stands in it' in problems(text)[0]


def test_an_anchor_may_be_merged_into_many_mappings(project: Load) -> None:
    text = "x-a: &a {x-k: 1}\nx-b: {c: *a, d: {e: *a}}\nx-f: *a\n"
    text += "services: {s: {<<: *a, image: i}, t: {<<: [*a], image: i, x-c: {<<: *a}}}"
    assert list(project(text).services) == ["s", "t"]


@pytest.mark.parametrize(
    "attribute",
    [
        *("build: ", "build: {context: 5}", "depends_on: [5]", "depends_on: {x: }", "dns_opt: [5]"),
        *("develop: {watch: [{path: 5}]}", "devices: [5]", "env_file: [{path: 5}]", "gpus: 5"),
        *("env_file: 5", "extends: 5", "extends: {file: 5, service: x}", "label_file: [5]"),
        *("models: [5]", "networks: [5]", "ports: 5", "ports: [[5]]", "secrets: [5]"),
        *("ulimits: {n: x}", "volumes: [5]", "volumes: [{type: bind, source: 5, target: /x}]"),
        *("build: {additional_contexts: 5}", "build: {ssh: 5}", "build: {ssh: [5]}"),
        *("build: {additional_contexts: {a: 5}}",),
    ],
)
def test_what_has_no_form_is_refused_in_an_extended_file(problems: Refused, attribute: str) -> None:
    """Though the service is not the one that is extended: the whole file is read."""
    files = {
        "compose.yaml": "services: {a: {extends: {file: base.yaml, service: b}}}",
        "base.yaml": f"services:\n  b: {{image: i}}\n  c:\n    {attribute}\n",
    }
    assert "services.c" in problems(files)[0]


@pytest.mark.parametrize("text", ["{x: 5}", "{x: {driver: local, driver_opts: 5}}"])
def test_volumes_of_an_extended_file_have_a_form(problems: Refused, text: str) -> None:
    files = {
        "compose.yaml": "services: {a: {extends: {file: base.yaml, service: b}}}",
        "base.yaml": f"services: {{b: {{image: i}}}}\nvolumes: {text}",
    }
    assert "volumes.x" in problems(files)[0]


def test_a_base_of_the_same_name_may_extend_another_one(project: Load) -> None:
    files = {
        "compose.yaml": "services: {web: {extends: {file: base.yaml, service: web}}}",
        "base.yaml": "services: {web: {extends: deep, command: x}, deep: {image: i}}",
    }
    assert project(files).services["web"].image == "i"


def test_a_base_cannot_extend_one_of_its_own_file_by_the_files_name(problems: Refused) -> None:
    files = {
        "compose.yaml": "services: {web: {extends: {file: base.yaml, service: web}}}",
        "base.yaml": "services: {web: {extends: {file: base.yaml, service: d}}, d: {image: i}}",
    }
    assert "circular reference: web -> web" in problems(files)[0]


def test_an_extended_file_need_not_follow_the_schema(project: Load) -> None:
    files = {
        "compose.yaml": "services: {a: {extends: {file: base.yaml, service: b}}}",
        "base.yaml": "foo: bar\nservices: {b: {image: i}, c: {env_file: [5], prots: 1}, d: }\n",
    }
    assert project(files).services["a"].image == "i"


@pytest.mark.parametrize("value", ["5", "true", ""])
def test_a_build_context_is_a_string(problems: Refused, value: str) -> None:
    text = f"services: {{a: {{build: {{context: ., additional_contexts: {{x: {value}}}}}}}}}"
    assert "services.a.build.additional_contexts.x: must be a string" in problems(text)[0]


def test_an_env_file_may_say_that_it_is_for_docker_compose_alone(project: Load) -> None:
    files = {
        "compose.yaml": "services: {a: {image: 'i-${A}', profiles: [p]}}",
        ".env": "A=1\nCOMPOSE_DISABLE_ENV_FILE=1\nCOMPOSE_PROFILES=p\n",
    }
    assert project(files).services["a"].image == "i-"
    assert project(files, env_files=(".env",)).services["a"].image == "i-1"


def test_an_empty_pid_is_only_refused_where_it_has_to_be_read(
    problems: Refused, write: Write
) -> None:
    text = "services: {a: {image: i, pid: }}"
    assert "services.a.pid: must be a string" in problems(text)[0]
    tree = load_tree(LoadOptions(normalize=False), {}, write({"compose.yaml": text})).tree
    assert tree["services"]["a"]["pid"] is None


def test_an_override_of_no_kind_leaves_the_build_as_it_is(project: Load) -> None:
    files = {
        "compose.yaml": "services: {a: {build: {context: ., target: t}}}",
        "compose.override.yaml": "services: {a: {build: true}}",
    }
    build = project(files).services["a"].build
    assert build is not None
    assert build.target == "t"


@pytest.mark.parametrize("name", ["voil\u00e0", "x "])
def test_a_name_of_the_environment_ends_with_no_space(problems: Refused, name: str) -> None:
    """To Docker Compose, \u00e0 ends with one: it looks at the last byte alone."""
    assert (
        "has a trailing space"
        in problems(f"services: {{a: {{image: i, environment: ['{name}=1']}}}}")[0]
    )


def test_an_option_of_a_provider_without_values_is_none(project: Load) -> None:
    text = "services: {a: {provider: {type: t, options: {x: [], y: [1]}}}}"
    provider = project(text).services["a"].provider
    assert provider is not None
    assert provider.options == {"y": ("1",)}


def test_a_secret_without_a_source(typed: Callable[..., dict[str, Any]]) -> None:
    text = "services: {a: {image: i, secrets: [{uid: x}]}}"
    service = typed(text, check_consistency=False)["services"]["a"]
    assert service["secrets"][0]["target"] == "/run/secrets/%!s(<nil>)"


@pytest.mark.parametrize("attribute", ["expose: [%d]", "ulimits: {x: %d}", "ports: [%d]"])
def test_integers_beyond_63_bits_are_none(problems: Refused, attribute: str) -> None:
    text = f"services: {{a: {{image: i, {attribute % 2**63}}}}}"
    assert "services.a." in problems(text)[0]


def test_soft_limits_beyond_63_bits_are_refused(problems: Refused) -> None:
    text = f"services: {{a: {{image: i, ulimits: {{x: {{soft: {2**63}, hard: 1}}}}}}}}"
    assert "ulimits.x.soft: must be an integer" in problems(text)[0]


def _unresolved(write: Write, text: str, *, normalize: bool = True) -> dict[str, Any]:
    options = LoadOptions(interpolate=False, normalize=normalize)
    folder = write({"compose.yaml": text})
    return load_tree(options, {"HOME": "/h"}, folder).tree


def test_without_interpolation_only_the_projects_name_is_known(write: Write) -> None:
    text = "services: {a: {image: i, environment: [HOME, COMPOSE_PROJECT_NAME]}}"
    tree = _unresolved(write, text)
    assert tree["services"]["a"]["environment"] == ["HOME", "COMPOSE_PROJECT_NAME=proj"]


def test_without_interpolation_a_device_of_too_many_parts_is_empty(write: Write) -> None:
    tree = _unresolved(write, "services: {a: {image: i, devices: ['${A:-x}:/y:/z:q']}}")
    assert tree["services"]["a"]["devices"] == [{"source": "", "target": "", "permissions": "rwm"}]


def test_without_interpolation_external_is_true_or_false(write: Write) -> None:
    text = "services: {a: {image: i}}\nvolumes: {v: {external: '${E}'}}"
    with pytest.raises(InvalidProject, match=r"volumes\.v\.external: must be true or false"):
        _unresolved(write, text)


@pytest.mark.parametrize("normalize", [True, False])
def test_without_interpolation_an_empty_list_is_null_in_json(write: Write, normalize: bool) -> None:
    text = "services: {a: {image: i, environment: [], ports: [], group_add: [], x: 1.0}}"
    text = text.replace("x: 1.0", "x-n: 1.0, build: {args: [], tags: [], cache_from: []}")
    tree = unresolved_tree(_unresolved(write, text, normalize=normalize), normalized=normalize)
    service = tree["services"]["a"]
    made_anew: list[str] | None = None if normalize else []
    assert (service["environment"], service["build"]["args"]) == (made_anew, made_anew)
    assert (service["ports"], service["build"]["tags"]) == ([], [])
    assert (service["group_add"], service["build"]["cache_from"]) == (None, None)
    assert type(service["x-n"]) is int
