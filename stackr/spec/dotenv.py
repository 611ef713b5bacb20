"""The grammar of `.env` and `env_file`: quotes, several lines, `export`, comments, variables.

Source: compose-go, dotenv/parser.go; docker/cli, kvfile, for the `raw` format.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
from collections.abc import Callable, Mapping

from stackr.errors import InvalidArgument
from stackr.spec.files import Files
from stackr.spec.interpolate import Lookup, OnUnset, Substitution
from stackr.text import decode

_EXPORT = re.compile(r"export[\t\n\f\r ]+")
_SIMPLE = re.compile(r"""([A-Za-z_][A-Za-z0-9_]*)=([^\s"'#$][^\n#$]*)?\n""")
"""The most frequent kind of line: no quotes, no variables, no comment."""
_BLANK = re.compile(r"\s+")
_PIECE = {quote: re.compile(rf"[^{quote}\\]+|\\(.)|{quote}", re.DOTALL) for quote in "\"'"}
_INLINE_SPACE = "\t\v\f\r \x85\xa0"
_INLINE = re.compile(f"[{_INLINE_SPACE}]*")
_ESCAPE = re.compile(r'\\(?:[abcfnrtv$"\\]|0\d{0,3})', re.ASCII)
_ESCAPED = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    '"': '"',
    "\\": "\\",
    "$": "$$",
}
_BOM = "\ufeff"
MAX_BYTES = 4 << 20


def parse(text: str, variables: dict[str, str], lookup: Lookup, on_unset: OnUnset) -> None:
    """Add the variables of a file to `variables`.

    lookup: asked first for the variables that values mention; then those read so far are.
    Raises ValueError, with the line, for text that is no such file.
    """
    _Parser(variables, lookup, on_unset).parse(text.removeprefix(_BOM))


class _Parser:
    def __init__(self, variables: dict[str, str], lookup: Lookup, on_unset: OnUnset) -> None:
        self._variables, self._lookup = variables, lookup
        self._substitute: Callable[[str], str] = Substitution(self._find, on_unset)
        self._text = ""

    def parse(self, text: str) -> None:
        self._text = text
        position = self._statement(0)
        while position < len(text):
            simple = _SIMPLE.match(text, position)
            if simple is not None:
                self._note(simple[1], position)
                self._variables[simple[1]] = (simple[2] or "").rstrip()
                position = simple.end()
            else:
                position = self._assignment(position)
            position = self._statement(position)

    def _line(self, position: int) -> int:
        return self._text.count("\n", 0, position) + 1

    def _statement(self, position: int) -> int:
        """The start of the next statement; the text's length if there is none."""
        text = self._text
        while position < len(text):
            if text[position] == "#":
                end = text.find("\n", position)
                position = len(text) if end < 0 else end
            elif text[position].isspace():
                blank = _BLANK.match(text, position)
                position = blank.end() if blank is not None else position + 1
            else:
                break
        return position

    def _assignment(self, position: int) -> int:
        """Read one statement; returns where it ends."""
        text = self._text
        export = _EXPORT.match(text, position)
        if export is not None:
            position = _skip(text, position + len("export"))
        end = self._name_end(position)
        key = text[position:end].rstrip() if end < len(text) else ""
        if " " in key:
            raise ValueError(f"line {self._line(position)}: key cannot contain a space")
        self._note(key, position)
        inherited = end < len(text) and text[end] == "\n"
        after = _skip(text, end + 1 if end < len(text) else position)
        if inherited:
            value = self._lookup(key)
            if value is not None:
                self._variables[key] = value
            return after
        self._variables[key], after = self._value(after)
        return after

    def _note(self, key: str, position: int) -> None:
        """Told of each variable, and where its name starts."""

    def _name_end(self, position: int) -> int:
        text = self._text
        for index in range(position, len(text)):
            char = text[index]
            if char in "=:\n":
                return index
            if not (char in _INLINE_SPACE or char in "_.-[]" or char.isalpha() or char.isnumeric()):
                name = text[position:].split("\n", 1)[0][:80]
                raise ValueError(
                    f'line {self._line(index)}: unexpected character "{char}" '
                    f'in variable name "{name}"'
                )
        return len(text)

    def _value(self, position: int) -> tuple[str, int]:
        text = self._text
        quote = text[position : position + 1]
        if quote and quote in "\"'":
            return self._quoted(position, quote)
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        value = text[position:end].split(" #", 1)[0].rstrip()
        return self._substitute(value), end + 1

    def _quoted(self, position: int, quote: str) -> tuple[str, int]:
        text = self._text
        pieces: list[str] = []
        index = position + 1
        while (piece := _PIECE[quote].match(text, index)) is not None:
            index = piece.end()
            if piece[0] == quote:
                value = "".join(pieces)
                return (self._substitute(_unescape(value)) if quote == '"' else value), index
            pieces.append(quote if piece[1] == quote else piece[0])
        line = text[position:].split("\n", 1)[0][:80]
        raise ValueError(f"line {self._line(position)}: unterminated quoted value {line}")

    def _find(self, name: str) -> str | None:
        found = self._lookup(name)
        return found if found is not None else self._variables.get(name)


