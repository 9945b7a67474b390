#!/usr/bin/env bash
# pyarrow: flattening a column of embeddings skips missing ones, so every later row gets another
# item's vector.
set -euo pipefail

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
"${PYTHON:-python3}" -m venv "$room/venv"
"$room/venv/bin/pip" install --quiet --disable-pip-version-check \
    pyarrow==26.0.1 numpy==2.4.6

"$room/venv/bin/python" -I - <<'PYTHON'
import numpy as np
import pyarrow as pa

DIM = 4
# The second image could not be read; its embedding is missing.
column = pa.array([[0.0] * DIM, None, [2.0] * DIM, [3.0] * DIM], pa.list_(pa.float32(), DIM))
flat = column.flatten().to_numpy().reshape(-1, DIM)
under = column.slice(2).values.to_numpy(zero_copy_only=False).reshape(-1, DIM)
print(f"pyarrow {pa.__version__}")
print(f"expected: {len(column)} rows of {DIM} flatten to {len(column)} x {DIM} numbers")
print(f"seen: flatten() gives {flat.shape[0]} rows; row 2 is {flat[2].tolist()}, not {[2.0] * DIM}")
print(f"seen: .values of the last two rows gives {under.shape[0]} rows, from the first one on")
if flat.shape != (3, DIM) or flat[2, 0] != 3.0 or len(under) != 4:
    raise SystemExit("CHANGED: missing lists, or slices, are flattened otherwise now")
print("SEEN flatten() is right for slices and wrong for nulls, .values the other way about")
PYTHON
