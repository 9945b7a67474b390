"""Each text is computed once, with a stand-in for the network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from training.mini.sentences import SENTENCE_DIM, SentenceEncoder
from training.mini.trunk import Floats


class Counted(SentenceEncoder):
    """Embeds a text by its length, and remembers what it was asked."""

    def __init__(self, cache: Path) -> None:
        super().__init__(cache)
        self.computed: list[str] = []

    def _computed(self, texts: Sequence[str], batch_size: int, show: bool) -> Floats:
        self.computed.extend(texts)
        vectors = np.zeros((len(texts), SENTENCE_DIM), dtype=np.float32)
        vectors[:, 0] = [len(text) for text in texts]
        return vectors


def test_a_text_is_computed_once_in_whatever_list_it_comes(tmp_path: Path) -> None:
    sentences = Counted(tmp_path)
    assert sentences.encode(["a", "bcd", "a"])[:, 0].tolist() == [1, 3, 1]
    assert sentences.encode(["ef", "bcd"])[:, 0].tolist() == [2, 3]
    assert sentences.computed == ["a", "bcd", "ef"]


def test_another_process_finds_what_was_computed(tmp_path: Path) -> None:
    first = Counted(tmp_path)
    first.encode(["naïve", "b\n c"])
    first.encode(["d"])
    later = Counted(tmp_path)
    assert later.encode(["d", "b\n c", "naïve"])[:, 0].tolist() == [1, 4, 5]
    assert later.computed == []
    assert later.encode([]).shape == (0, SENTENCE_DIM)
