"""YAML as Kubernetes reads it, with the line of every field: times stay strings, a key twice is an error."""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import yaml

_Base: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class NotYaml(ValueError):
    """The text is no YAML. `line`, from 1, where it is known."""

    def __init__(self, problem: str, line: int | None) -> None:
        super().__init__(problem)
        self.line = line


class _Loader(_Base):  # type: ignore[valid-type, misc]  # the C loader is not in every build of PyYAML
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value} stands here twice", problem_mark=key.start_mark)
            seen.add(str(key.value))
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return mapping


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for letter, resolvers in _Base.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document: its value, and where its fields stand."""

    value: Any
    node: yaml.Node

    def line(self, field: str) -> int:
        """Line, from 1, of a field written like `spec.accounts[0].id`, or of what it should stand in."""
        node, mark = self.node, self.node.start_mark
        for key, index in re.findall(r"(\w+)|\[(\d+)\]", field):
            if index and isinstance(node, yaml.SequenceNode) and int(index) < len(node.value):
                node = node.value[int(index)]
                mark = node.start_mark
            elif isinstance(node, yaml.MappingNode):
                node, mark = next(
                    ((value, name.start_mark) for name, value in node.value if name.value == key), (node, mark)
                )
        return int(mark.line) + 1


def documents(text: str) -> list[Document]:
    """The documents in `text`, empty ones left out. Raises NotYaml."""
    try:
        loader = _Loader(text)
        try:
            found = []
            while loader.check_node():
                node = loader.get_node()
                value = loader.construct_document(node)
                if value is not None:
                    found.append(Document(value, node))
            return found
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        problem = getattr(error, "problem", None) or "a character that YAML does not allow"
        # What is missing at the end is missing in the last line.
        raise NotYaml(problem, min(mark.line + 1, text.count("\n") + 1) if mark else None) from error
    except (ValueError, RecursionError) as error:
        raise NotYaml(str(error), None) from error
