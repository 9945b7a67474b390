"""The attribute schema: a YAML file that says which columns may be filled, and with what.

The file, in full::

    version: 1
    attributes:
      department: {values: [fruit, packages]}
      brand:
        values: [arla, {name: oatly, synonyms: [oatly ab]}]  # left out: the column's own values
        templates: ["a {} {department}", "made by {}"]       # optional; {column}: another cell
        column: Brand                                        # optional, the attribute's name
        target_precision: 0.95                               # optional
        unknown: ["", n/a, "-"]                              # optional, words that mean "missing"
        multiple: no                                         # optional, several values in a cell
        separator: ", "                                      # optional, between them
        applies_when: {department: [packages]}               # optional, else not applicable
        not_applicable: none                                 # optional, what is written then
        candidates:                                          # optional, values by another cell
          by: department
          values: {fruit: [], packages: [arla, oatly]}

Plain words stay words: ``no``, ``010`` and ``1.10`` are the text that was written, never a truth
value or a number.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from rac.attributes.attribute import Attribute, Candidates, Value
from rac.documents import parse_yaml
from rac.errors import InputError

FORMAT_VERSION = 1
_MOST_BYTES = 64 << 20


class Schema(BaseModel):
    """All attributes of one catalogue; see the head of this file for how it is written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    attributes: Annotated[dict[str, Attribute], Field(min_length=1)]

    @field_validator("attributes", mode="before")
    @classmethod
    def _name_the_attributes(cls, attributes: Any) -> Any:
        if not isinstance(attributes, dict):
            return attributes
        named = {}
        for name, fields in attributes.items():
            if fields is None or fields == "":
                fields = {}
            if isinstance(fields, dict):
                if "name" in fields:
                    raise ValueError(f"attribute {name!r}: the key is its name; drop 'name'")
                fields = {"name": name, **fields}
            named[name] = fields
        return named

    @model_validator(mode="after")
    def _refuse_shared_columns(self) -> Schema:
        owners: dict[str, str] = {}
        for name, attribute in self.attributes.items():
            other = owners.setdefault(attribute.column, name)
            if other != name:
                raise ValueError(
                    f"attributes {other!r} and {name!r} both name the column {attribute.column!r}"
                )
        return self

    @model_validator(mode="after")
    def _refuse_conditions_on_themselves(self) -> Schema:
        for name, attribute in self.attributes.items():
            for other in attribute.named_columns:
                if other in (name, attribute.column):
                    raise ValueError(f"attribute {name!r}: it cannot depend on itself")
        return self

    @property
    def context_columns(self) -> tuple[str, ...]:
        """Columns that attributes look at without being attributes themselves."""
        named = [other for one in self.attributes.values() for other in one.named_columns]
        return tuple(dict.fromkeys(name for name in named if name not in self.attributes))

    @property
    def looked_at(self) -> tuple[str, ...]:
        """The columns of the attributes, and those that they look at."""
        return (*(one.column for one in self.attributes.values()), *self.context_columns)

    @property
    def hash(self) -> str:
        """SHA-256 of the schema's meaning: the same for the same schema written differently."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def with_target(self, target_precision: float) -> Schema:
        """Give the schema with one target precision, in (0, 1), for every attribute."""
        return Schema.model_validate(
            {
                "attributes": {
                    name: {
                        **attribute.model_dump(exclude={"name"}),
                        "target_precision": target_precision,
                    }
                    for name, attribute in self.attributes.items()
                }
            }
        )


class _PlainTextLoader(yaml.SafeLoader):
    """Reads every plain scalar as the text that it is, and refuses a key that stands twice."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - the name and the kind are PyYAML's


def _mapping(loader: _PlainTextLoader, node: yaml.MappingNode) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        place = f"line {key_node.start_mark.line + 1}"
        if not isinstance(key, str):
            raise yaml.MarkedYAMLError(problem=f"{place}: a key must be a word")
        if key in fields:
            raise yaml.MarkedYAMLError(problem=f"{place}: the key {key!r} stands twice")
        fields[key] = loader.construct_object(value_node, deep=True)
    return fields


_PlainTextLoader.add_constructor("tag:yaml.org,2002:map", _mapping)


def parse_schema(text: str, origin: str = "schema") -> Schema:
    r"""Read a schema from YAML text.

    Args:
        text: YAML.
        origin: what error messages call the text, usually the file's path.

    Raises:
        InputError: the text is not a schema; the message names the origin, the attribute and the
            key.

    >>> schema = parse_schema("version: 1\nattributes: {sold: {values: [yes, no]}}")
    >>> [value.name for value in schema.attributes["sold"].values]
    ['yes', 'no']
    >>> parse_schema("attributes: {colour: {valeus: [red]}}", "s.yaml")
    Traceback (most recent call last):
    rac.errors.InputError: s.yaml: attribute 'colour': valeus: there is no such key; known keys
    are values, templates, column, target_precision, unknown, multiple, separator, applies_when,
    not_applicable, candidates
    """
    fields = parse_yaml(text, origin, _PlainTextLoader)
    if not isinstance(fields, dict):
        raise InputError(f"{origin}: expected the keys 'version' and 'attributes'")
    version = fields.get("version", str(FORMAT_VERSION))
    if version != str(FORMAT_VERSION):
        raise InputError(
            f"{origin}: version: {version!r} is not known here; this program reads "
            f"version {FORMAT_VERSION}"
        )
    try:
        return Schema.model_validate({**fields, "version": FORMAT_VERSION})
    except ValidationError as error:
        raise InputError("\n".join(_explain(origin, fault) for fault in error.errors())) from None


def load_schema(path: str | Path) -> Schema:
    """Read a schema from a YAML file.

    Raises:
        InputError: there is no such file, it is not UTF-8 text, or it is not a schema.
    """
    try:
        # At a pipe or a device reading would wait, or have no end.
        if Path(path).exists() and not Path(path).is_file():
            raise InputError(f"{path}: is no file, and so no schema")
        if Path(path).stat().st_size > _MOST_BYTES:
            raise InputError(f"{path}: longer than a schema can be ({_MOST_BYTES:,} bytes)")
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such schema file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the schema cannot be read: {error}") from None
    return parse_schema(text, str(path))


def _explain(origin: str, fault: Any) -> str:
    where = [str(part) for part in fault["loc"]]
    attribute = None
    if where[:1] == ["attributes"] and len(where) > 1:
        attribute, where = where[1], where[2:]
    known = list(Schema.model_fields)
    if attribute is not None:
        known = [key for key in Attribute.model_fields if key != "name"]
    if len(where) > 1 and where[0] == "values":
        known = list(Value.model_fields)
    if len(where) > 1 and where[0] == "candidates":
        known = list(Candidates.model_fields)
    kinds = {
        "extra_forbidden": f"there is no such key; known keys are {', '.join(known)}",
        "missing": "this key is missing",
    }
    message = kinds.get(fault["type"], str(fault["msg"]).removeprefix("Value error, "))
    place = [origin]
    if attribute is not None:
        place.append(f"attribute {attribute!r}")
    if where:
        place.append(".".join(where))
    return ": ".join([*place, message])
