"""Encoders worth picking, and what they are good for.

Sizes are those of the float32 weights; licences are those that the authors state on the pages of
their weights, to be read there before commercial use.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recommendation:
    """One encoder to pick.

    Attributes:
        name: what to give to ``--encoder``.
        purpose: which catalogue it suits.
        million_parameters: of image and text tower together.
        megabytes: to download; 0 for what is embedded in this package.
        licence: of the weights.
    """

    name: str
    purpose: str
    million_parameters: int
    megabytes: int
    licence: str


RECOMMENDED = (
    Recommendation(
        "mini",
        "a first try, tests, machines without network; not for a real catalogue's zero-shot fills",
        22,
        0,
        "CC-BY-SA-4.0",
    ),
    Recommendation(
        "ViT-B-32/laion2b_s34b_b79k",
        "general products and photos, on a CPU",
        151,
        605,
        "MIT",
    ),
    Recommendation(
        "ViT-B-16-SigLIP2/webli",
        "general catalogues and labels in many languages",
        375,
        1501,
        "Apache-2.0",
    ),
    Recommendation(
        "ViT-SO400M-14-SigLIP2/webli",
        "the best general quality here; wants a GPU",
        1136,
        4544,
        "Apache-2.0",
    ),
    Recommendation(
        "hf-hub:Marqo/marqo-fashionSigLIP",
        "fashion: categories, colours, materials, styles",
        203,
        813,
        "Apache-2.0",
    ),
    Recommendation(
        "hf-hub:imageomics/bioclip",
        "plants, animals, fungi: species collections",
        150,
        599,
        "MIT",
    ),
)
