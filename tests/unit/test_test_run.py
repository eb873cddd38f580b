"""The rules of a test run hold in one process and in several."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parallel import BARE_CLUSTER, unit_of

REPOSITORY = Path(__file__).parents[2]
FILES = {
    "test_one.py": "def test_passes(): pass",
    "test_two.py": "import os, pytest\ndef test_skips():\n  if 'SKIP' in os.environ: pytest.skip('NO CAMEL')",
    "test_three.py": "import os, warnings\ndef test_warns():\n  if 'WARN' in os.environ: warnings.warn('too old')",
}
WORKERS = pytest.mark.parametrize("workers", [0, 1], ids=["in this process", "by a worker"])


def run(directory: Path, workers: int, **environment: str) -> tuple[int, str]:
    """Exit status and output of a run of the three tests, with the settings and rules of this repository."""
    for name, text in FILES.items():
        (directory / name).write_text(text, encoding="utf-8")
    rules = ["-c", str(REPOSITORY / "pyproject.toml")]
    for plugin in ("xdist.plugin", "xdist.looponfail", "pytest_timeout", "tests.not_run", "tests.parallel"):
        rules += ["-p", plugin]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "CI"))}
    # The others take a second to load.
    inherited["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *rules, f"-n{workers}", "-p", "no:cacheprovider", str(directory)],
        cwd=REPOSITORY,
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@WORKERS
def test_a_skipped_test_fails_the_run_in_ci(tmp_path: Path, workers: int) -> None:
    status, output = run(tmp_path, workers, SKIP="1", CI="true")
    assert status == pytest.ExitCode.TESTS_FAILED
    said = output.rpartition("NOT RUN ON THIS MACHINE")[2]
    assert "test_two.py::test_skips: Skipped: NO CAMEL" in said
    assert "2 passed, 1 skipped" in said


def test_elsewhere_it_is_only_said(tmp_path: Path) -> None:
    status, output = run(tmp_path, 0, SKIP="1")
    assert status == 0
    assert "test_two.py::test_skips: Skipped: NO CAMEL" in output.rpartition("NOT RUN ON THIS MACHINE")[2]


def test_a_warning_is_an_error_for_a_worker_too(tmp_path: Path) -> None:
    status, output = run(tmp_path, 1, WARN="1", CI="true")
    assert status == pytest.ExitCode.TESTS_FAILED
    assert "UserWarning: too old" in output
    assert "1 failed, 2 passed" in output


def test_files_that_share_a_cluster_go_to_one_worker() -> None:
    assert all((REPOSITORY / file).is_file() for file in BARE_CLUSTER)
    assert len({unit_of(f"{file}::test_something[case::1]") for file in BARE_CLUSTER}) == 1
    assert unit_of("tests/unit/test_a.py::TestA::test_b[1]") == unit_of("tests/unit/test_a.py::test_c")
    assert unit_of("tests/unit/test_a.py::test_c") != unit_of("tests/unit/test_b.py::test_c")
