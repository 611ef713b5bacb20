"""Splits a command line into words as Docker Compose does, which is not quite as a shell does.

No variable or backtick is expanded, and a word stops at `;`, `&`, `|`, `<` or `>` with the rest
of the line dropped. Source: mattn/go-shellwords, shellwords.go.
"""

from __future__ import annotations

import re

_STOPS = ";&|<>"
_SPACES = " \t\r\n"
_RUN = re.compile(r"""([^;&|<>\s"'`()\\]*)([;&|<>\s"'`()\\]?)""")
"""Characters that mean themselves, and one that may not."""
MAX_LENGTH = 2 << 20


class _Splitter:
    """Reads one character after the other; the flags say inside of what it is."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.word = ""
        self.pending = False
        self.escaped = False
        self.inside = dict.fromkeys(('"', "'", "`", "("), False)

    def quoted(self) -> bool:
        return any(self.inside.values())

    def feed(self, char: str) -> bool:
        """Take a character; False when the line ends here."""
        if self.escaped:
            self.take(char)
        elif char == "\\":
            self._backslash()
        elif char in _SPACES:
            self._space(char)
        elif char in _STOPS and not self.quoted():
            if char == ">" and self.word[:1].isdigit():
                self.pending = False
            return False
        elif not self._opens_or_closes(char):
            self.take(char)
        return True

    def take(self, text: str) -> None:
        """Take characters that mean themselves."""
        self.word += text
        self.pending = True
        self.escaped = False

    def _backslash(self) -> None:
        if self.inside["'"]:
            self.word += "\\"
        else:
            self.escaped = True

    def _space(self, char: str) -> None:
        if self.quoted():
            self.word += char
        elif self.pending:
            self.words.append(self.word)
            self.word, self.pending = "", False

    def _opens_or_closes(self, char: str) -> bool:
        """Change state for a quote or bracket; True if the character is used up by that."""
        inside = self.inside
        if char in "\"'":
            return self._quote(char)
        literal = inside["'"] or inside['"']
        if char == "`" and not literal and not inside["("]:
            inside["`"] = not inside["`"]
        elif char == ")" and not literal and not inside["`"]:
            inside["("] = not inside["("]
        elif char == "(" and not literal and not inside["`"]:
            if inside["("] or not self.word.endswith("$"):
                raise ValueError("invalid command line string")
            inside["("] = True
            self.word += "("
            return True
        return False

    def _quote(self, char: str) -> bool:
        other = "'" if char == '"' else '"'
        if self.inside[other] or self.inside["("]:
            return False
        if self.inside[char]:
            self.pending = True
        self.inside[char] = not self.inside[char]
        return True


def split(line: str) -> list[str]:
    """The words of a command line; ValueError for a quote or bracket that is not closed."""
    if len(line) > MAX_LENGTH:
        raise ValueError(f"is longer than {MAX_LENGTH >> 20} MiB, which no kernel takes")
    splitter = _Splitter()
    for run in _RUN.finditer(line):
        if run[1]:
            splitter.take(run[1])
        if run[2] and not splitter.feed(run[2]):
            break
    if splitter.pending:
        splitter.words.append(splitter.word)
    if splitter.escaped or splitter.quoted():
        raise ValueError("invalid command line string")
    return splitter.words
