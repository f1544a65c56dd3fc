"""README and docs: links lead somewhere, commands and their options exist, and nothing outside the repository is needed."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
from fewview.cli.main import available, main

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(r"^(?: {4}|`)?\$? ?(fewview [a-z][^`#|&\n]*)", flags=re.MULTILINE)

pytestmark = pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="not run from a checkout")
by_name = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@by_name
def test_links_lead_somewhere_and_nothing_outside_is_needed(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(((?!http|#)[^)#]+)", text):
        assert (page.parent / target).exists(), target
    assert "../shared" not in text


@cache
def _help(name: str) -> str:
    """The help of a command, as one line of words."""
    import contextlib
    import io

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main([*name.split(), "--help"]) == 0
    return out.getvalue()


@by_name
def test_commands_and_their_options_exist(page: Path) -> None:
    known = available()
    for line in COMMAND.findall(page.read_text(encoding="utf-8")):
        words = line.split()[1:]
        name = " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]
        if name == "COMMAND" or name.isupper():
            continue
        assert name in known or name in {known_name.split()[0] for known_name in known}, line
        for flag in re.findall(r"(?<=\s)--[a-z][a-z-]*", line) if name in known else ():
            assert flag == "--help" or flag in _help(name), line
