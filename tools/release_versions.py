"""The one version, in operator/mfa_operator/__init__.py, and whether what stands in the tree agrees with it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
CHART = Path("deploy/helm/mfa-operator")
SANDBOX = "mfa-operator-sandbox"


@dataclass(frozen=True)
class Row:
    """One thing that was checked."""

    what: str
    says: str
    problem: str = ""
    """Empty where it is as it should be."""


def agreeing(what: str, says: object, version: str) -> Row:
    """A row on something that should say the version."""
    return Row(what, str(says), "" if says == version else f"not {version}")


def the_version(root: Path) -> str:
    """Read, not imported: root can be a copy."""
    text = (root / "operator/mfa_operator/__init__.py").read_text(encoding="utf-8")
    (version,) = re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    return str(version)


def of_tree(root: Path, tag: str = "") -> Iterator[Row]:
    """The tag, where there is one, the chart, the changelog, and what the two distributions ask of each other."""
    version = the_version(root)
    yield Row("mfa_operator.__version__", version)
    if tag:
        yield Row("tag", tag, "" if tag == f"v{version}" else f"not v{version}")
    chart = yaml.safe_load((root / CHART / "Chart.yaml").read_text(encoding="utf-8"))
    yield agreeing("Chart.yaml: version", chart["version"], version)
    yield agreeing("Chart.yaml: appVersion", chart["appVersion"], version)
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    yield _pinned("pyproject.toml: extra demo", project["optional-dependencies"]["demo"], SANDBOX, version)
    sandbox = tomllib.loads((root / "sandbox/pyproject.toml").read_text(encoding="utf-8"))["project"]
    yield _pinned("sandbox/pyproject.toml: dependency", sandbox["dependencies"], "mfa-operator", version)
    yield _of_changelog((root / "CHANGELOG.md").read_text(encoding="utf-8"), version, released=bool(tag))


def notes(changelog: str, heading: str) -> str:
    """What stands under `## [heading]`, without the heading; empty where there is none."""
    section = re.search(rf"^## \[{re.escape(heading)}\].*\n((?:(?!## \[).*\n?)*)", changelog, re.MULTILINE)
    return section[1].strip() if section else ""


def _pinned(what: str, requirements: list[str], name: str, version: str) -> Row:
    (says,) = (each for each in requirements if Requirement(each).name == name)
    return Row(what, says, "" if says == f"{name}=={version}" else f"not {name}=={version}")


def _of_changelog(changelog: str, version: str, *, released: bool) -> Row:
    what = "CHANGELOG.md: newest heading"
    newest = re.findall(r"^## \[(.+?)\](.*)$", changelog, re.MULTILINE)
    name, rest = next(((n, r) for n, r in newest if n != "Unreleased" or notes(changelog, n)), ("none", ""))
    if name == version:
        problem = "" if re.fullmatch(r" - \d{4}-\d\d-\d\d", rest) else "no date beside it"
        return Row(what, name + rest, problem or ("" if notes(changelog, name) else "nothing under it"))
    if name == "Unreleased" and not released:
        return Row(what, "Unreleased: a release needs a heading with the version and the date")
    return Row(what, name, f"not {version}")
