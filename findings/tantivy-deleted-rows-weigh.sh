#!/usr/bin/env bash
# tantivy: deleted rows stay in the word statistics, so BM25 scores are those of the catalogue as
# it was.
set -euo pipefail

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
"${PYTHON:-python3}" -m venv "$room/venv"
"$room/venv/bin/pip" install --quiet --disable-pip-version-check \
    tantivy==0.27.0

"$room/venv/bin/python" -I - <<'PYTHON'
from importlib.metadata import version

import tantivy

builder = tantivy.SchemaBuilder()
builder.add_text_field("title", stored=True)
schema = builder.build()
kept = ["red hat", "blue shoe", "green sock", "grey glove"]


def score_of_red(sold):
    """Best score for 'red' once the sold rows are deleted; and how many rows are left."""
    index = tantivy.Index(schema)
    writer = index.writer(heap_size=15_000_000, num_threads=1)
    for title in [*kept, *sold]:
        writer.add_document(tantivy.Document(title=title))
    writer.commit()
    query = index.parse_query("shirt", ["title"])
    writer.delete_documents_by_query(query)
    writer.commit()
    index.reload()
    searcher = index.searcher()
    hits = searcher.search(index.parse_query("red", ["title"]), 10).hits
    return round(hits[0][0], 4), searcher.num_docs, len(hits)


print(f"tantivy {version('tantivy')}")
print("expected: a row that was deleted and committed has no part in any score")
fresh, fresh_rows, _ = score_of_red([])
used, used_rows, hits = score_of_red([f"red shirt {number}" for number in range(100)])
print(f"seen: {fresh_rows} rows, nothing deleted: 'red hat' has {fresh} for 'red'")
print(f"seen: the same {used_rows} rows after 100 others were deleted: {used} ({hits} hit)")
if (fresh_rows, used_rows, hits) != (4, 4, 1) or not used < fresh / 5:
    raise SystemExit("CHANGED: deleted rows no longer weigh")
print("SEEN what is sold out makes its words look common until segments are merged")
PYTHON
