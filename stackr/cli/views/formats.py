"""What `--format` asks for, as with Docker's commands: a table, JSON lines, or a Go template.

table             the command's own columns        json        one JSON object a line
table TEMPLATE    columns between tabs             TEMPLATE    one text a line
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stackr.cli.views.table import table
from stackr.cli.views.template import Function, Template

__all__ = ["Format"]

_MIN_WIDTH = 10
_TABLE = "table"
_SAME = {name: lambda text, *_: text for name in ("json", "lower", "upper", "title", "truncate")}


@dataclass(frozen=True, slots=True)
class Format:
    """A `--format`, parsed. is_table: a line of headings comes first."""

    template: Template
    is_table: bool

    @classmethod
    def parse(cls, text: str, *, columns: Sequence[str]) -> Format:
        """columns: the fields of the command's own table. Raises InvalidArgument."""
        if text == "json":
            return cls(Template.parse("{{json .}}"), False)
        is_table = text in ("", _TABLE) or text.startswith(f"{_TABLE} ")
        own = "\\t".join(f"{{{{.{name}}}}}" for name in columns)
        body = (text.removeprefix(_TABLE).strip() or own) if is_table else text
        return cls(Template.parse(body.replace("\\t", "\t").replace("\\n", "\n")), is_table)

    def lines(
        self,
        rows: Sequence[Mapping[str, Any]],
        headings: Mapping[str, Any],
        functions: Mapping[str, Function] | None = None,
    ) -> list[str]:
        """The output. headings: of every field, and `Label` as a function of its name.

        functions: of templates, in place of Docker's of the same names.
        """
        texts = [self.template.render(row, functions) for row in rows]
        if not self.is_table:
            return texts
        heading = self.template.render({**headings, "Label": _label_heading}, _SAME)
        lines = [line.split("\t") for text in (heading, *texts) for line in text.split("\n")]
        width = max(len(line) for line in lines)
        cells = [line + [""] * (width - len(line)) for line in lines]
        return table(cells[0], cells[1:], min_width=_MIN_WIDTH, keeps_end=True)


def _label_heading(name: str) -> str:
    """`com.example.my-label` is headed `my label`."""
    return name.rpartition(".")[2].replace("-", " ").replace("_", " ")