class _Locator(_Parser):
    """Only looks for where variables are assigned."""

    def __init__(self) -> None:
        super().__init__({}, lambda name: None, lambda name: None)
        self._substitute = lambda value: value
        self.found: dict[str, list[tuple[int, int]]] = {}

    def _note(self, key: str, position: int) -> None:
        column = position - self._text.rfind("\n", 0, position)
        self.found.setdefault(key, []).append((self._line(position), column))


def places(text: str) -> dict[str, list[tuple[int, int]]]:
    """The line and column, from 1, of each assignment of each variable; the last one counts.

    A text that is wrong somewhere is looked at as far as that.
    """
    locator = _Locator()
    with contextlib.suppress(ValueError):
        locator.parse(text.removeprefix(_BOM))
    return locator.found


def _skip(text: str, position: int) -> int:
    space = _INLINE.match(text, position)
    return space.end() if space is not None else position


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda match: _escaped(match.group()), text)


def _escaped(sequence: str) -> str:
    if sequence[1] in _ESCAPED:
        return _ESCAPED[sequence[1]]
    digits = sequence[2:]
    if sequence[1] == "0" and len(digits) == 3 and digits < "400" and not set(digits) & {"8", "9"}:
        return chr(int(digits, 8))
    return sequence


def parse_raw(text: str, variables: dict[str, str], lookup: Lookup, on_unset: OnUnset) -> None:
    """Add the variables of a file of the `raw` format: KEY=VALUE lines, taken as they stand."""
    del on_unset
    for line in text.removeprefix(_BOM).split("\n"):
        entry = line.removesuffix("\r").lstrip()
        if not entry or entry.startswith("#"):
            continue
        key, equals, value = entry.partition("=")
        if not key:
            raise ValueError(f"no variable name on line '{entry}'")
        if " " in key or "\t" in key:
            raise ValueError(f"variable '{key}' contains whitespaces")
        found = value if equals else lookup(entry)
        if found is not None:
            variables[key] = found


_Format = Callable[[str, dict[str, str], Lookup, OnUnset], None]
_FORMATS: Mapping[str, _Format] = {"": parse, ".env": parse, "raw": parse_raw}


def of_folder(folder: str, files: Files) -> list[str]:
    """The `.env` of a folder, if it is there and no folder itself."""
    file = posixpath.join(folder, ".env")
    return [file] if files.exists(file) and not files.is_folder(file) else []


def read(
    files: Files,
    file: str,
    variables: dict[str, str],
    lookup: Lookup,
    on_unset: OnUnset,
    *,
    format: str = "",
) -> None:
    """Add the variables of a file to `variables`.

    format: "" or "raw". Raises InvalidArgument, naming the file; FileNotFoundError is the caller's.
    """
    if format not in _FORMATS:
        raise InvalidArgument(f'unsupported env_file format "{format}"', hint='use "raw" or none')
    try:
        data = files.read(file, MAX_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InvalidArgument(f"cannot read {file}: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise InvalidArgument(f"cannot read {file}: larger than {MAX_BYTES >> 20} MiB")
    try:
        _FORMATS[format](decode(data), variables, lookup, on_unset)
    except ValueError as error:
        hint = "write one NAME=VALUE a line; a value that begins with a quote ends with one"
        raise InvalidArgument(f"failed to read {file}: {error}", hint=hint) from error


def read_all(
    files: Files, paths: list[str], environment: Mapping[str, str], on_unset: OnUnset
) -> dict[str, str]:
    """The variables of several files; what `environment` sets is looked up first.

    Raises InvalidArgument for a file that is missing, a folder, or wrong.
    """
    variables: dict[str, str] = {}
    for file in paths:
        if files.is_folder(file):
            raise InvalidArgument(f"{file} is a directory")
        try:
            read(files, file, variables, environment.get, on_unset)
        except FileNotFoundError as error:
            hint = "make it, or correct its name"
            raise InvalidArgument(f"couldn't find env file: {file}", hint=hint) from error
    return variables
