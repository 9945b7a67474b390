#!/usr/bin/env bash
# safetensors.numpy writes a transposed array in the order of its memory: other numbers come back.
set -euo pipefail

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
"${PYTHON:-python3}" -m venv "$room/venv"
"$room/venv/bin/pip" install --quiet --disable-pip-version-check \
    safetensors==0.8.0 numpy==2.4.6

"$room/venv/bin/python" -I - <<'PYTHON'
import numpy as np
import safetensors
from safetensors.numpy import load, save

directions = np.arange(12, dtype=np.float32).reshape(3, 4)
print(f"safetensors {safetensors.__version__}, numpy {np.__version__}")
print("expected: any array comes back as it was, or is refused (safetensors.torch refuses it)")
changed = {}
for name, array in {
    "contiguous": directions,
    "transposed": directions.T,
    "every second column": directions[:, ::2],
    "Fortran order": np.asfortranarray(directions),
}.items():
    back = load(save({"array": array}))["array"]
    changed[name] = not np.array_equal(back, array)
    said = "OTHER NUMBERS, same shape" if changed[name] else "as it was"
    print(f"seen: {name}: {said}; first row {array[0].tolist()} -> {back[0].tolist()}")
if changed.pop("contiguous") or not all(changed.values()):
    raise SystemExit("CHANGED: strided arrays are not written as they were when this was found")
print("SEEN strided arrays are saved without a word and load with other numbers")
PYTHON
