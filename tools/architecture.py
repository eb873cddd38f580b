"""Draws the picture in docs/architecture.md from the real imports; tools/reference.py writes it."""

from __future__ import annotations

import ast
import tomllib
from itertools import product
from pathlib import Path

import grimp

import mfa_operator

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
SOURCE = Path(mfa_operator.__file__).parent
BEGIN, END = "<!-- made by `make docs`: begin -->", "<!-- made by `make docs`: end -->"


def layers() -> list[list[str]]:
    """The packages, top to bottom, as the first contract of import-linter in pyproject.toml names them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = settings["tool"]["importlinter"]["contracts"][0]
    return [layer.split(" | ") for layer in contract["layers"]]


def imports() -> set[tuple[str, str]]:
    """Pairs of packages of which the first imports the second, type checking aside."""
    graph = grimp.build_graph("mfa_operator", exclude_type_checking_imports=True, cache_dir=None)
    packages = [package for layer in layers() for package in layer]
    for package in packages:
        graph.squash_module(f"mfa_operator.{package}")
    return {
        (importer, imported)
        for importer, imported in product(packages, packages)
        if importer != imported
        and graph.direct_import_exists(importer=f"mfa_operator.{importer}", imported=f"mfa_operator.{imported}")
    }


def shortest(edges: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The edges that no path over other packages stands for: the transitive reduction of a graph without circles."""
    below: dict[str, set[str]] = {}

    def reach(package: str) -> set[str]:
        if package not in below:
            direct = {imported for importer, imported in edges if importer == package}
            below[package] = direct.union(*map(reach, direct))
        return below[package]

    return {
        (importer, imported)
        for importer, imported in edges
        if not any(imported in reach(other) for first, other in edges if first == importer and other != imported)
    }


def purpose(package: str) -> str:
    """The first sentence of the package's docstring."""
    docstring = ast.get_docstring(ast.parse((SOURCE / package / "__init__.py").read_text(encoding="utf-8"))) or ""
    return docstring.split("\n\n")[0].replace("\n", " ")


def generated() -> str:
    """The picture as a Mermaid flowchart, and what each package is for."""
    lines = ["```mermaid", "flowchart TD"]
    lines += [f"  {importer} --> {imported}" for importer, imported in sorted(shortest(imports()))]
    lines += ["```", "", "| package | what it does |", "|---|---|"]
    lines += [f"| `{package}/` | {purpose(package)} |" for layer in layers() for package in layer]
    return "\n".join(lines)


def page() -> str:
    """The page as it should be: the text as it stands, with picture and table drawn from the code."""
    text = PAGE.read_text(encoding="utf-8")
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    return f"{text[:begin]}\n{generated()}\n{text[end:]}"
