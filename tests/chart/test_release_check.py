"""`make release-check`: the one version, the artifacts but for the image, and the SBOM."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import pytest

from mfa_operator import __version__
from tools import release_artifacts, sbom
from tools.release_versions import CHART, ROOT, Row, notes, of_tree, the_version

PYPROJECTS = ["pyproject.toml", "sandbox/pyproject.toml"]
SOURCES = ["operator/mfa_operator/__init__.py", f"{CHART}/Chart.yaml", "CHANGELOG.md", *PYPROJECTS]
DATED = f"## [Unreleased]\n\n## [{__version__}] - 2026-11-24\n\n- All of it.\n\n## [0.0.1] - 2026-01-01\n\n- Old.\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what has a version, as it is when it's released."""
    for name in SOURCES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "CHANGELOG.md").write_text(DATED, encoding="utf-8")
    return tmp_path


def problems(rows: list[Row]) -> dict[str, str]:
    return {row.what: row.problem for row in rows if row.problem}


def test_the_tree_agrees_with_its_version() -> None:
    assert the_version(ROOT) == __version__
    assert problems(list(of_tree(ROOT))) == {}


def test_a_tree_that_is_ready_to_be_released_agrees_with_its_tag(tree: Path) -> None:
    assert problems(list(of_tree(tree, f"v{__version__}"))) == {}


@pytest.mark.parametrize(
    ("name", "old", "new", "found"),
    [
        (SOURCES[0], f'"{__version__}"', '"9.9.9"', "tag"),
        (SOURCES[1], f"\nversion: {__version__}", "\nversion: 9.9.9", "Chart.yaml: version"),
        (SOURCES[1], f"appVersion: {__version__}", "appVersion: 9.9.9", "Chart.yaml: appVersion"),
        (SOURCES[2], f"[{__version__}]", "[9.9.9]", "CHANGELOG.md: newest heading"),
        (SOURCES[2], f"[{__version__}] - 2026-11-24", f"[{__version__}]", "CHANGELOG.md: newest heading"),
        (PYPROJECTS[0], f"mfa-operator-sandbox=={__version__}", "mfa-operator-sandbox", "pyproject.toml: extra demo"),
        (PYPROJECTS[1], f"mfa-operator=={__version__}", "mfa-operator==9.9.9", "sandbox/pyproject.toml: dependency"),
        (SOURCES[2], "- All of it.", "", "CHANGELOG.md: newest heading"),
        (SOURCES[2], "[Unreleased]\n", "[Unreleased]\n\n- Forgotten.\n", "CHANGELOG.md: newest heading"),
    ],
)
def test_what_disagrees_is_found(tree: Path, name: str, old: str, new: str, found: str) -> None:
    text = (tree / name).read_text(encoding="utf-8")
    assert old in text
    (tree / name).write_text(text.replace(old, new), encoding="utf-8")
    assert found in problems(list(of_tree(tree, f"v{__version__}")))


@pytest.mark.parametrize("tag", [__version__, f"v{__version__}.1", "v9.9.9"])
def test_another_tag_is_found(tree: Path, tag: str) -> None:
    assert list(problems(list(of_tree(tree, tag)))) == ["tag"]


def test_the_notes_are_what_stands_under_the_heading() -> None:
    assert notes(DATED, __version__) == "- All of it."
    assert notes(DATED, "0.0.1") == "- Old."
    assert notes(DATED, "Unreleased") == notes(DATED, "3.0.0") == ""


def test_artifacts_have_the_version_and_the_sbom_is_complete(tmp_path: Path) -> None:
    """Without the sandbox the demo says what to install; `make release-check` runs it as well, with the extra."""
    rows = list(release_artifacts.python_rows(tmp_path / "dist", tmp_path, __version__))
    assert problems(rows) == {}
    assert [row.what for row in rows] == [
        "mfa-operator, wheel: metadata",
        "mfa-operator, sdist: metadata",
        "mfa-operator, wheel made of the sdist",
        "mfa-operator-sandbox, wheel: metadata",
        "mfa-operator-sandbox, sdist: metadata",
        "mfa-operator-sandbox, wheel made of the sdist",
        "installed: mfa-operator --version",
        "installed: SBOM",
        "installed: demo",
    ]

    document = sbom.of_environment(tmp_path / "venv" / "bin" / "python")
    assert release_artifacts.packages(document) == release_artifacts.locked() | {("mfa-operator", __version__)}
    assert sbom.of_environment(tmp_path / "venv" / "bin" / "python") == document
    assert "pkg:generic/python@" in sbom.validated(document)
    without_a_name = copy.deepcopy(document)
    del without_a_name["components"][0]["name"]
    with pytest.raises(ValueError, match="not valid CycloneDX"):
        sbom.validated(without_a_name)


def test_another_version_is_found_in_wheel_and_sdist(tmp_path: Path) -> None:
    (row,) = release_artifacts.python_rows(tmp_path / "dist", tmp_path, "9.9.9")
    assert row.problem == "another name was built"


def test_the_chart_package_has_the_version(helm_program: Path, tmp_path: Path) -> None:
    assert problems(list(release_artifacts.chart_rows(tmp_path, helm_program, __version__))) == {}
    assert list(problems(list(release_artifacts.chart_rows(tmp_path, helm_program, "9.9.9"))))


def test_debians_packages_are_named_by_their_distribution() -> None:
    listing = "installed\tlibc6\t2.41-12\tamd64\nconfig-files\tgone\t1\tall\n"
    (component,) = sbom.debian_packages(listing, 'ID=debian\nVERSION_ID="13"\n')
    assert component["purl"] == "pkg:deb/debian/libc6@2.41-12?arch=amd64&distro=debian-13"
