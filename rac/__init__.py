"""Retrieval-augmented long-tail image classification and catalogue attribute filling.

The front door for Python, in a dozen names; each is imported when it is first used, so that
``import rac`` costs nothing. What comes back from them is described in the modules of
:mod:`rac.api`.

>>> import rac
>>> rac.__all__
['Classifier', 'InputError', 'JobFailed', 'Memory', 'Model', '__version__', 'embed', 'fill',
 'load', 'load_encoder', 'open_table', 'report', 'zero_shot']
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rac.api.classifier import Classifier
    from rac.api.embeddings import embed
    from rac.api.filling import fill
    from rac.api.model import Model, load
    from rac.api.reports import report
    from rac.api.zero_shot import zero_shot
    from rac.encoders import load_encoder
    from rac.errors import InputError, JobFailed
    from rac.tables import open_table
    from retrieval_index import Memory

__version__ = "0.1.0"

__all__ = [
    "Classifier",
    "InputError",
    "JobFailed",
    "Memory",
    "Model",
    "__version__",
    "embed",
    "fill",
    "load",
    "load_encoder",
    "open_table",
    "report",
    "zero_shot",
]

_HOMES = {
    "Classifier": "rac.api.classifier",
    "InputError": "rac.errors",
    "JobFailed": "rac.errors",
    "Memory": "retrieval_index",
    "Model": "rac.api.model",
    "embed": "rac.api.embeddings",
    "fill": "rac.api.filling",
    "load": "rac.api.model",
    "load_encoder": "rac.encoders",
    "open_table": "rac.tables",
    "report": "rac.api.reports",
    "zero_shot": "rac.api.zero_shot",
}


if not TYPE_CHECKING:  # which would let a type checker believe in any name

    def __getattr__(name: str) -> Any:
        """Import a public name when it is first asked for (PEP 562)."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(_HOMES[name]), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    """List the public names too that were not asked for yet."""
    return sorted({*globals(), *__all__})
