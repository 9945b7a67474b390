"""Catalogue attributes: what may be filled, how sure one must be, and what was decided."""
