from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pytest

from eval.errors import ReportFault
from eval.image_sets import digests_of, image_set, image_set_from_json


def sha(text):
    return hashlib.sha256(str(text).encode()).hexdigest()


def test_digests_are_the_first_64_bits():
    hashes = [sha(i) for i in range(50)]
    expected = [int(one[:16], 16) for one in hashes]
    assert digests_of(pa.array(hashes)).tolist() == expected
    assert digests_of(pa.array([one.upper() for one in hashes])).tolist() == expected


def test_what_is_in_the_set_is_found_and_nothing_else():
    held = image_set([sha(i) for i in range(0, 300, 3)] + [None, sha(0)])
    asked = digests_of(pa.array([sha(i) for i in range(300)]))
    assert held.contains(asked).tolist() == [i % 3 == 0 for i in range(300)]
    assert len(held) == 100
    assert not image_set([]).contains(asked).any()


def test_round_trip():
    held = image_set([sha(i) for i in range(9)], "shop:train")
    read = image_set_from_json(held.as_json())
    assert read == held
    assert read.source == "shop:train"
    assert read.digests.dtype == np.uint64


@pytest.mark.parametrize("bad", ["", "abc", "x" * 64, "12345678 9abcdef0"])
def test_what_is_no_hash_is_refused_with_its_place(bad):
    with pytest.raises(ReportFault, match="content hash 2"):
        image_set([sha(0), bad])


@pytest.mark.parametrize("said", [{}, {"source": 1, "digests": ""}, {"digests": "***"}])
def test_damaged_sets_are_refused(said):
    with pytest.raises(ReportFault):
        image_set_from_json(said)
