"""YAML that somebody else has written: read as plain data, and bounded in what it unfolds to."""

from __future__ import annotations

from typing import Any

import yaml

from rac.errors import InputError

_MOST_NODES = 1_000_000
"""What a file may hold once every alias stands for what it names."""


def load_yaml(text: str, origin: str, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """Read one YAML document.

    Args:
        text: of the document.
        origin: what messages call it, usually the file's path.
        loader: builds the values; a safe one, so that no tag runs anything.

    Returns:
        Lists, dictionaries and scalars; None for an empty document.

    Raises:
        InputError: it is no YAML, asks for a Python object, is nested too deeply, or is so full of
            aliases that it would unfold to more than a million values.

    >>> load_yaml("a: [1, 2]", "a.yaml")
    {'a': [1, 2]}
    """
    try:
        reader = loader(text)
        try:
            node = reader.get_single_node()
            unfolded = 0 if node is None else _unfolded(node, {})
            if unfolded <= _MOST_NODES:
                return None if node is None else reader.construct_document(node)
        finally:
            reader.dispose()
    except RecursionError:
        raise InputError(f"{origin}: not readable as YAML: it is nested too deeply") from None
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{origin}: not readable as YAML: {error}") from None
    raise InputError(
        f"{origin}: its aliases unfold to more than {_MOST_NODES:,} values; write them out"
    )


def _unfolded(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Count the nodes at and under one, each alias counted as what it names."""
    known = sizes.get(id(node))
    if known is not None:
        return known
    # An alias to what it stands in has no end.
    sizes[id(node)] = _MOST_NODES + 1
    inner: list[yaml.Node] = []
    if isinstance(node, yaml.SequenceNode):
        inner = node.value
    elif isinstance(node, yaml.MappingNode):
        inner = [part for pair in node.value for part in pair]
    size = 1 + sum(_unfolded(part, sizes) for part in inner)
    sizes[id(node)] = size
    return size
