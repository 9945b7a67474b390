#!/usr/bin/env bash
# ImageHash: one product in red, blue and green has one hash, and so have all plain swatches.
set -euo pipefail

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
"${PYTHON:-python3}" -m venv "$room/venv"
"$room/venv/bin/pip" install --quiet --disable-pip-version-check \
    imagehash==4.3.2 pillow==13.0.0 numpy==2.4.6

"$room/venv/bin/python" -I - <<'PYTHON'
import imagehash
from PIL import Image, ImageDraw

SHIRT = [(60, 50), (164, 50), (200, 90), (160, 100), (160, 200), (64, 200), (64, 100), (24, 90)]


def shirt(colour):
    image = Image.new("RGB", (224, 224), "white")
    ImageDraw.Draw(image).polygon(SHIRT, fill=colour)
    return image


def swatch(colour):
    return Image.new("RGB", (224, 224), colour)


print(f"imagehash {imagehash.__version__}")
print("expected: copies differ by a few bits of 64, a product in another colour by more")
furthest = 0
for name in ("average_hash", "phash", "whash"):
    of = getattr(imagehash, name)
    shirts = [of(shirt(colour)) for colour in ("red", "blue", "green")]
    swatches = [of(swatch(colour)) for colour in ("red", "blue", "white")]
    apart = [max(int(a - b) for a in hashes for b in hashes) for hashes in (shirts, swatches)]
    furthest = max(furthest, *apart)
    print(f"seen: {name}: shirts in three colours at most {apart[0]} apart, swatches {apart[1]}")
if furthest > 1:
    raise SystemExit("CHANGED: colours are told apart now")
print("SEEN hashes are of brightness about its own mean: variants in other colours pass for copies")
PYTHON
