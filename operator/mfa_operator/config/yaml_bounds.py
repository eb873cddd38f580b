"""How much a YAML file may hold, checked before anything is built of it.

PyYAML's C parser calls itself for each level: 100,000 open brackets overflow the stack and end the process. Aliases
let a few hundred bytes stand for billions of values, and merges (`<<`) copy what they stand for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

MAX_CHARACTERS = 3 * 2**20
"""Of a file. etcd takes objects of 1.5 MB as JSON; this leaves as much again for indentation and comments."""
MAX_DEPTH = 64
"""Levels of lists and mappings in each other, aliases included. An MfaPolicy has six."""
MAX_VALUES = 250_000
"""Keys and values, those behind aliases counted each time. The largest MfaPolicy that etcd takes has some 110,000."""

_Size = tuple[int, int]
"""Values, and levels."""


class Refused(yaml.MarkedYAMLError):
    """The file is YAML, and of a kind or size that is not read."""

    def __init__(self, problem: str, mark: Any) -> None:  # noqa: ANN401 - the C parser's marks have a type of their own
        super().__init__(problem=problem, problem_mark=mark)


def check_events(events: Iterable[yaml.Event]) -> None:
    """Depth and number of values as they are written. Raises Refused at the first event that goes too far."""
    depth = values = 0
    for event in events:
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.NodeEvent):
            values += 1
            depth += isinstance(event, yaml.CollectionStartEvent)
            if depth > MAX_DEPTH:
                raise Refused(f"more than {MAX_DEPTH} levels of nesting", event.start_mark)
            if values > MAX_VALUES:
                raise Refused(f"more than {MAX_VALUES:,} values", event.start_mark)


def check_aliases(root: yaml.Node) -> None:
    """Depth and number of values with all aliases and merges replaced by what they stand for. Raises Refused.

    Each node is visited once, however often aliases name it; its own nesting was bounded by check_events.
    """
    sizes: dict[int, _Size | None] = {}

    def size(node: yaml.Node) -> _Size:
        if id(node) in sizes:
            known = sizes[id(node)]
            if known is None:
                raise Refused("this contains an alias for itself", node.start_mark)
            return known
        sizes[id(node)] = None
        values, levels = 1, 0
        for child in _children(node):
            more, below = size(child)
            values, levels = values + more, max(levels, below + 1)
        if values > MAX_VALUES:
            raise Refused(f"aliases make this more than {MAX_VALUES:,} values", node.start_mark)
        if levels > MAX_DEPTH:
            raise Refused(f"aliases make this more than {MAX_DEPTH} levels of nesting", node.start_mark)
        sizes[id(node)] = values, levels
        return values, levels

    size(root)


def _children(node: yaml.Node) -> Iterable[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else ()
