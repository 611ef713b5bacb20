"""Variables of an instruction's words: `$x`, `${x:-y}` and their siblings, by BuildKit's lexer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from e2b_dockerfile_utils import ShellLex

from stackr.build.errors import DockerfileError

__all__ = ["Words"]


@dataclass(frozen=True, slots=True)
class Words:
    """Expands words with the variables `env`; an unset one is empty. line: for errors."""

    env: Mapping[str, str]
    escape: str = "\\"
    line: int = 0

    def word(self, text: str) -> str:
        """With variables put in, and quotes and escapes taken away. Raises DockerfileError."""
        try:
            return self._lexer().process_word(text)
        except ValueError as error:
            raise DockerfileError(str(error), self.line) from None

    def words(self, text: str) -> list[str]:
        """As `word`, split where a variable's value has blanks that are not quoted."""
        try:
            return self._lexer().process_words(text)
        except ValueError as error:
            raise DockerfileError(str(error), self.line) from None

    def heredoc(self, text: str) -> str:
        """As `word`, for a heredoc's content: quotes stay."""
        lexer = ShellLex(
            self.escape,
            raw_quotes=True,
            skip_process_quotes=True,
            env=self.env,
            skip_unset_env=False,
        )
        try:
            return lexer.process_word(text)
        except ValueError as error:
            raise DockerfileError(str(error), self.line) from None

    def _lexer(self) -> ShellLex:
        return ShellLex(self.escape, env=self.env, skip_unset_env=False)
