"""The wheel: its licence and its contents, and that it works where nothing else is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.test_imports import imports_of, modules

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LICENCE = "Apache-2.0 AND CC-BY-SA-4.0"
LICENCE_FILES = {"LICENSE", "NOTICE", "rac/encoders/mini/LICENSE"}
TARGET = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
# The recipe of the embedded encoder: run from the source tree, not shipped.
RECIPE = "training/mini"


def test_the_licence_is_that_of_the_code_and_of_the_weights() -> None:
    assert PROJECT["project"]["license"] == LICENCE
    assert set(PROJECT["project"]["license-files"]) == LICENCE_FILES
    assert all((ROOT / name).is_file() for name in LICENCE_FILES)
    said = " ".join((ROOT / "NOTICE").read_text(encoding="utf-8").split())
    assert f"its licence is {LICENCE}" in said
    assert "rac/encoders/mini: " in said


def test_what_is_shipped_imports_nothing_of_the_recipe() -> None:
    # And what the examples of docstrings share, which is of the tests.
    assert TARGET["exclude"] == [f"/{RECIPE}", "conftest.py"]
    assert (ROOT / RECIPE / "__main__.py").is_file(), "the recipe has moved: exclude its new place"
    module = RECIPE.replace("/", ".")
    shipped = {
        name: path
        for name, path in modules().items()
        if name.split(".")[0] in TARGET["packages"] and f"{name}.".find(f"{module}.") != 0
    }
    assert len(shipped) > 100, "the test looks at next to nothing"
    wrong = [
        f"{name} imports {imported}"
        for name, path in shipped.items()
        for imported in imports_of(path)
        if f"{imported}.".startswith(f"{module}.")
    ]
    assert wrong == []


def run(*command: str | Path, cwd: Path, **more: str) -> str:
    """Run outside the tree, so that nothing is found there; give what it printed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=cwd, env=environment | more, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps")
    run(*pip, "--wheel-dir", folder, ROOT, cwd=folder)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture
def room() -> Iterator[Path]:
    """An empty folder outside the tree; pytest would keep gigabytes of its own for three runs."""
    with TemporaryDirectory(prefix="rac-wheel-") as folder:
        yield Path(folder).resolve()


@pytest.mark.wheel
def test_the_wheel_holds_the_rooms_the_weights_and_the_licences(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        [metadata] = (name for name in names if name.endswith(".dist-info/METADATA"))
        said: Message = message_from_bytes(archive.read(metadata))
    about = metadata.rpartition("/")[0]
    assert {name.split("/")[0] for name in names} == {*TARGET["packages"], about}
    assert not [name for name in names if name.startswith(f"{RECIPE}/")]
    sources = {
        path.relative_to(ROOT).as_posix()
        for room in TARGET["packages"]
        for path in (ROOT / room).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    missing = {name for name in sources if not name.startswith(f"{RECIPE}/")} - names
    assert missing == set()
    assert said["License-Expression"] == LICENCE
    assert set(said.get_all("License-File", [])) == LICENCE_FILES
    assert {f"{about}/licenses/{name}" for name in LICENCE_FILES} <= names


@pytest.mark.wheel
def test_the_quickstart_runs_from_the_wheel_in_an_empty_environment(
    wheel: Path, room: Path
) -> None:
    """Whoever installs it has neither the tree nor what the tests need."""
    bin_folder = room / "venv" / "bin"
    run(sys.executable, "-m", "venv", room / "venv", cwd=room)
    install = (bin_folder / "python", "-m", "pip", "install", "--quiet")
    run(*install, "--constraint", ROOT / "constraints.txt", wheel, cwd=room)
    run(bin_folder / "python", "-m", "pip", "check", cwd=room)
    look = (
        "import importlib.util, rac, training\n"
        "assert importlib.util.find_spec('training.mini') is None\n"
        "print(rac.__file__)"
    )
    found = Path(run(bin_folder / "python", "-c", look, cwd=room).strip())
    assert found.is_relative_to(room), "it is the tree that is tried, not the wheel"
    assert "## Version" in run(bin_folder / "rac", "encoders", "mini", cwd=room)
    cache = {"RAC_CACHE_HOME": str(room / "cache")}
    out = room / "runs" / "quickstart"
    said = run(bin_folder / "rac", "quickstart", "-o", out, cwd=room, **cache)
    assert re.search(r"report\.html", said)
    assert (out / "report.html").stat().st_size > 10_000
