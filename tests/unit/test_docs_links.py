"""The links of the documents lead somewhere: to files that are there, and to headings in them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "packaging").rglob("*.md")]
_FENCE = re.compile(r"^(`{3,}|~{3,})[^\n]*\n.*?^\1[ \t]*$", re.M | re.S)
_CODE = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_DEFINITION = re.compile(r"^\[[^\]]+\]:\s*(\S+)", re.M)
_HEADING = re.compile(r"^#{1,6} +(.+?) *#* *$", re.M)
_ELSEWHERE = re.compile(r"^[a-z][a-z0-9+.-]*:")
_MENTIONED = re.compile(r"`?\b((?:docs|scripts|packaging|examples)/[\w./-]+\w)`?")


def prose(page: Path) -> str:
    """A page without its examples of code."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> Iterator[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    seen: Counter[str] = Counter()
    for heading in _HEADING.findall(prose(page)):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
        yield f"{slug}-{seen[slug]}" if seen[slug] else slug
        seen[slug] += 1


def links(page: Path) -> Iterator[str]:
    """What a page links to of this repository."""
    text = _CODE.sub("", prose(page))
    for target in (*_LINK.findall(text), *_DEFINITION.findall(text)):
        if not _ELSEWHERE.match(target):
            yield target


def broken(page: Path) -> Iterator[str]:
    for target in links(page):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.is_relative_to(ROOT) or not there.exists():
            yield f"{target}: no such file"
        elif anchor and there.suffix == ".md" and anchor not in set(anchors(there)):
            yield f"{target}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert list(broken(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_are_named_are_there(page: Path) -> None:
    if page.name == "CHANGELOG.md":
        return  # it tells of what was
    named = set(_MENTIONED.findall(prose(page)))
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_what_is_broken_is_found(tmp_path: Path) -> None:
    page = ROOT / "docs" / "cli.md"
    assert "options-of-every-command" in set(anchors(page))
    assert "start-stop-restart-kill-rm-and-wait" in set(anchors(page))
    assert _LINK.findall('[a](b.md#c) ![d](e/f.svg "g") [h](<i.md>)') == [
        "b.md#c",
        "e/f.svg",
        "i.md",
    ]
