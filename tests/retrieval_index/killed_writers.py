"""Forks writers of a memory, kills each at a random instant, and verifies what it leaves.

Prints the count and the version of the memory after every kill. Run as a program, with the memory's
folder and the number of kills.
"""

from __future__ import annotations

import os
import signal
import sys
import time

import numpy as np

from retrieval_index import Memory, edits, make_rows, verify_folder


def write(folder: str, name: str, busy: int) -> None:
    """Edit the memory until killed; say by a byte when the first edit is done."""
    memory = Memory.open(folder)
    for number in range(10_000):
        ids = [f"{name}-{number}-{i}" for i in range(40)]
        vectors = np.random.default_rng(number).normal(size=(40, 16))
        memory = memory.add(vectors, make_rows(ids))
        if number == 0:
            os.write(busy, b".")
        memory = memory.upsert(vectors[:9], make_rows(ids[:9]))
        memory = memory.delete(ids[5:25])
        memory = memory.compact() if number % 4 == 3 else memory


def main(folder: str, kills: int) -> None:
    """Fork, wait, kill, verify, so many times."""
    edits.SMALL_ROWS = 64  # so that deletions are kept beside the rows, and segments pile up
    waits = np.random.default_rng(0).uniform(0.0, 0.05, size=kills)
    for number, wait in enumerate(waits):
        busy, tell = os.pipe()
        writer = os.fork()
        if writer == 0:
            try:
                write(folder, str(number), tell)
            finally:
                os._exit(1)
        os.close(tell)
        assert os.read(busy, 1) == b".", "the writer failed"
        os.close(busy)
        time.sleep(wait)
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
        manifest = verify_folder(folder)
        print(manifest.count, manifest.version, flush=True)  # noqa: T201 (what it is run for)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
