from __future__ import annotations

from pathlib import Path

import pytest

from rac.attributes.schema import Schema, load_schema, parse_schema
from rac.errors import InputError


def test_defaults_and_everything_that_can_be_said() -> None:
    schema = parse_schema(
        """
        version: 1
        attributes:
          sleeve_length:
          colour:
            values: [red, {name: navy, synonyms: [dark blue]}]
            templates: ["a {} dress"]
            column: Colour
            target_precision: 0.9
            unknown: ["", tbd]
        """
    )
    plain, full = schema.attributes["sleeve_length"], schema.attributes["colour"]
    assert plain.values is None
    assert plain.column == "sleeve_length"
    assert plain.target_precision == 0.95
    assert plain.templates[-1] == "sleeve length: {}."
    assert plain.means_missing("None given")
    assert full.values is not None
    assert [value.words for value in full.values] == [("red",), ("navy", "dark blue")]
    assert (full.column, full.templates, full.target_precision) == ("Colour", ("a {} dress",), 0.9)
    assert full.means_missing(" TBD ")
    assert not full.means_missing("n/a")


def test_plain_words_stay_words() -> None:
    """YAML 1.1 would make false, 8, 1.1, None and a date of these."""
    schema = parse_schema("attributes: {a: {values: [no, 010, 1.10, ~, 2024-01-01]}}")
    values = schema.attributes["a"].values
    assert values is not None
    assert [value.name for value in values] == ["no", "010", "1.10", "~", "2024-01-01"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("attributes: {a: {valeus: [x]}}", ["'a'", "valeus", "no such key"]),
        ("attributes: {a: {values: [{name: x, synonim: [y]}]}}", ["'a'", "values.0.synonim"]),
        ("attributes: {a: {values: [x, X]}}", ["'a'", "values", "stands twice"]),
        ("attributes: {a: {values: [x, {name: y, synonyms: [x]}]}}", ["values", "stands twice"]),
        ("attributes: {a: {values: []}}", ["'a'", "values", "empty"]),
        ("attributes: {a: {values: [x, n/a]}}", ["'a'", "n/a", "missing"]),
        ("attributes: {a: {templates: [a photo]}}", ["'a'", "templates", "{}"]),
        ("attributes: {a: {target_precision: 1}}", ["'a'", "target_precision", "less than 1"]),
        ("attributes: {a: {target_precision: high}}", ["'a'", "target_precision", "number"]),
        ("attributes: {a: {name: b}}", ["'a'", "drop 'name'"]),
        ("attributes: {a: {column: c}, b: {column: c}}", ["'a'", "'b'", "'c'"]),
        ("attributes: {a: {}, a: {}}", ["'a'", "twice"]),
        ("attributes: {}", ["attributes"]),
        ("version: 2\nattributes: {a: {}}", ["version", "'2'"]),
        ("atributes: {a: {}}", ["atributes", "no such key"]),
        ("- a", ["version", "attributes"]),
        ("attributes: {a: [", ["YAML"]),
        ("attributes: !!python/object/apply:os.system [true]", ["more than plain values"]),
        ("[" * 1500, ["too deep"]),
    ],
)
def test_faults_name_the_file_the_attribute_and_the_key(text: str, parts: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        parse_schema(text, "shop.yaml")
    assert str(caught.value).startswith("shop.yaml")
    for part in parts:
        assert part in str(caught.value)


def test_a_file_is_read_and_a_missing_one_named(tmp_path: Path) -> None:
    path = tmp_path / "schema.yaml"
    path.write_bytes("\ufeffattributes: {größe: {values: [groß]}}".encode())
    assert list(load_schema(path).attributes) == ["größe"]
    with pytest.raises(InputError, match="no such schema file"):
        load_schema(tmp_path / "other.yaml")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read"):
        load_schema(path)


def test_the_hash_follows_the_meaning_not_the_writing() -> None:
    one = parse_schema("version: 1\nattributes: {a: {values: [x, y]}}")
    same = parse_schema("attributes:\n  a:\n    column: a\n    values:\n    - x\n    - name: y\n")
    other = parse_schema("attributes: {a: {values: [x, z]}}")
    assert one.hash == same.hash != other.hash


def test_one_target_for_all() -> None:
    schema = parse_schema("attributes: {a: {values: [x, y]}, b: {target_precision: 0.8}}")
    changed = schema.with_target(0.9)
    assert isinstance(changed, Schema)
    assert [one.target_precision for one in changed.attributes.values()] == [0.9, 0.9]
    assert changed.attributes["a"].values == schema.attributes["a"].values
