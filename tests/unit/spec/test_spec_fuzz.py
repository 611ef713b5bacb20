"""No text makes the loader fail otherwise than with InvalidProject."""

from __future__ import annotations

import contextlib
import itertools
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stack_strategy import dotenv_texts, projects, templates

from stackr.errors import InvalidArgument, InvalidProject
from stackr.spec import dotenv
from stackr.spec.files import HOST
from stackr.spec.interpolate import InvalidTemplate, MissingVariable, substitute
from stackr.spec.lint import lint
from stackr.spec.load import LoadOptions, load_tree, resolve, to_project
from stackr.spec.provenance import trace
from stackr.spec.render import project_tree, service_hash, to_json
from stackr.spec.rules import Path as KeyPath
from stackr.spec.rules import show
from stackr.spec.schema.validate import schema
from stackr.spec.yaml_text import to_yaml

_SERVICE = sorted(schema()["$defs"]["service"]["properties"])
_WORDS = st.sampled_from(
    ["a", "", "80:80", "./a:/b", "${A:-x}", "$", "10s", "1g", "service:a", "x=y", "yes", "*", "é"]
)
_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), _WORDS, st.text(max_size=8)
)
_EXTENSION = ["x-stackr", "probe", "tcp", "http", "log", "file", "status", "interval", "policy"]
_NAMES = [*_SERVICE, *_EXTENSION, "x-a", "soft", "source", "target", "path", "stateful"]
_KEYS = st.one_of(st.sampled_from(_NAMES), _WORDS)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_KEYS, inner, max_size=3)),
    max_leaves=6,
)
_SERVICES = st.dictionaries(
    st.sampled_from(["a", "b"]),
    st.dictionaries(st.sampled_from([*_SERVICE, "x-stackr"]), _VALUES, max_size=4).map(
        lambda attributes: {"image": "i", **attributes}
    ),
    max_size=2,
)
_SECTIONS = st.sampled_from(
    ["networks", "volumes", "secrets", "configs", "models", "include", "x-stackr"]
)
_TREES = st.tuples(_SERVICES, st.dictionaries(_SECTIONS, _VALUES, max_size=2)).map(
    lambda parts: {"services": parts[0], **parts[1]}
)


_unhurried = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def _load(*texts: bytes, interpolate: bool = True) -> None:
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for number, text in enumerate(texts):
            Path(folder, f"{number}.yaml").write_bytes(text)
            names.append(f"{number}.yaml")
        _load_folder(Path(folder), tuple(names), interpolate=interpolate)


def _load_folder(folder: Path, names: tuple[str, ...], *, interpolate: bool = True) -> None:
    with contextlib.suppress(InvalidProject):
        options = LoadOptions(files=tuple(names), interpolate=interpolate)
        loaded = load_tree(options, {"A": "1"}, folder)
        if interpolate:
            project = resolve(loaded)
            to_yaml(project_tree("x", project, yaml=True))
            to_json(project_tree("x", project, yaml=False))
            lint(loaded, project, lambda source: None)
            for service in project["services"].values():
                service_hash(service)
            made = to_project(project, loaded)
            for path in itertools.islice(_paths(loaded.tree, ()), 50):
                assert trace(loaded, path)
                made.position(show(path))
            for service in made.services.values():
                assert service.stackr is not None


def _paths(value: Any, path: KeyPath) -> Iterator[KeyPath]:
    yield path or ("name",)
    items = value.items() if isinstance(value, dict) else ()
    for key, below in (*items, *(enumerate(value) if isinstance(value, list) else ())):
        yield from _paths(below, (*path, key))


def _yaml(tree: Any) -> bytes:
    return json.dumps(tree, allow_nan=False, default=str).encode()


def _text(tree: Any) -> bytes:
    try:
        return _yaml(tree)
    except ValueError:
        return repr(tree).encode("utf-8", "replace")


@_unhurried
@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    _load(data)


@_unhurried
@given(st.text(alphabet="ab:{}[],-&*!|>#'\"\n \t?%@$<", max_size=60))
def test_any_yaml_like_text(text: str) -> None:
    _load(text.encode())


@_unhurried
@given(_TREES, st.booleans())
def test_any_tree(tree: Any, interpolate: bool) -> None:
    _load(_text(tree), interpolate=interpolate)


@_unhurried
@given(_TREES, _TREES)
def test_any_override(base: Any, override: Any) -> None:
    _load(_text(base), _text(override))


@_unhurried
@given(_SERVICES, _SERVICES, st.sampled_from(["a", "b", "c"]))
def test_any_extension(base: Any, services: Any, target: str) -> None:
    for service in services.values():
        service["extends"] = {"service": target, "file": "1.yaml"}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "1.yaml").write_bytes(_text({"services": base}))
        Path(folder, "0.yaml").write_bytes(_text({"services": services, "include": ["1.yaml"]}))
        with contextlib.suppress(InvalidProject):
            loaded = load_tree(LoadOptions(files=("0.yaml",)), {}, Path(folder))
            to_project(resolve(loaded), loaded)


@_unhurried
@given(projects(), dotenv_texts(), dotenv_texts())
def test_any_project(trees: Any, env: str, env_file: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "inc").mkdir()
        for file, tree in trees.items():
            (folder / file).write_bytes(_text(tree))
        for file, text in ((".env", env), ("e", env_file), ("f", "F=1")):
            (folder / file).write_text(text, encoding="utf-8")
        _load_folder(folder, ("compose.yaml", *(file for file in trees if file[0] == "o")))


@_unhurried
@given(st.one_of(st.binary(max_size=200), dotenv_texts().map(str.encode)), st.booleans())
def test_any_env_file(data: bytes, raw: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "e").write_bytes(data)
        with contextlib.suppress(InvalidArgument):
            format_ = "raw" if raw else ""
            dotenv.read(HOST, f"{folder}/e", {}, {"A": "1"}.get, lambda name: None, format=format_)
    dotenv.places(data.decode("utf-8", "surrogateescape"))


@_unhurried
@given(st.one_of(templates(), st.text(alphabet="${}:-+?AB\n x", max_size=30)))
def test_any_template(text: str) -> None:
    with contextlib.suppress(InvalidTemplate, MissingVariable):
        substitute(text, {"A": "1", "B": ""}.get)
