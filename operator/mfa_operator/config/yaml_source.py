"""YAML as Kubernetes reads it, with the line of every field: times stay strings, a key twice is an error."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from mfa_operator.config.yaml_bounds import MAX_CHARACTERS, Refused, check_aliases, check_events

_Base: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STR, _INT, _FLOAT, _BOOL, _NULL, _MERGE = (
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "merge")
)
_KINDS = {_INT: "a number", _FLOAT: "a number", _BOOL: "true or false", _NULL: "no value"}
MAX_DIGITS = 64
"""Of a number. Python needs time in the square of their count, and refuses to show more than 4,300."""


class NotYaml(ValueError):
    """The text is no YAML, or none that is read; the message says which. `line`, from 1, where it is known."""

    def __init__(self, problem: str, line: int | None) -> None:
        super().__init__(problem)
        self.line = line


class _Loader(_Base):  # type: ignore[valid-type, misc]  # the C loader is not in every build of PyYAML
    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:  # noqa: ANN401 - PyYAML's own
        tag: str = super().resolve(kind, value, implicit)
        # To Kubernetes 1:30 is text; to YAML 1.1 it is 90, a number to the base of 60.
        return _STR if tag in (_INT, _FLOAT) and ":" in value else tag

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: ANN401 - any value of YAML
        if node.tag in (_INT, _FLOAT):
            if len(node.value) > MAX_DIGITS:
                raise Refused(f"a number of more than {MAX_DIGITS} digits", node.start_mark)
            try:
                return super().construct_object(node, deep=deep)
            except (ValueError, TypeError) as error:
                raise Refused("invalid number", node.start_mark) from error
        return super().construct_object(node, deep=deep)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise Refused("a key is a list or a mapping; keys are text", key.start_mark)
            if kind := _KINDS.get(key.tag):
                raise Refused(f"the key {key.value} is {kind}; keys are text: write '{key.value}'", key.start_mark)
            if key.value in seen:
                raise Refused(f"{key.value} is here twice", key.start_mark)
            seen.add(key.value)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return mapping


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for letter, resolvers in _Base.yaml_implicit_resolvers.items()
}
# The other types of YAML 1.1 (binary, set, …) have no equal in JSON.
_Loader.yaml_constructors = {
    tag: construct
    for tag, construct in _Base.yaml_constructors.items()
    if tag is None or tag in _KINDS or tag.endswith((":str", ":seq", ":map"))
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
    if len(text) > MAX_CHARACTERS:
        raise NotYaml(f"more than {MAX_CHARACTERS:,} characters", None)
    try:
        check_events(_events(text))
        return _documents(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        problem = getattr(error, "problem", None) or "a character that YAML does not allow"
        if not isinstance(error, Refused):
            problem = f"not YAML: {problem}"
        # What is missing at the end is missing in the last line.
        raise NotYaml(problem, min(mark.line + 1, text.count("\n") + 1) if mark else None) from error


def only_document(text: str, *, needs: str, one: str) -> Document:
    """The one document in `text`. Raises NotYaml where there is none, or more than one.

    `needs` and `one` end these messages: what the file needs; what is done, or to be done, with a second document.
    """
    found = documents(text)
    if not found:
        raise NotYaml(f"the file is empty; it needs {needs}", None)
    if len(found) > 1:
        raise NotYaml(f"a second document begins here; {one}", found[1].line(""))
    return found[0]


def _events(text: str) -> Iterator[yaml.Event]:
    loader = _Loader(text)
    try:
        while loader.check_event():
            yield loader.get_event()
    finally:
        loader.dispose()


def _documents(text: str) -> list[Document]:
    loader = _Loader(text)
    try:
        found = []
        while loader.check_node():
            node = loader.get_node()
            check_aliases(node)
            value = loader.construct_document(node)
            if value is not None:
                found.append(Document(value, node))
        return found
    finally:
        loader.dispose()
