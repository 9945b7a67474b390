"""Pages as files: what a browser may do with one, and how it is written."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from retrieval_index.files import replace_file


def content_policy(script: str | None = None) -> str:
    """Give the content-security policy of a page that needs nothing but itself.

    No request, no frame, no form, no plug-in; pictures are in the page, and styles too.

    Args:
        script: the one that may run, as it stands between its tags; None for none.

    >>> content_policy().split("; ")[:3]
    ["default-src 'none'", 'img-src data:', "style-src 'unsafe-inline'"]
    """
    parts = ["default-src 'none'", "img-src data:", "style-src 'unsafe-inline'"]
    if script is not None:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        parts.append(f"script-src 'sha256-{digest}'")
    return "; ".join([*parts, "base-uri 'none'", "form-action 'none'"])


def write_page(path: Path, page: str) -> None:
    """Write a page, whole or not at all; what cannot stand in UTF-8 becomes a reference."""
    with replace_file(path) as draft:
        draft.write_bytes(page.encode("utf-8", "xmlcharrefreplace"))
