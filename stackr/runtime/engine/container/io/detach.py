"""The keys by which a user of a terminal leaves a container or an exec session to itself; pure.

Source: Docker's `--detach-keys`; moby/term's names of control characters.
"""

from __future__ import annotations

from typing import Final

__all__ = ["DEFAULT_KEYS", "DetachKeys", "parse_keys"]

DEFAULT_KEYS: Final = b"\x10\x11"
"""Ctrl-P, Ctrl-Q."""

_NAMED: Final = {f"ctrl-{chr(code + 96)}": code for code in range(1, 27)} | {
    "ctrl-@": 0,
    "ctrl-[": 27,
    "ctrl-\\": 28,
    "ctrl-]": 29,
    "ctrl-^": 30,
    "ctrl-_": 31,
    "DEL": 127,
}


def parse_keys(text: str) -> bytes:
    """ "ctrl-p,ctrl-q" or "ctrl-a,d" in bytes, the default for "". Raises ValueError."""
    if not text:
        return DEFAULT_KEYS
    keys = bytearray()
    for name in text.split(","):
        if len(name) == 1 and name.isascii():
            keys += name.encode()
        elif name in _NAMED:
            keys.append(_NAMED[name])
        else:
            raise ValueError(f"unknown character: '{name}'")
    return bytes(keys)


class DetachKeys:
    """Looks for the keys in what is typed, in however many pieces it comes."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = 0
        self.found = False

    def feed(self, data: bytes) -> bytes:
        """What of it is for the program; a beginning of the keys is kept until it is known."""
        passed = bytearray()
        for byte in data:
            while self._held and byte != self._keys[self._held]:
                shorter = self._shorter()
                passed += self._keys[: self._held - shorter]
                self._held = shorter
            if byte != self._keys[self._held]:
                passed.append(byte)
                continue
            self._held += 1
            if self._held == len(self._keys):
                self.found = True
                break
        return bytes(passed)

    def _shorter(self) -> int:
        """How much of what was held may yet begin the keys, without its first byte."""
        rest = self._keys[1 : self._held]
        while rest and not self._keys.startswith(rest):
            rest = rest[1:]
        return len(rest)
