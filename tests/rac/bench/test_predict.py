from __future__ import annotations

import json

from typer.testing import CliRunner

from rac.bench.predict import PredictBench
from rac.cli.app import app


def test_both_sides_agree_in_one_run() -> None:
    sizes = ["--rows", "300", "--dim", "64", "--classes", "8", "--memory", "2100"]
    result = CliRunner().invoke(app, ["bench", "predict", *sizes, "--json"])
    assert result.exit_code == 0, result.output
    found = PredictBench.model_validate(json.loads(result.stdout))
    assert (found.rows, found.dim, found.classes, found.memory) == (300, 64, 8, 2100)
    assert found.rows_per_s > 0
    assert found.agreement >= 0.999
    assert found.largest_difference < 1e-4
    assert 0.5 < found.accuracy < 1


def test_a_memory_without_a_row_of_each_class_is_refused() -> None:
    result = CliRunner().invoke(app, ["bench", "predict", "--classes", "50", "--memory", "40"])
    assert result.exit_code != 0
    assert "--memory 40" in str(result.exception)
