"""``rac data`` from outside."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from rac.cards import list_cards
from rac.cli.data import app
from rac.errors import InputError

runner = CliRunner()


def test_list() -> None:
    result = runner.invoke(app, ["list", "--json"])
    assert result.exit_code == 0
    cards = json.loads(result.stdout)
    assert [card["name"] for card in cards] == list_cards()
    assert next(c for c in cards if c["name"] == "openclipart")["role"] == "training-source"
    table = runner.invoke(app, ["list"], env={"COLUMNS": "200"}).stdout
    assert all(name in table for name in list_cards())


@pytest.mark.parametrize("name", list_cards())
def test_show(name: str) -> None:
    result = runner.invoke(app, ["show", name], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert "licence" in result.stdout
    found = json.loads(runner.invoke(app, ["show", name, "--json"]).stdout)
    assert found["name"] == name
    assert found["splits"]


def test_prepare() -> None:
    result = runner.invoke(app, ["prepare", "digits", "--json"])
    assert result.exit_code == 0
    assert sum(json.loads(result.stdout)["rows"].values()) == 1797
    assert "digits:train" in runner.invoke(app, ["prepare", "digits"]).stdout
    state = json.loads(runner.invoke(app, ["show", "digits", "--json"]).stdout)
    assert state["prepared"]


def test_an_unknown_name_is_the_user_s_mistake() -> None:
    result = runner.invoke(app, ["show", "nothing"])
    assert isinstance(result.exception, InputError)
