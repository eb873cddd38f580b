"""Reads a CloudFormation template and works out what a stack of it would hold, as far as our templates need it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

PSEUDO: Mapping[str, str] = {
    "AWS::Partition": "aws-us-gov",
    "AWS::AccountId": "111122223333",
    "AWS::Region": "us-gov-west-1",
}
NO_VALUE = object()


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: `!Sub x` is `{Fn::Sub: x}`."""


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    raise yaml.constructor.ConstructorError(None, None, f"!{suffix} takes a scalar or a list", node.start_mark)


_Loader.add_multi_constructor("!", _short_form)


def load(path: Path) -> dict[str, Any]:
    """The template. Raises ValueError where it uses YAML that CloudFormation does not take."""
    text = path.read_text(encoding="utf-8")
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
        raise ValueError(f"{path.name} has YAML aliases: CloudFormation knows none")
    template: dict[str, Any] = yaml.load(text, Loader=_Loader)
    return template


class Stack:
    """A template with parameters, before anything is made of it."""

    def __init__(self, template: Mapping[str, Any], where: Mapping[str, str] = PSEUDO, /, **parameters: str) -> None:
        """`where` gives the pseudo parameters: partition, account and region of the stack."""
        self.template, self.where = template, where
        declared = template.get("Parameters", {})
        if unknown := set(parameters) - set(declared):
            raise ValueError(f"no such parameters: {sorted(unknown)}")
        self.parameters = {name: parameters.get(name, spec.get("Default")) for name, spec in declared.items()}
        for name, spec in declared.items():
            self._check(name, spec, self.parameters[name])

    @staticmethod
    def _check(name: str, spec: Mapping[str, Any], value: str | None) -> None:
        if value is None:
            raise ValueError(f"{name} must be given")
        if "AllowedValues" in spec and value not in spec["AllowedValues"]:
            raise ValueError(f"{name} is none of {spec['AllowedValues']}")
        if "AllowedPattern" in spec and not re.fullmatch(spec["AllowedPattern"], value):
            raise ValueError(f"{name} does not match {spec['AllowedPattern']}")

    def condition(self, name: str) -> bool:
        return bool(self.resolve(self.template["Conditions"][name]))

    def resources(self, kind: str) -> dict[str, Any]:
        """Properties of the resources of a type that the stack would have, by logical name."""
        return {
            name: self.resolve(resource["Properties"])
            for name, resource in self.template["Resources"].items()
            if resource["Type"] == kind and ("Condition" not in resource or self.condition(resource["Condition"]))
        }

    def resolve(self, value: Any) -> Any:
        """A value with all intrinsic functions worked out. References to resources stay as `<name>`."""
        if isinstance(value, list):
            return [each for each in map(self.resolve, value) if each is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1 and (next(iter(value)).startswith("Fn::") or "Ref" in value):
            return self._call(*next(iter(value.items())))
        found = {key: self.resolve(each) for key, each in value.items()}
        return {key: each for key, each in found.items() if each is not NO_VALUE}

    def _call(self, function: str, argument: Any) -> Any:
        if function == "Fn::If":  # the branch not taken is not looked at
            return self.resolve(argument[1] if self.condition(argument[0]) else argument[2])
        known: dict[str, Callable[[Any], Any]] = {
            "Ref": self._reference,
            "Fn::Sub": self._substituted,
            "Fn::FindInMap": lambda keys: self.template["Mappings"][keys[0]][keys[1]][keys[2]],
            "Fn::GetAtt": lambda name: f"{self._reference(name.partition('.')[0])}.{name.partition('.')[2]}",
            "Fn::Equals": lambda both: both[0] == both[1],
            "Fn::Not": lambda one: not one[0],
            "Fn::And": all,
            "Fn::Or": any,
        }
        return known[function](self.resolve(argument))

    def _substituted(self, argument: Any) -> str:
        text, local = (argument, {}) if isinstance(argument, str) else argument
        return re.sub(r"\$\{([^}]+)\}", lambda name: str(local.get(name[1]) or self._reference(name[1])), text)

    def _reference(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in self.where:
            return self.where[name]
        if name in self.parameters:
            return self.parameters[name]
        if name in self.template["Resources"]:
            return f"<{name}>"
        raise ValueError(f"nothing is called {name}")
