"""`make release-check`: everything that a release consists of, built and held to the one version."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from tests.programs import find_helm
from tools import release_artifacts, release_image
from tools.release_versions import ROOT, Row, of_tree, the_version


@click.command()
@click.option("--tag", envvar="TAG", default="", help="Of the release; must be v and the version.")
@click.option("--out", type=click.Path(path_type=Path), default=ROOT / "dist", help="Where the artifacts go.")
def main(tag: str, out: Path) -> None:
    """Build wheels, sdists, chart and image, and compare what they say; ends with 1 where something disagrees."""
    version = the_version(ROOT)
    out.mkdir(parents=True, exist_ok=True)
    if left := sorted(each.name for each in out.iterdir() if each.name != ".gitignore"):
        sys.exit(f"{out} holds {', '.join(left)}: a release starts with an empty directory")
    rows = list(of_tree(ROOT, tag))
    with tempfile.TemporaryDirectory() as scratch:
        rows += release_artifacts.python_rows(out, Path(scratch), version)
        if not any(row.problem for row in rows):
            rows += release_artifacts.demo_rows(out, Path(scratch) / "demo", version)
    rows += release_artifacts.chart_rows(out, find_helm(), version)
    builder = release_image.find_builder()
    if builder:
        try:
            rows += release_image.rows(builder, f"mfa-operator:{version}", version)
        except release_image.BuilderFailed as error:
            Console(stderr=True).print(str(error), markup=False)
            rows.append(Row("image", "nothing", "it could not be built, see above"))
    show(rows)
    if not builder:
        say = "THE IMAGE WAS NOT CHECKED: neither buildah nor a docker daemon works here"
        Console(stderr=True).print(say, style="bold red")
    if any(row.problem for row in rows) or (not builder and os.environ.get("CI") == "true"):
        sys.exit(1)


def show(rows: Iterable[Row]) -> None:
    """Print the table."""
    table = Table("checked", "says", "problem")
    for row in rows:
        table.add_row(row.what, row.says, row.problem or "none", style="red" if row.problem else None)
    Console(width=None if sys.stdout.isatty() else 140).print(table)


if __name__ == "__main__":
    main()
