"""Prints what CHANGELOG.md says of the version, for the release's page: `python -m tools.release_notes`."""

from __future__ import annotations

import sys

from tools.release_versions import ROOT, notes, the_version


def main() -> None:
    """Print the notes; ends with 1 where there are none."""
    version = the_version(ROOT)
    text = notes((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version)
    if not text:
        sys.exit(f"CHANGELOG.md has nothing under [{version}]")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
