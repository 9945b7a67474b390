"""Retrieval-augmented long-tail image classification and catalogue attribute filling.

The rooms of the house are imported by name (``rac.tables``, ``rac.encoders``, ``rac.classifier``,
``rac.attributes``); this file stays empty of imports, so that ``import rac`` costs nothing.
"""

from __future__ import annotations

__version__ = "0.1.0"
