"""Standard output and error that cannot be written to: the work is done, and what was lost is said.

The commands run in processes of their own, since what breaks are their descriptors.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.hostile.table import Promise

# Writes a file and then says so, on both streams, in more bytes than any buffer holds.
JOB = """
import sys
import typer
from rac.cli import app as main_module

@main_module.app.command("job")
def job(out: str) -> None:
    typer.echo("begun " * 40_000, err=True)
    typer.echo("begun " * 40_000)
    with open(out, "w") as handle:
        handle.write("done")
    typer.echo("done")

sys.argv = ["rac", "job", sys.argv[1]]
main_module.main()
"""


@dataclass(frozen=True)
class Case:
    """What stands behind the two streams, and how the command ends.

    Attributes:
        out: ``full`` (a full disk), ``gone`` (a pipe without a reader), ``closed`` or ``fine``.
        err: the same of the error stream.
        code: the exit code.
        said: on the error stream, where that works.
    """

    out: str
    err: str
    code: int
    said: str = ""


CASES = [
    Case("fine", "fine", 0),
    Case("full", "fine", 1, "standard output: No space left on device"),
    Case("gone", "fine", 0, "standard output: Broken pipe"),
    Case("closed", "fine", 1, "standard output: it is closed"),
    Case("fine", "full", 0),
    Case("fine", "gone", 0),
    Case("fine", "closed", 0),
    Case("full", "full", 1),
    Case("gone", "gone", 0),
    Case("closed", "closed", 1),
]

PROMISES = [
    Promise(
        "Standard output",
        "The job ends as it would have, its files are there, and one line says that the result "
        "could not be printed; exit 1 where the output was to be kept, 0 where its reader left",
        "closed pipes, full disks and closed descriptors behind output and error, buffered or not",
        2 * len(CASES),
    )
]


@contextmanager
def stream(kind: str) -> Iterator[int]:
    """Give a descriptor to write to."""
    if kind == "full":
        descriptor = os.open("/dev/full", os.O_WRONLY)
    elif kind == "gone":
        reader, descriptor = os.pipe()
        os.close(reader)
    else:
        descriptor = os.open(os.devnull, os.O_WRONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.out} {case.err}")
def test_a_job_is_done_whatever_becomes_of_its_output(
    case: Case, unbuffered: str, tmp_path: Path
) -> None:
    done = tmp_path / "done"
    told = tmp_path / "told"
    command = [sys.executable, "-c", JOB, str(done)]
    shut = "".join(
        f" {number}>&-" for number, kind in ((1, case.out), (2, case.err)) if kind == "closed"
    )
    with stream(case.out) as out, stream(case.err) as err, open(told, "wb") as kept:
        ended = subprocess.run(
            ["sh", "-c", f'exec "$@"{shut}', "sh", *command],
            stdout=out,
            stderr=kept if case.err == "fine" else err,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            check=False,
        )
    assert ended.returncode == case.code
    assert done.read_text() == "done"
    said = told.read_text()
    assert "Traceback" not in said
    assert ("standard output" in said) == bool(case.said)
    assert case.said in said
