"""Where a memory comes from, and the manifest that its contents then have."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from retrieval_index.contents import Contents
from retrieval_index.manifest import IndexPlan, Manifest


@dataclass(frozen=True)
class Origin:
    """What a memory's manifest says that its contents do not; see ``Manifest``."""

    encoder: str
    encoder_name: str | None
    space: str
    images_from: str | None = None
    plan: IndexPlan = field(default_factory=IndexPlan)


def describe(contents: Contents, origin: Origin) -> Manifest:
    """Give the manifest of contents; the store numbers it when it is published."""
    first = contents.segments[0]
    files = {} if contents.metric_entry is None else {"metric": contents.metric_entry}
    if contents.index is not None and contents.index.entry is not None:
        files["index"] = contents.index.entry
    return Manifest(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        encoder=origin.encoder,
        encoder_name=origin.encoder_name,
        space=origin.space,
        images_from=origin.images_from,
        dim=contents.dim,
        metric=contents.metric.name,
        searchable_dim=first.searchable.shape[1],
        text_dim=None if first.texts is None else first.texts.shape[1],
        count=contents.lying - contents.dead,
        plan=origin.plan,
        index=contents.recipe,
        segments=tuple(s.entry for s in contents.segments if s.entry is not None),
        files=files,
    )
