#!/usr/bin/env bash
# price-parser: a number with three decimals is a thousand times itself.
set -euo pipefail

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
"${PYTHON:-python3}" -m venv "$room/venv"
"$room/venv/bin/pip" install --quiet --disable-pip-version-check \
    price-parser==0.5.1

"$room/venv/bin/python" -I - <<'PYTHON'
from importlib.metadata import version

from price_parser import Price

print(f"price-parser {version('price-parser')}")
print("expected: a leading 0 can only stand before a decimal point: 0.999 is below 1")
amounts = {}
for text in ("0.99 €", "0.999 €", "0.045 USD", "1.789 €"):
    amounts[text] = Price.fromstring(text).amount_float
    print(f"seen: {text!r} -> {amounts[text]}")
if amounts["0.99 €"] != 0.99 or amounts["0.999 €"] != 999 or amounts["0.045 USD"] != 45:
    raise SystemExit("CHANGED: three decimals are read otherwise now")
print("SEEN three digits after a point are thousands, even after '0.': 0.045 comes out as 45")
PYTHON
