"""Output that would fall on what is read: refused before any work, whatever the path is called."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rac.cli.app import main
from tests.hostile.table import Promise

# The table's name, and the words behind it; OUT is the folder that it lies in.
CASES: dict[str, tuple[str, list[str]]] = {
    "a drafted schema": ("t.csv", ["schema", "infer", "TABLE", "-o", "TABLE"]),
    "embeddings": ("embeddings.parquet", ["embed", "TABLE", "-o", "OUT"]),
    "the manifest of embeddings": ("manifest.json", ["embed", "TABLE", "-o", "OUT"]),
    "bad images": ("quarantine.csv", ["fill", "run", "TABLE", "--schema", "S", "-o", "OUT"]),
    "an audit": ("audit.csv", ["fill", "audit", "TABLE", "--schema", "S", "-o", "OUT"]),
    "classes of a report": ("per_class.csv", ["report", "TABLE", "-o", "OUT"]),
    "zero-shot": ("t.parquet", ["zero-shot", "TABLE", "--label", "k", "-o", "TABLE"]),
    "predictions": ("t.parquet", ["predict", "TABLE", "--model", "none", "-o", "TABLE"]),
}

PROMISES = [
    Promise(
        "output that would fall on the input",
        "exit code 2 before any work, and the input is as it was",
        "the files that commands write, in the place of the table, also by a link to it",
        2 * len(CASES),
    )
]


@pytest.mark.parametrize("linked", [False, True], ids=["", "by a link"])
@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_no_command_writes_over_what_it_reads(
    case: tuple[str, list[str]],
    linked: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name, words = case
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "s.yaml").write_text("attributes: {k: {}}")
    (out / name).write_bytes(b"id,image,k\na,a.png,b\n")
    table = out / name
    if linked:
        table = tmp_path / f"link{table.suffix}"
        table.symlink_to(out / name)
    places = {"OUT": out, "S": tmp_path / "s.yaml", "TABLE": table}
    asked = [str(places.get(word, word)) for word in words]
    if words[-1] == "TABLE":
        asked[-1] = str(out / name)
    monkeypatch.setattr(sys, "argv", ["rac", *asked])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "is what is read here" in capsys.readouterr().err
    assert (out / name).read_bytes() == b"id,image,k\na,a.png,b\n"
    assert [entry.name for entry in out.iterdir()] == [name]
