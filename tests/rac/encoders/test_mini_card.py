"""``mini`` is frozen: its files are those of the version that its card names."""

from __future__ import annotations

import re

from rac.encoders.layout import CONFIG_FILE, WEIGHTS_FILE
from rac.encoders.load import mini_folder, model_card
from retrieval_index.files import sha256_file

#: A second witness beside the card: a version gets a line, and no line is ever changed.
VERSIONS = {
    (1, WEIGHTS_FILE): "ef8a90f2ed14b9c620a12e06116b3b54cdd8549082ba0d275e0f4ead1910f51a",
    (1, CONFIG_FILE): "a2ebbfd2b66af6ad738377b0a45f532a6028f263d02f1f2f3e6f67ec4a245b32",
}


def card_versions() -> dict[tuple[int, str], str]:
    lines = re.findall(r"^\| (\d+) \| `(.+)` \| `([0-9a-f]{64})` \|$", model_card("mini"), re.M)
    found = {(int(number), name): digest for number, name, digest in lines}
    assert len(found) == len(lines), "the card names a file of a version twice"
    return found


def test_the_card_names_every_version_there_was() -> None:
    assert card_versions() == VERSIONS
    numbers = {number for number, _ in VERSIONS}
    assert numbers == set(range(1, len(numbers) + 1))


def test_the_files_are_those_of_the_newest_version() -> None:
    """Other weights are another encoder: stored embeddings, memories and models no longer fit."""
    newest = max(number for number, _ in VERSIONS)
    for name in (WEIGHTS_FILE, CONFIG_FILE):
        assert sha256_file(mini_folder() / name) == VERSIONS[newest, name], (
            f"{name} of mini has changed: give it version {newest + 1} on its card and here, "
            "in a change that says why, or take the change back"
        )


def test_no_version_repeats_another() -> None:
    weights = [digest for (_, name), digest in VERSIONS.items() if name == WEIGHTS_FILE]
    assert len(set(weights)) == len(weights)


def test_the_licence_of_the_weights_lies_beside_them() -> None:
    text = (mini_folder() / "LICENSE").read_text(encoding="utf-8")
    assert text.startswith("Attribution-ShareAlike 4.0 International")
    assert "license: cc-by-sa-4.0" in model_card("mini")
