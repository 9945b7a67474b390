"""The branches of the classifier: what each says about a query, on its own."""

from __future__ import annotations
