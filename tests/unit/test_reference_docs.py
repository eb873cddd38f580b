"""The references in docs/ say what the CRDs and the code say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.reference import DOCUMENTS


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_reference_is_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == DOCUMENTS[path](), "run `make docs`"
