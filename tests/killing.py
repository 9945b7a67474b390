"""Jobs in processes of their own that are killed with SIGKILL, and what they are killed in."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    [
        "tests.killing",
        "tests.toy",
        "rac.attributes.fill",
        "rac.attributes.postgres.job",
        # What a job imports on its way, and what takes most of its time otherwise.
        "pandas",
        "psycopg",
        "torch",
    ]
)


def fill_files(table: str, out: str) -> None:
    """Fill a table with the toy encoder, its ledger in parts of 40 rows."""
    import rac.attributes.decide_job as decide_job
    import rac.attributes.filled_copy as filled_copy
    import rac.attributes.store as store
    from rac.attributes.fill import fill_table
    from rac.attributes.prepare import FillOptions
    from rac.attributes.schema import parse_schema
    from rac.tables import open_table
    from tests.toy import ToyEncoder

    modules: list[Any] = [decide_job, filled_copy]
    for module in modules:
        module.PART_ROWS = module.BATCH_ROWS = 40
    store._COMMIT_ROWS = 16
    schema = parse_schema("attributes: {colour: {target_precision: 0.9}}")
    options = FillOptions(progress=False, batch_size=8)
    fill_table(open_table(table), schema, ToyEncoder(), Path(out), options)


def fill_database(url: str, folder: str, out: str) -> None:
    """Fill a table of a database with the toy encoder, seven cells in a transaction."""
    import rac.attributes.postgres.statements as statements
    from rac.attributes.postgres.address import Address
    from rac.attributes.postgres.job import fill_postgres
    from rac.attributes.prepare import FillOptions
    from rac.attributes.schema import parse_schema
    from tests.toy import ToyEncoder

    statements._BATCH_CELLS = 7
    schema = parse_schema("attributes: {colour: {target_precision: 0.9}}")
    fill_postgres(
        Address.parse(url),
        schema,
        ToyEncoder(),
        Path(out),
        FillOptions(progress=False),
        base=Path(folder),
    )


def fill_database_struck(url: str, folder: str, out: str, number: int, delay: float) -> None:
    """Fill a table of a database, and be killed a moment after a statement of that number."""
    # A kill loses nothing that was handed to the operating system.
    os.fsync = lambda handle: None  # type: ignore[assignment]
    with striking(number, delay, lambda: os.kill(os.getpid(), signal.SIGKILL)):
        fill_database(url, folder, out)


@contextmanager
def striking(
    number: int, delay: float, strike: Callable[[], None], *, waited: bool = False
) -> Iterator[list[int]]:
    """Do something a moment after a statement or commit of a job on a database begins.

    Args:
        number: of the statement, from 1; none is struck by 0.
        delay: seconds after its beginning, so that the statement itself is struck as well.
        strike: what is done, in a thread of its own.
        waited: whether the statement waits for that.

    Yields:
        A list with one number: how many statements there were.
    """
    import psycopg

    seen = [0]
    threads: list[threading.Timer] = []
    plain = {name: getattr(psycopg.Connection, name) for name in ("execute", "commit")}

    def counted(name: str) -> Callable[..., Any]:
        def call(connection: Any, *arguments: Any, **named: Any) -> Any:
            if threading.current_thread() is threading.main_thread():
                seen[0] += 1
                if seen[0] == number:
                    threads.append(threading.Timer(delay, strike))
                    threads[0].start()
                    if waited:
                        threads[0].join()
            return plain[name](connection, *arguments, **named)

        return call

    for name in plain:
        setattr(psycopg.Connection, name, counted(name))
    try:
        yield seen
    finally:
        for name, method in plain.items():
            setattr(psycopg.Connection, name, method)
        for thread in threads:
            thread.join()


def run_whole(job: Callable[..., None], *arguments: Any) -> float:
    """Run a job undisturbed; give the seconds that it took."""
    start = time.monotonic()
    child = _start(job, arguments)
    child.join(120)
    assert child.exitcode == 0, child.exitcode
    return time.monotonic() - start


class Killer:
    """Kills jobs at random moments, as far into them as they can be caught.

    How long a job takes changes with what else the machine does: the moments come earlier after a
    job that got through, and later after one that was caught.
    """

    def __init__(self, seconds: float, seed: int = 0) -> None:
        self._latest = seconds
        self._draw = random.Random(seed)
        self.killed = 0

    def run(self, job: Callable[..., None], *arguments: Any) -> None:
        """Run a job and kill it, unless it gets through before."""
        child = _start(job, arguments)
        child.join(self._draw.uniform(0.2 * self._latest, self._latest))
        if child.exitcode is not None:
            assert child.exitcode == 0, child.exitcode
            self._latest *= 0.7
            return
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        self.killed += 1
        self._latest *= 1.1


def run_until_killed(job: Callable[..., None], *arguments: Any) -> bool:
    """Run a job that is killed at an instant of its own; give whether it was."""
    child = _start(job, arguments)
    child.join(120)
    assert child.exitcode in (0, -signal.SIGKILL), child.exitcode
    return child.exitcode != 0


def _start(job: Callable[..., None], arguments: tuple[Any, ...]) -> ForkServerProcess:
    child = _context.Process(target=_with_environment, args=(dict(os.environ), job, arguments))
    child.start()
    return child


def _with_environment(
    environment: dict[str, str], job: Callable[..., None], arguments: tuple[Any, ...]
) -> None:
    """Run a job under the test's environment; the server that forks it has an older one."""
    os.environ.update(environment)
    job(*arguments)
