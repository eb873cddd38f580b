"""How the source is laid out."""

from __future__ import annotations

import ast
import operator
import re
import sysconfig
import tomllib
from pathlib import Path

import pytest

import mfa_operator

SOURCE = Path(mfa_operator.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))
CONTRACTS = {
    contract["name"]: contract
    for contract in tomllib.loads((SOURCE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
        "importlinter"
    ]["contracts"]
}
PACKAGES = [package for layer in CONTRACTS["Packages, top to bottom"]["layers"] for package in layer.split(" | ")]


def modules_of(dotted: str) -> list[Path]:
    """The files of a module or of everything in a package, by its dotted name."""
    path = SOURCE.parent / dotted.replace(".", "/")
    return sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]


PURE = [
    path
    for dotted in CONTRACTS["Pure: no AWS, no Kubernetes, no clock"]["source_modules"]
    for path in modules_of(dotted)
]


def test_the_source_root_does_not_shadow_the_operator_module() -> None:
    """`operator/` with an __init__.py would take the place of the standard library's `operator`."""
    assert SOURCE.parent.name == "operator"
    assert not (SOURCE.parent / "__init__.py").exists()
    assert Path(operator.__file__ or "").is_relative_to(sysconfig.get_path("stdlib"))
    assert operator.itemgetter(1)("ab") == "b"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_is_short_documented_and_well_named(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 350
    assert ast.get_docstring(ast.parse(text))
    assert module.stem not in {"utils", "util", "helpers", "common", "misc"}


def test_every_package_is_a_layer_and_says_what_it_may_import() -> None:
    folders = {path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists()}
    assert folders == set(PACKAGES)
    for package in folders:
        assert (
            len(ast.get_docstring(ast.parse((SOURCE / package / "__init__.py").read_text(encoding="utf-8"))) or "") > 80
        ), package


@pytest.mark.parametrize("module", PURE, ids=lambda path: str(path.relative_to(SOURCE)))
def test_what_is_pure_reads_no_clock(module: Path) -> None:
    """`now` is an argument of everything pure: only so can a verdict be repeated."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    called = {
        node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert not called & {"now", "utcnow", "today"}
    assert not imported & {"utc_now", "utc_moment"}


def test_the_architecture_page_names_modules_that_exist() -> None:
    text = (SOURCE.parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(rf"`((?:{'|'.join(PACKAGES)})/[a-z_]+\.py)`", text))
    assert len(named) > 10
    assert not {path for path in named if not (SOURCE / path).is_file()}
