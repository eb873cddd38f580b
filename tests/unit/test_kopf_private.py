"""What the operator uses of kopf that kopf does not call public: one import, with a reason beside it."""

from __future__ import annotations

import importlib
import inspect
import re
from importlib.metadata import version
from pathlib import Path

import kopf
import pytest

import mfa_operator

MODULE, NAME = "kopf._cogs.structs.references", "Insights"


def test_kopf_still_tells_what_it_watches() -> None:
    """leader.py ends the process where kopf watches nothing: without this, nobody would notice."""
    try:
        insights = getattr(importlib.import_module(MODULE), NAME)()
    except (ImportError, AttributeError) as error:
        pytest.fail(f"kopf {version('kopf')} has moved {MODULE}.{NAME}: see process/leader.py ({error})")
    for attribute in ("ready_resources", "watched_resources"):
        assert hasattr(insights, attribute), f"kopf {version('kopf')}: {NAME} has no {attribute} any more"
    assert "insights" in inspect.signature(kopf.spawn_tasks).parameters


def test_nothing_else_of_kopf_is_private() -> None:
    package = Path(mfa_operator.__file__).parent
    private = {
        str(path.relative_to(package)): found
        for path in package.rglob("*.py")
        if (found := re.findall(r"(?:from|import) (kopf\._\S+)", path.read_text(encoding="utf-8")))
    }
    assert private == {"process/leader.py": [MODULE]}
