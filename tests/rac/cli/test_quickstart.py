"""The main job on toy pictures, and the catalogue it makes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from rac.cli.quickstart import job
from rac.cli.quickstart.catalogue import FASHION, STAMPS, Source, choose_source, write_catalogue
from rac.cli.quickstart.job import run_quickstart
from rac.cli.quickstart.summary import print_summary
from rac.errors import InputError
from tests.toy import COLOURS, ToyEncoder, write_toy_images

ROWS = 240


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """A shop of plain colours: warm or cold, a colour, and one file that is no image."""
    colours = [list(COLOURS)[number % len(COLOURS)] for number in range(ROWS)]
    folder = tmp_path / "shop"
    names = write_toy_images(folder, colours)
    (folder / names[5]).write_bytes(b"no image")
    with (folder / "items.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["id", "image", "caption", "label", "colour", "warmth"])
        for number, (name, colour) in enumerate(zip(names, colours, strict=True)):
            warmth = "" if number % 40 == 0 else "warm" if colour in ("red", "yellow") else "cold"
            writer.writerow([f"sku-{number}", name, f"a {colour} thing", colour, colour, warmth])
    return Source(
        table=str(folder / "items.csv"),
        title="toys",
        id="id",
        caption="caption",
        label="label",
        attributes=("colour", "warmth"),
        templates={"colour": ("a {} thing.",), "warmth": ("{}.",)},
    )


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def test_pictures_of_somebody_else_are_left_alone(source: Source, tmp_path: Path) -> None:
    """Guards against `-o .` in a folder whose `catalogue/images` was the user's own."""
    mine = tmp_path / "out" / "images" / "mine.png"
    mine.parent.mkdir(parents=True)
    mine.touch()
    with pytest.raises(InputError, match="not made by a quickstart"):
        write_catalogue(source, tmp_path / "out", blank=0.4, seed=3)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["images"]
    assert mine.exists()
    write_catalogue(source, tmp_path / "other", blank=0.4, seed=3)
    write_catalogue(source, tmp_path / "other", blank=0.4, seed=4)


def test_a_catalogue_is_blanked_by_a_seed_and_nothing_else_changes(
    source: Source, tmp_path: Path
) -> None:
    catalogue = write_catalogue(source, tmp_path / "out", blank=0.4, seed=3)
    truth, blanked = read(catalogue.truth), read(catalogue.blanked)
    assert len(truth) == len(blanked) == ROWS
    assert len(catalogue.hidden["colour"]) == round(0.4 * ROWS)
    assert len(catalogue.hidden["warmth"]) == round(0.4 * (ROWS - 6))
    for number, (whole, holed) in enumerate(zip(truth, blanked, strict=True)):
        for column in holed:
            hidden = number in catalogue.hidden.get(column, [])
            assert holed[column] == ("" if hidden else whole[column])
            assert not hidden or whole[column] != ""
    assert "label" not in blanked[0]
    again = write_catalogue(source, tmp_path / "out", blank=0.4, seed=3)
    assert again.hidden == catalogue.hidden
    assert again.splits == catalogue.splits
    assert write_catalogue(source, tmp_path / "x", blank=0.4, seed=4).hidden != catalogue.hidden


def test_a_limited_source_takes_only_so_many_rows(source: Source, tmp_path: Path) -> None:
    from dataclasses import replace

    catalogue = write_catalogue(replace(source, rows=30), tmp_path / "out", blank=0.0, seed=0)
    assert len(catalogue.ids) == 30
    assert catalogue.hidden == {"colour": [], "warmth": []}


def test_the_hub_stands_in_where_the_stamps_are_missing(tmp_path: Path) -> None:
    assert choose_source(tmp_path) is STAMPS
    fallback = choose_source(tmp_path / "nowhere")
    assert fallback is FASHION
    assert fallback.table.startswith("hub:")
    assert set(fallback.templates) == set(fallback.attributes)


def test_the_whole_job_on_toys(
    source: Source,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("RAC_CACHE_HOME", str(tmp_path / "cache"))
    encoder = ToyEncoder()
    monkeypatch.setattr(job, "load_encoder", lambda name: encoder)
    out = tmp_path / "run"
    summary = run_quickstart(out, encoder_name="toy", blank=0.4, seed=0, source=source)
    assert (summary.rows, summary.bad_images, summary.classes) == (ROWS, 1, len(COLOURS))
    # Plain colours are easy; anything much less says that rows were mixed up on the way.
    assert summary.classifier.top1 is not None
    assert summary.classifier.top1 > 0.95
    for figures in summary.fill.values():
        assert figures.coverage is not None
        assert figures.precision is not None
        assert figures.coverage > 0.9
        assert figures.precision > 0.9
    assert set(summary.seconds) == {"catalogue", "embed", "train", "fill", "report"}
    written = json.loads((out / "summary.json").read_text())
    assert written["fill"] == {name: one.model_dump() for name, one in summary.fill.items()}
    assert "Quickstart: toys" in (out / "report.html").read_text()
    assert encoder.images_encoded == ROWS - 1, "the fill has to take embeddings from the cache"
    # The filled copy holds every known cell as it was.
    for whole, filled in zip(
        read(out / "catalogue" / "blanked.csv"), read(out / "fill" / "filled.csv"), strict=True
    ):
        assert all(filled[name] == cell for name, cell in whole.items() if cell)
    capsys.readouterr()
    print_summary(summary, out)
    said = capsys.readouterr().out
    assert "warmth" in said
    assert "toys" in said
