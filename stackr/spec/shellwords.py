"""Splits a command line into words as Docker Compose does, which is not quite as a shell does.

No variable or backtick is expanded, and a word stops at `;`, `&`, `|`, `<` or `>` with the rest
of the line dropped. Source: mattn/go-shellwords, shellwords.go.
"""

from __future__ import annotations

_STOPS = ";&|<>"
_SPACES = " \t\r\n"


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
            self.escaped = False
            self._take(char)
        elif char == "\\":
            self._backslash()
        elif char in _SPACES:
            self._space(char)
        elif char in _STOPS and not self.quoted():
            if char == ">" and self.word[:1].isdigit():
                self.pending = False
            return False
        elif not self._opens_or_closes(char):
            self._take(char)
        return True

    def _take(self, char: str) -> None:
        self.word += char
        self.pending = True

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
    splitter = _Splitter()
    for char in line:
        if not splitter.feed(char):
            break
    if splitter.pending:
        splitter.words.append(splitter.word)
    if splitter.escaped or splitter.quoted():
        raise ValueError("invalid command line string")
    return splitter.words
