"""A peer: transformers' zero-shot image classification pipeline with its default settings."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import open_clip
from PIL import Image

PIPELINE_MODEL = "CLIP ViT-B/32, random weights"

_SPECIAL = ["<|startoftext|>", "<|endoftext|>"]


def clip_pipeline(sources: list[str | bytes]) -> Callable[[], object] | None:
    """Make a function that classifies images by one prompt, one after the other.

    The network is transformers' default CLIP, ViT-B/32, whichever encoder it is compared with: a
    pipeline takes no open_clip model. Its weights are random, which the speed does not depend on.

    Args:
        sources: paths or encoded bytes.

    Returns:
        The function; None where transformers is not installed.
    """
    if find_spec("transformers") is None:
        return None
    import transformers

    transformers.logging.set_verbosity_error()
    vocabulary, merges = _byte_pairs()
    pipeline = transformers.pipeline(
        "zero-shot-image-classification",
        model=transformers.CLIPModel(transformers.CLIPConfig()).eval(),
        tokenizer=transformers.CLIPTokenizer(vocab=vocabulary, merges=merges),
        image_processor=transformers.CLIPImageProcessor(),
    )

    def classify() -> object:
        images = [
            Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
            for source in sources
        ]
        return pipeline(images, candidate_labels=["product"])

    return classify


def _byte_pairs() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Read CLIP's vocabulary from the file that open_clip carries."""
    path = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")
    merges = [tuple(line.split()) for line in lines[1 : 49152 - 256 - 2 + 1]]
    letters = list(open_clip.tokenizer.bytes_to_unicode().values())
    words = [
        *letters,
        *(letter + "</w>" for letter in letters),
        *("".join(merge) for merge in merges),
        *_SPECIAL,
    ]
    return {word: number for number, word in enumerate(words)}, merges  # type: ignore[return-value]
