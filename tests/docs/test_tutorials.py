"""Every command of the tutorials is run, in its order, as a reader would give it."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from rac.cli.app import main

TUTORIALS = Path(__file__).resolve().parent.parent.parent / "docs" / "tutorials"
_BLOCKS = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """Give the words of each command of a page, which stand behind ``$ ``."""
    text = page.read_text(encoding="utf-8")
    return [
        shlex.split(line.removeprefix("$ "))
        for block in _BLOCKS.findall(text)
        for line in block.splitlines()
        if line.startswith("$ ")
    ]


@pytest.mark.docs
@pytest.mark.parametrize("page", sorted(TUTORIALS.glob("*.md")), ids=lambda page: page.stem)
def test_the_commands_of_a_tutorial_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = commands(page)
    assert asked, f"{page} shows no command"
    for words in asked:
        assert words[0] == "rac", words
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0, words
