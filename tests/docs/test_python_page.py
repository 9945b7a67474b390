"""Every block of the page on Python is run, in order, as a newcomer would."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from pathlib import Path

import pytest

from rac.encoders import Encoder
from tests.fake_hub import FakeHub

PAGE = Path(__file__).resolve().parents[2] / "docs" / "python.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)


def test_the_blocks_of_the_page_run_in_order(
    mini: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rac.encoders.load_encoder", lambda *_, **__: mini)
    monkeypatch.setenv("RAC_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    FakeHub.instead_of_the_real_one(tmp_path / "hub", monkeypatch)
    names: dict[str, object] = {}
    printed = []
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for number, block in enumerate(BLOCKS):
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(block, f"{PAGE.name}, block {number + 1}", "exec"), names)  # noqa: S102
            printed.append(out.getvalue())
    assert "<30 of 30 missing cells filled, 0 bad images>\n['red', 'blue', 'green']" in printed[1]
    assert printed[2].startswith("30 of 30 filled")
    assert "'season'" in printed[3]
    assert printed[4] == "Table Dataset\n"
    assert "'missing: there is no file no-such-file.png'" in printed[5]
    assert "['blue' 'green' 'red'] 1.0" in printed[6]
    assert "['red', 'blue', 'green']" in printed[6]
    assert printed[7] == "('blue', 'green', 'red')\n"
    assert printed[8].startswith("['red', 'blue', 'green']")
    assert printed[9].startswith("trained 1.0")
    assert "there is no column 'foto'; the columns are: 'sku', 'photo', 'colour'" in printed[10]
    assert Path("runs/report/report.html").is_file()


def test_the_first_thing_on_the_page_takes_less_than_ten_lines() -> None:
    filling = [line for line in "".join(BLOCKS[:2]).splitlines() if line.strip()]
    assert "rac.fill(" in BLOCKS[1]
    assert len(BLOCKS[1].splitlines()) < 10
    assert len(filling) < 15
