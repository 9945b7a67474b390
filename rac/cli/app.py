"""The command ``rac``: every command by its name, and what an error looks like from outside."""

from __future__ import annotations

import errno
import sys

import typer

from rac.cli import (
    bench,
    cache,
    data,
    encoders,
    fill,
    index,
    predict,
    quickstart,
    report,
    schema,
    train,
    zero_shot,
)
from rac.cli import doctor as doctor_command
from rac.cli import embed as embed_command
from rac.cli.streams import kept_going
from rac.errors import InputError, JobFailed

app = typer.Typer(
    name="rac",
    help="Classify long-tailed catalogues and fill their missing attributes, from images.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
)

app.command()(quickstart.quickstart)
app.add_typer(fill.app, name="fill")
app.add_typer(schema.app, name="schema")
app.add_typer(train.app, name="train")
app.command()(predict.predict)
app.command()(report.report)
app.command("zero-shot")(zero_shot.zero_shot)
app.command()(embed_command.embed)
app.add_typer(index.app, name="index")
app.add_typer(data.app, name="data")
app.add_typer(cache.app, name="cache")
app.add_typer(bench.app, name="bench")
app.command("encoders")(encoders.encoders)
app.command()(doctor_command.doctor)


#: A disk or a machine that has come to its end; everything else is the person's to put right.
_MACHINE = {
    errno.EDQUOT,
    errno.EFBIG,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ENOSPC,
}
#: What is theirs even where the error names no file: rights, a file for a folder.
_THEIRS = {
    errno.EACCES,
    errno.EEXIST,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}


def main() -> None:
    """Run the command line: exit code 0, 1 for a job that failed, 2 for bad usage or input.

    A standard output that cannot be written to ends no job; see :mod:`rac.cli.streams`.
    """
    with kept_going() as output:
        code = _run()
        lost = output.lost()
        # Who reads only the beginning of a help text has lost nothing.
        if lost is not None and "--help" not in sys.argv:
            sys.stderr.write(f"rac: {lost[1]}\n")
            code = code or lost[0]
    sys.exit(code)


def _run() -> int:
    try:
        app()
    except SystemExit as ended:
        if isinstance(ended.code, str):
            sys.stderr.write(f"{ended.code}\n")
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    except Exception as error:
        code = _exit_code(error)
        if code is None:
            raise
        sys.stderr.write(f"rac: {_said(error)}\n")
        return code
    return 0


def _exit_code(error: Exception) -> int | None:
    """Give the exit code of an error that the user is to read; None for a fault of the program."""
    # Not at the top: these packages take most of a second, which `rac --help` has no use for.
    from eval.errors import ReportFault
    from retrieval_index.errors import MemoryFault

    if isinstance(error, InputError | MemoryFault | ReportFault):
        return 2
    if isinstance(error, JobFailed | MemoryError):
        return 1
    if isinstance(error, OSError) and error.errno is not None:
        if error.errno in _MACHINE:
            return 1
        if error.filename is not None or error.errno in _THEIRS:
            return 2
    return None


def _said(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return f"there is not memory enough for this ({str(error) or 'none was left'})"
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    return str(error)
