"""What `--help` shows of a command, as data: the usage, options in blocks, and examples.

Manual pages are written from the same, so nothing here knows of a terminal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from stackr.cli.examples import EXAMPLES
from stackr.cli.options import is_shared

__all__ = ["Block", "CommandHelp", "Row", "command_help", "write_help"]

Row = tuple[str, str]
_WIDE = 24
"""How many columns names of options take, at most, beside what they mean."""


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of a name and what it means, below a heading."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class CommandHelp:
    """path: `stackr engine start`. words: what may stand behind it. text: what the command does.

    examples: command lines, each with what it is for.
    """

    path: str
    words: str
    text: str
    blocks: tuple[Block, ...]
    examples: tuple[Row, ...]


def command_help(command: Any, ctx: Any) -> CommandHelp:
    """The help of one command; of one that has commands of its own, those are a block."""
    options = [each for each in command.get_params(ctx) if each.param_type_name == "option"]
    arguments = [each for each in command.get_params(ctx) if each.param_type_name == "argument"]
    shared = [each for each in options if is_shared(each) or each.name == "help"]
    own = [each for each in options if each not in shared]
    blocks = (
        Block("Arguments", tuple((_word(each), each.help) for each in arguments if each.help)),
        *_commands(command, ctx),
        Block("Options", tuple(_option_rows(own, ctx))),
        Block("Common options", tuple(_option_rows(shared, ctx))),
    )
    words = ["[OPTIONS]", *map(_word, arguments)]
    if hasattr(command, "list_commands"):
        words.append("COMMAND [ARG]...")
    path = ctx.command_path
    return CommandHelp(
        path,
        " ".join(words),
        command.help or "",
        tuple(block for block in blocks if block.rows),
        EXAMPLES.get(path.partition(" ")[2], ()),
    )


def _word(argument: Any) -> str:
    """An argument as the usage shows it: `SERVICE`, `[FILE]`, `COMMAND [ARG]...`."""
    name = argument.metavar or argument.name.upper()
    many = "" if argument.nargs == 1 or name.endswith(("...", "...]")) else "..."
    is_plain = argument.required or name.startswith(("[", "--"))
    return f"{name}{many}" if is_plain else f"[{name}]{many}"


def _commands(command: Any, ctx: Any) -> Iterator[Block]:
    """command: may have `sections`, its commands in groups."""
    if hasattr(command, "sections"):
        yield from (Block(title, tuple(rows)) for title, rows in command.sections().items())
    elif hasattr(command, "list_commands"):
        found = {name: command.get_command(ctx, name) for name in command.list_commands(ctx)}
        rows = ((name, _short(each.help or "")) for name, each in found.items() if not each.hidden)
        yield Block("Commands", tuple(rows))


def _short(text: str) -> str:
    """The first clause of a command's text, for a list of commands."""
    line = " ".join(text.split("\n\n")[0].split())
    return line.partition(". ")[0].partition("; ")[0].rstrip(".")


def _option_rows(options: Sequence[Any], ctx: Any) -> Iterator[Row]:
    for option in options:
        record = option.get_help_record(ctx)
        if record is not None:  # it is not hidden
            yield _spelled(option), "Show this help" if option.name == "help" else str(record[1])


def _spelled(option: Any) -> str:
    """`-n, --tail LINES`, or `-t, --tty / -T, --no-tty`."""
    name = " / ".join(
        ", ".join(sorted(words, key=lambda word: word.startswith("--")))
        for words in (option.opts, option.secondary_opts)
        if words
    )
    is_plain = getattr(option, "is_flag", False) or getattr(option, "count", False)
    if is_plain and (option.metavar or "").startswith("["):
        return f"{name}{option.metavar}"
    return name if is_plain else f"{name} {option.metavar or 'TEXT'}"


def write_help(help: CommandHelp, formatter: Any) -> None:
    """As `--help` shows it. formatter: of the library of command lines."""
    formatter.write_usage(help.path, help.words)
    formatter.write_paragraph()
    with formatter.indentation():
        formatter.write_text(help.text)
    for block in help.blocks:
        with formatter.section(block.title):
            formatter.write_dl(block.rows, col_max=_WIDE)
    if help.examples:
        with formatter.section("Examples"):
            _write_examples(help.examples, formatter)


def _write_examples(examples: Sequence[Row], formatter: Any) -> None:
    """What a line is for stands behind it where there is room, else above it."""
    indent, widest = " " * formatter.current_indent, max(len(line) for line, _ in examples)
    is_narrow = any(widest + len(meaning) + 6 > formatter.width for _, meaning in examples)
    for line, meaning in examples:
        if is_narrow:
            formatter.write(f"{indent}# {meaning}\n{indent}{line}\n")
        else:
            formatter.write(f"{indent}{line:<{widest}}  # {meaning}\n")
