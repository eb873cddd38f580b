"""The first use of a model by several threads at once: msgspec 0.22.0 dies of it where the model is not prepared."""

from __future__ import annotations

import gc
import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import mfa_operator
from mfa_operator.api.conversion import from_dict

PROGRAM = Path(__file__).with_name("first_use.py")
PROCESSES = 30


class Unprepared(msgspec.Struct):
    """A model whose author forgot `prepare`."""

    name: str


def _models(base: type[msgspec.Struct] = msgspec.Struct) -> Iterator[type[msgspec.Struct]]:
    for kind in base.__subclasses__():
        if kind.__module__.startswith("mfa_operator.") and kind.__struct_fields__:
            yield kind
        yield from _models(kind)


def _described(kind: type[msgspec.Struct]) -> bool:
    """Whether msgspec keeps a description of the class: what it builds at the first conversion."""
    return any(type(referent).__name__ == "StructInfo" for referent in gc.get_referents(kind))


def test_every_model_is_complete_once_imported() -> None:
    """A fresh process, as other tests of this one have converted most of them already."""
    program = f"from {__name__.rpartition('.')[0]}.test_first_use import forgotten; print(*forgotten())"
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == []


def forgotten() -> list[str]:
    """Models of the package that nobody prepared."""
    for module in pkgutil.walk_packages(mfa_operator.__path__, "mfa_operator."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    models = list(_models())
    assert len(models) > 15
    return [f"{kind.__module__}.{kind.__name__}" for kind in models if not _described(kind)]


def test_a_forgotten_model_is_told_from_a_prepared_one() -> None:
    assert not _described(Unprepared)
    msgspec.convert({"name": "x"}, Unprepared)
    assert _described(Unprepared)


def test_converting_an_unprepared_model_is_refused() -> None:
    with pytest.raises(TypeError, match="Unprepared is not prepared"):
        from_dict(Unprepared, {"name": "x"})


def test_threads_may_be_first_to_use_the_models() -> None:
    """Processes that have imported them and no more, eight threads, an interpreter that switches whenever it can."""
    ran = subprocess.run([sys.executable, str(PROGRAM), str(PROCESSES)], stdout=subprocess.PIPE, text=True, check=True)
    assert ran.stdout.split() == ["0"] * PROCESSES
