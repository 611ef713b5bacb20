"""Lists of things, in the forms that `--format` and `--quiet` ask for.

Source: docker/cli, cli/command/formatter; github.com/fvbommel/sortorder, `NaturalLess`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stackr.cli.objects.docker_config import configured
from stackr.cli.objects.engine import Call
from stackr.cli.objects.go_values import go_value
from stackr.cli.views.formats import Format
from stackr.cli.views.template import Template
from stackr.cli.views.template_functions import Nil
from stackr.errors import InvalidArgument
from stackr.options import Option

__all__ = [
    "FORMAT",
    "NO_TRUNC",
    "by_name",
    "go_json",
    "html_safe",
    "natural",
    "one",
    "parse_template",
    "short",
    "show_list",
]

FORMAT = Option("--format", metavar="FORMAT", help='table, json, "table TEMPLATE" or a Go template')
NO_TRUNC = Option("--no-trunc", help="Do not cut long values")
_ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}
_SHORT_ID = 12
_NUMBER_OR_CHARACTER = re.compile(r"[0-9]+|.", re.DOTALL)


def natural(name: str) -> tuple[tuple[int, int, int], ...]:
    """What Docker sorts names by: a2 before a10, and a2 before a02."""
    parts = _NUMBER_OR_CHARACTER.findall(name)
    return tuple(
        (ord("0"), int(part), len(part)) if "0" <= part[0] <= "9" else (ord(part), 0, 0)
        for part in parts
    )


def by_name(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """In Docker's order of their names."""
    return sorted(rows, key=lambda row: natural(row["Name"]))


class FormatError(InvalidArgument):
    """A template that is none: 64, as with docker."""

    exit_code = 64


def show_list(
    call: Call,
    rows: Sequence[Mapping[str, Any]],
    *,
    form: str,
    columns: Sequence[str],
    headings: Mapping[str, str],
    quiet: str = "",
    setting: str = "",
    raw: Mapping[str, str] | None = None,
) -> None:
    """quiet: the field that is shown alone, where no format is given; "" for none. setting: what
    Docker's configuration calls the format that counts where neither is given. raw: fields by what
    the format `raw` calls them, for lists that have it.
    """
    if setting and not (form or quiet):
        form = configured(setting)
    if quiet and form in ("", "table"):
        for row in rows:
            call.line(str(row[quiet]))
        return
    if raw and form == "raw":
        shown = {name: field for name, field in raw.items() if not quiet or field == quiet}
        for row in rows:
            _show_raw(call, row, shown, apart=not quiet)
        return
    text = {"json": "{{json .}}"}.get(form, form)
    for line in Format.parse(text, columns=columns).lines(rows, headings, {"json": _listed_json}):
        call.line(line)


def _show_raw(call: Call, row: Mapping[str, Any], raw: Mapping[str, str], *, apart: bool) -> None:
    """A line for each field, and with `apart` an empty one behind them."""
    for name, field in raw.items():
        call.line(f"{name}: {row[field]}".rstrip())
    if apart:
        call.line("")


def _listed_json(value: Any) -> str:
    """A row's fields by their names; those of HTML are escaped, as Go does by itself."""
    if isinstance(value, Mapping):
        value = {key: value[key] for key in sorted(value) if not callable(value[key])}
        return html_safe(go_json(value))
    return go_json(value)


def html_safe(text: str) -> str:
    """JSON with escapes for what HTML acts on."""
    return "".join(_ESCAPED.get(letter, letter) for letter in text)


def go_json(value: Any) -> str:
    """As Go's encoder writes it, without a space."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_null)


def _null(_: Nil) -> None:
    return None


def one(call: Call, value: Any, form: str) -> None:
    """One value as JSON, or in a template: `{{json .}}` keeps the engine's order of fields."""
    call.line(parse_template(form).render(go_value(value), {"json": go_json}))


def parse_template(form: str) -> Template:
    """Of a `--format` that is for no list. Raises FormatError."""
    text = {"json": "{{json .}}"}.get(form, form).replace("\\t", "\t").replace("\\n", "\n")
    try:
        return Template.parse(text)
    except InvalidArgument as error:
        raise FormatError(error.message) from error


def short(digest: str, *, whole: bool = False) -> str:
    """The first twelve digits of an ID, without the name of its hash."""
    return digest if whole else digest.partition(":")[2][:_SHORT_ID] or digest[:_SHORT_ID]
