"""The HTML page of a report."""

from __future__ import annotations

from eval.page.render import render_page

__all__ = ["render_page"]
