"""What images in flight may take together is bounded, however many threads there are."""

from __future__ import annotations

import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rac.embedding.prepare import Preparer
from rac.images import DecodingBudget, ImageLimits, Pixels, decoded_pixels, memory
from rac.images import decode as decode_module
from rac.tables import Item
from tests.toy import ToyEncoder


def png(side: int, shade: int = 0) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (side, side), (shade, 30, 40)).save(stream, "PNG")
    return stream.getvalue()


def test_the_sum_never_passes_the_budget() -> None:
    budget = DecodingBudget(100)
    counting = threading.Lock()
    seen: list[int] = []
    live = 0

    def work(cost: int) -> int:
        nonlocal live
        with budget.share(cost):
            with counting:
                live += cost
                seen.append(live)
            time.sleep(0.0005)
            with counting:
                live -= cost
        return cost

    costs = [int(cost) for cost in np.random.default_rng(0).integers(1, 60, 300)]
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(work, costs)) == costs
    assert max(seen) <= 100
    assert max(seen) > 60, "more than one was in at a time, or the test shows nothing"
    assert budget.held == 0


def test_what_is_larger_than_the_budget_goes_alone_and_in_its_turn() -> None:
    budget = DecodingBudget(100)
    alone: list[int] = []
    first_in, let_out = threading.Event(), threading.Event()

    def first() -> None:
        with budget.share(10):
            first_in.set()
            assert let_out.wait(5)

    def large() -> None:
        with budget.share(1000):
            alone.append(budget.held)

    def small() -> None:
        with budget.share(10):
            alone.append(budget.held)

    threads = [threading.Thread(target=one) for one in (first, large, small)]
    threads[0].start()
    assert first_in.wait(5)
    threads[1].start()
    while len(budget._waiting) < 1:
        time.sleep(0.001)
    threads[2].start()
    while len(budget._waiting) < 2:
        time.sleep(0.001)
    let_out.set()
    for thread in threads:
        thread.join(5)
    # The small one would have fitted beside the first, and did not pass the large one over.
    assert alone == [1000, 10]


def test_a_failure_inside_gives_its_share_back() -> None:
    budget = DecodingBudget(10)
    with pytest.raises(KeyboardInterrupt), budget.share(10):
        raise KeyboardInterrupt
    assert budget.held == 0
    with budget.share(10):
        assert budget.held == 10


@pytest.mark.parametrize("workers", [1, 16])
def test_a_job_decodes_within_its_budget_and_in_order(
    workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against memory that grows with the number of decoding threads."""
    monkeypatch.setattr("rac.embedding.prepare._CHUNK", 1)
    counting = threading.Lock()
    live, most = 0, 0
    original = decode_module._pixels
    # A picture of 40 x 40 takes 7 bytes a pixel, and something for its resizing.
    one = 40 * 40 * 7 + 3 * 16 * 16

    class Slow(ToyEncoder):
        def preprocess(self, pixels: Pixels) -> Pixels:
            nonlocal live
            time.sleep(0.001)
            done = super().preprocess(pixels)
            with counting:
                live -= 1
            return done

    def counted(*arguments: object) -> Pixels:
        nonlocal live, most
        with counting:
            live += 1
            most = max(most, live)
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(decode_module, "_pixels", counted)
    limits = ImageLimits(max_memory=3 * one)
    items = [Item(str(number), png(40, number), None, None) for number in range(60)]
    with Preparer(None, Slow(), None, limits, workers) as preparer:
        found = [
            prepared for future in preparer.submit(items) for prepared in future.result(timeout=30)
        ]
    assert [one.reason for one in found] == [None] * 60
    shades = [int(prepared.pixels[0, 0, 0]) for prepared in found if prepared.pixels is not None]
    assert shades == list(range(60))
    assert most == min(workers, 3)


def test_an_image_is_read_no_further_than_its_neighbours_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Encoded files wait to be decoded too; a thread holds few of them when they are large."""
    monkeypatch.setattr("rac.embedding.prepare._MOST_READ", 100)
    judged: list[int] = []
    original = Preparer._judge
    monkeypatch.setattr(
        Preparer, "_judge", lambda self, found: judged.append(len(found)) or original(self, found)
    )
    items = [Item(str(number), png(9, number), None, None) for number in range(5)]
    with Preparer(tmp_path, ToyEncoder(), None, ImageLimits(), 1) as preparer:
        found = [one for future in preparer.submit(items) for one in future.result(timeout=30)]
    assert len(found) == 5
    assert max(judged) <= 2


def test_a_share_is_held_until_the_pixels_are_done_with() -> None:
    budget = DecodingBudget(1_000_000)
    with decoded_pixels(png(30), ImageLimits(), budget, target=16) as pixels:
        assert pixels.shape == (30, 30, 3)
        assert budget.held >= pixels.nbytes
    assert budget.held == 0


def test_memory_of_a_large_picture_is_given_back_and_of_a_small_one_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Guards against threads that each keep a picture's freed memory: 12 pictures took 2.8 GB."""
    given: list[int] = []
    monkeypatch.setattr(decode_module, "give_back_freed_memory", lambda: given.append(1))
    monkeypatch.setattr(decode_module, "_LARGE_BYTES", 40 * 40 * 7)
    decode_module.decode_pixels(png(40))
    assert given == []
    decode_module.decode_pixels(png(41))
    assert given == [1]


def test_giving_memory_back_is_no_fault_where_the_system_cannot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Other:
        pass

    memory._trim.cache_clear()
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: Other())
    memory.give_back_freed_memory()
    memory._trim.cache_clear()
