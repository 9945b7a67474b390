"""A view of a memory: its rows without the deleted ones, and the ways of searching them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from retrieval_index.arrays import BoolArray, FloatArray, IntArray, as_vectors, unit_norm
from retrieval_index.contents import Contents
from retrieval_index.errors import MemoryFault
from retrieval_index.filters import Where, allowed_rows
from retrieval_index.flat import Excluded
from retrieval_index.lookup import Lookup
from retrieval_index.manifest import Manifest
from retrieval_index.near_duplicates import NearDuplicates
from retrieval_index.neighbours import NO_ROW, Neighbours
from retrieval_index.stack import Stack
from retrieval_index.tuning import measured_recall

_MOST_EXPECTED = 256


class View:
    """N rows, each with a vector, searched by the cosine under a metric; never changed.

    Args:
        contents: what lies there, the deleted rows included.
        manifest: what is known of it as a whole.
        folder: where it lies; None where it is only in RAM.

    Attributes:
        manifest: see above.
        metric: the fitted metric; ``search`` applies it to queries.
        folder: see above.
    """

    def __init__(self, contents: Contents, manifest: Manifest, folder: Path | None) -> None:
        self.manifest = manifest
        self.folder = folder
        self.metric = contents.metric
        self._contents = contents

    def __len__(self) -> int:
        """Give N, the number of rows."""
        return self._contents.lying - self._contents.dead

    @property
    def dim(self) -> int:
        """Give D, the dimension of the vectors as the encoder gives them."""
        return self._contents.dim

    @property
    def dead(self) -> int:
        """Give the number of deleted rows that still take room until ``compact``."""
        return self._contents.dead

    @property
    def text_dim(self) -> int | None:
        """Give E, the dimension of the text vectors; None where there are none."""
        return self.manifest.text_dim

    @property
    def lookup(self) -> Lookup:
        """Give the search as it runs on the rows as they lie, the deleted ones included."""
        return self._contents.lookup

    @cached_property
    def vectors(self) -> FloatArray:
        """Give (N, D) float32 as they were given; mapped from one file, copied from several."""
        return self._live_part(self._contents.vectors.whole())

    @cached_property
    def searchable(self) -> FloatArray:
        """Give (N, D') float32, unit norm: the vectors under the metric; mapped or copied."""
        return self._live_part(self._contents.lookup.searchable.whole())

    @cached_property
    def text_vectors(self) -> FloatArray | None:
        """Give (N, E) float32, unit norm, zero where a row has no text; None without texts."""
        parts = [segment.texts for segment in self._contents.segments if segment.texts is not None]
        return self._live_part(Stack(parts).whole()) if parts else None

    @cached_property
    def rows(self) -> pa.Table:
        """Give the table of N rows: id, label, text, source, content_hash, and what else is."""
        table = pa.concat_tables([segment.rows for segment in self._contents.segments])
        alive = self._contents.alive
        return table if alive is None else table.filter(pa.array(alive))

    def _live_part(self, array: FloatArray) -> FloatArray:
        return array if self._live is None else array[self._live]

    @cached_property
    def _live(self) -> IntArray | None:
        """Give the places of the N rows among those that lie there; None where all are alive."""
        alive = self._contents.alive
        return None if alive is None else np.flatnonzero(alive)

    @cached_property
    def ids(self) -> list[str]:
        """Give the N ids."""
        ids: list[str] = self.rows.column("id").to_pylist()
        return ids

    @cached_property
    def labels(self) -> list[str | None]:
        """Give the N labels, None where unknown."""
        return self._column("label")

    @cached_property
    def texts(self) -> list[str | None]:
        """Give the N texts, None where there is none."""
        return self._column("text")

    @cached_property
    def sources(self) -> list[str | None]:
        """Give the N image references, None where there is none."""
        return self._column("source")

    def _column(self, name: str) -> list[str | None]:
        values: list[str | None] = self.rows.column(name).to_pylist()
        return values

    @cached_property
    def _row_of_id(self) -> dict[str, int]:
        return {i: row for row, i in enumerate(self.ids)}

    def search(
        self,
        queries: npt.ArrayLike,
        k: int,
        *,
        exclude: Sequence[Sequence[str]] | None = None,
        where: Where | None = None,
        near_duplicate: float | None = None,
    ) -> Neighbours:
        """Find the k nearest rows of each query; ties by (-score, id).

        Args:
            queries: (Q, D) from the memory's encoder and space, before the metric.
            k: neighbours wanted, at least 1; it may exceed N.
            exclude: for each of the Q queries, ids that it must not find; ids that are not in
                the memory are ignored.
            where: the values that a row must have, by column: ``{"split": ["train"]}``; a row is
                found only if each of the columns holds one of its values. None finds all.
            near_duplicate: rows whose raw cosine with the query (before the metric) is at least
                this are not found; in [-1, 1].

        Returns:
            (Q, k) neighbours, filled up with score -inf and row -1.

        Raises:
            BadVectors: see ``as_vectors``; or of another dimension.
            MemoryFault: k is none that ``check_k`` takes, ``exclude`` is not of length Q, or there
                is no such column.
        """
        asked = as_vectors(queries, what="queries", dim=self.dim)
        rules: list[Excluded] = []
        expected = 0
        if exclude is not None:
            rule, expected = self._banned(exclude, len(asked))
            rules.append(rule)
        if near_duplicate is not None:
            rules.append(NearDuplicates(self._contents.vectors, asked, near_duplicate).of)
            expected += 1
        return self._search_in(
            self._contents.lookup, self.metric.apply(asked), k, rules, expected, where
        )

    def search_texts(
        self, queries: npt.ArrayLike, k: int, *, where: Where | None = None
    ) -> Neighbours:
        """Find the k rows whose texts are nearest to each query, exactly; ties by (-score, id).

        Rows without a text are not found.

        Args:
            queries: (Q, E) text vectors from the encoder that made those of the rows.
            k: see ``search``.
            where: see ``search``.

        Raises:
            BadVectors: see ``as_vectors``; or of another dimension.
            MemoryFault: the memory keeps no text vectors; else as in ``search``.
        """
        lookup = self._contents.text_lookup
        if lookup is None:
            raise MemoryFault(
                f"{self.folder or 'this memory'}: keeps no text vectors; "
                "build it with them: rac index build TABLE --text COLUMN --search-texts"
            )
        asked = as_vectors(queries, what="queries", dim=lookup.searchable.shape[1])
        return self._search_in(lookup, unit_norm(asked), k, [], 0, where)

    def leave_one_out(
        self,
        k: int,
        *,
        near_duplicate: float | None = None,
        rows: IntArray | None = None,
    ) -> Neighbours:
        """Let every row search among the others.

        Args:
            k: neighbours wanted, at least 1; it may exceed N.
            near_duplicate: rows whose raw cosine with the query (before the metric) is at least
                this are not found either; in [-1, 1], None excludes the row itself only.
            rows: (Q,) numbers of the rows that ask; None lets all N ask.

        Returns:
            (N, k) or (Q, k) neighbours, filled up with score -inf and row -1.

        Raises:
            MemoryFault: see ``check_k``.
        """
        contents = self._contents
        asking = np.arange(len(self)) if rows is None else rows
        lying = asking if self._live is None else self._live[asking]

        def own(queries: IntArray, found: IntArray) -> BoolArray:
            same: BoolArray = found == lying[queries][:, np.newaxis]
            return same

        rules: list[Excluded] = [own]
        whole = rows is None and len(contents.segments) == 1 and self._live is None
        if near_duplicate is not None:
            given = contents.vectors.whole() if whole else contents.vectors[lying]
            rules.append(NearDuplicates(contents.vectors, given, near_duplicate).of)
        stack = contents.lookup.searchable
        queries = stack.whole() if whole else stack[lying]
        return self._search_in(contents.lookup, queries, k, rules, 1, None)

    def _search_in(
        self,
        lookup: Lookup,
        queries: FloatArray,
        k: int,
        rules: Sequence[Excluded],
        expected: int,
        where: Where | None,
    ) -> Neighbours:
        allowed = None if where is None else allowed_rows(self._contents, where)
        excluded: Excluded | None = None
        if rules:

            def excluded(numbers: IntArray, rows: IntArray) -> BoolArray:
                hits: BoolArray = rules[0](numbers, rows)
                for rule in rules[1:]:
                    hits |= rule(numbers, rows)
                return hits

        found = lookup.search(
            queries, k, excluded=excluded, expect_excluded=expected, allowed=allowed
        )
        if self._live is None:
            return found
        numbers = np.searchsorted(self._live, found.rows)
        return Neighbours(found.scores, np.where(found.rows < 0, NO_ROW, numbers))

    def _banned(self, exclude: Sequence[Sequence[str]], count: int) -> tuple[Excluded, int]:
        """Give the rule that keeps each query from its list of ids, and how many it hides."""
        if len(exclude) != count:
            raise MemoryFault(f"{count} queries but {len(exclude)} lists of excluded ids")
        lying = self._live
        banned = []
        for ids in exclude:
            rows = np.array(
                [self._row_of_id[i] for i in ids if i in self._row_of_id], dtype=np.int64
            )
            banned.append(rows if lying is None else lying[rows])

        def excluded(queries: IntArray, rows: IntArray) -> BoolArray:
            hit = [np.isin(line, banned[q]) for q, line in zip(queries, rows, strict=True)]
            return np.array(hit, dtype=np.bool_).reshape(rows.shape)

        return excluded, min(_MOST_EXPECTED, max(map(len, banned), default=0))

    def recall(self) -> float | None:
        """Measure recall@10 against the exact search, with rows that must not find themselves.

        Returns:
            In [0, 1]; None where the search is exact, and there is nothing to measure.
        """
        if self._contents.index is None:
            return None
        return measured_recall(self._contents.lookup)
