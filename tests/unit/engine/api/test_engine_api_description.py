"""Each field and parameter of Docker's API description: honoured, refused by name, or told why not.

`container_calls.json` has those of the calls of containers and exec sessions, as the description of
API 1.56 names them: "HostConfig.Mounts[].Type" is a field of the objects of a list, "{}" of a map.
"""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import BaseModel
from pydantic.alias_generators import to_pascal

from stackr.errors import InvalidArgument, NotSupported
from stackr.runtime.engine import container
from stackr.runtime.engine.container.settings.spec import (
    ContainerCreate,
    ContainerUpdate,
    ExecCreate,
    parse_create,
    parse_update,
)

_ENGINE: Final = Path(container.__file__).parent.parent
_CALLS: Final[dict[str, dict[str, list[str]]]] = json.loads(
    Path(__file__).with_name("container_calls.json").read_text()
)
_EXEC_START: Final = {"Detach", "Tty", "ConsoleSize"}

_ANSWERS = "only an answer has it"
_ENDPOINT = "NetworkingConfig.EndpointsConfig{}."
_PASSED_OVER: Final = {
    "ArgsEscaped": "of Windows",
    "HostConfig.ContainerIDFile": "the client writes that file",
    "HostConfig.Mounts[].Consistency": "of Docker Desktop; dockerd passes over it, too",
    "AttachStdin": "shown as it was given: what is attached says each call of attach",
    "AttachStdout": "shown as it was given",
    "AttachStderr": "shown as it was given",
    "OnBuild": "for images that are made of it",
    **{
        f"{_ENDPOINT}{name}": _ANSWERS
        for name in (
            *("DNSNames", "EndpointID", "Gateway", "GlobalIPv6Address", "GlobalIPv6PrefixLen"),
            *("IPAddress", "IPPrefixLen", "IPv6Gateway", "NetworkID"),
        )
    },
}
_UPDATE_PASSED_OVER: Final = {
    "CgroupParent": "dockerd takes and passes over it: a group is not moved",
    "Init": "dockerd takes and passes over it",
}
_QUERY_PASSED_OVER: Final = {
    ("POST /containers/{id}/start", "detachKeys"): "those of attach count, as with dockerd",
}


def _field(model: type[BaseModel], path: str) -> tuple[type[BaseModel], str] | None:
    """The model and the attribute that a path leads to; the part of a map or list that is no
    object counts as its whole.
    """
    first, _, rest = path.partition(".")
    key = first.replace("[]", "").replace("{}", "")
    for name, field in model.model_fields.items():
        if (field.alias or to_pascal(name)) == key:  # a model that nobody has used has none yet
            inner = next(_models(field.annotation), None)
            return _field(inner, rest) if rest and inner else (model, name)
    return None


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _models(part)


def _sources(folder: str) -> str:
    files = (_ENGINE / folder).rglob("*.py")
    return "\n".join(file.read_text() for file in files if file.name != "spec.py")


def _is_refused(path: str, *, update: bool) -> bool:
    """Whether a value that is no default is refused by the name of its key."""
    *parents, key = re.sub(r"\[\]|\{\}", "", path.split("[")[0]).split(".")
    for value in ([{"Count": 1}], {"size": "1G"}, "hyperv", 7):
        body: Any = {key: value}
        for parent in reversed(parents):
            body = {parent: body}
        try:
            parse_update(body) if update else parse_create(body)
        except NotSupported as error:
            return key in error.message
        except InvalidArgument:
            continue  # of another type
    return False


@pytest.mark.parametrize("path", _CALLS["POST /containers/create"]["body"])
def test_each_setting_of_a_container_is_honoured_or_refused(path: str) -> None:
    _judge(ContainerCreate, path, _PASSED_OVER)


@pytest.mark.parametrize("path", _CALLS["POST /containers/{id}/update"]["body"])
def test_each_setting_of_an_update_is_honoured_or_refused(path: str) -> None:
    _judge(ContainerUpdate, path, _UPDATE_PASSED_OVER, update=True)


@pytest.mark.parametrize("path", _CALLS["POST /containers/{id}/exec"]["body"])
def test_each_setting_of_an_exec_is_honoured(path: str) -> None:
    _judge(ExecCreate, path, {})


def _judge(
    model: type[BaseModel], path: str, passed_over: dict[str, str], *, update: bool = False
) -> None:
    found = _field(model, path)
    if path in passed_over:
        return
    if found is not None:
        used = rf"\.{found[1]}\b|\"{found[1]}\""
        if re.search(used, _sources("container") + _sources("api")):
            return
    assert _is_refused(path, update=update), f"{path}: dropped without a word"


def test_each_setting_of_an_exec_s_start_is_read() -> None:
    described = _CALLS["POST /exec/{id}/start"]["body"]
    assert set(described) == _EXEC_START
    source = (_ENGINE / "api" / "exec.py").read_text()
    assert all(f'"{key}"' in source for key in described)


@pytest.mark.parametrize(
    ("call", "parameter"),
    [(call, name) for call, told in _CALLS.items() for name in told["query"]],
)
def test_each_parameter_is_read(call: str, parameter: str) -> None:
    if (call, parameter) in _QUERY_PASSED_OVER:
        return
    read = rf'(?:text|raw_text|flag|integer|optional_integer|for)[ (]+"?{re.escape(parameter)}\b'
    listed = rf'\("{re.escape(parameter)}", "'
    assert re.search(f"{read}|{listed}", _sources("api")), f"{call}: {parameter}: never read"


def test_no_reason_is_given_for_what_is_not_there() -> None:
    described = {*_CALLS["POST /containers/create"]["body"]}
    assert set(_PASSED_OVER) <= described
    assert set(_UPDATE_PASSED_OVER) <= {*_CALLS["POST /containers/{id}/update"]["body"]}
    assert all(name in _CALLS[call]["query"] for call, name in _QUERY_PASSED_OVER)
