"""``rac zero-shot`` from the command line, with the toy encoder."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from eval.predictions import open_predictions
from eval.report import build_report
from rac.cli.app import app
from rac.errors import InputError
from tests.rac.cli.toy_memory import COLOURS, write_catalogue

pytestmark = pytest.mark.usefixtures("toy_encoders")


def test_a_report_of_its_predictions_knows_that_nothing_was_trained(tmp_path: Path) -> None:
    """Guards against a warning that test rows may have been trained on."""
    table, out = write_catalogue(tmp_path, COLOURS), tmp_path / "out.parquet"
    result = CliRunner().invoke(app, ["zero-shot", str(table), "--label", "label", "-o", str(out)])
    assert result.exit_code == 0, result.output
    run = build_report([open_predictions(out)]).metrics.runs[0]
    assert run.headline.top1.value == 1.0
    assert {run.honesty.training.checked, run.honesty.selection.checked} == {"no images"}
    assert not [note for note in run.notes if "Not checked" in note]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--template", "a photo"], "'a photo' has no {} for the class name"),
        (["-o", "out.csv"], "out.csv: predictions are written as .parquet"),
    ],
)
def test_a_wrong_option_is_told_before_any_image_is_read(
    tmp_path: Path, options: list[str], said: str
) -> None:
    table = write_catalogue(tmp_path, COLOURS)
    for image in tmp_path.glob("*.png"):
        image.unlink()
    result = CliRunner().invoke(app, ["zero-shot", str(table), "--max-bad", "0", *options])
    assert isinstance(result.exception, InputError)
    assert said in str(result.exception)
