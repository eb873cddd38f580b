"""The workflows: what linters find, what they pin, and that the commands in them exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.controlplane import BinariesUnavailable
from tests.not_run import cannot_run
from tests.programs import find_actionlint

REPOSITORY = Path(__file__).parents[2]
GITHUB = REPOSITORY / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yaml"))
BESIDE = Path(sys.executable).parent


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in WORKFLOWS:
        for name, job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].items():
            yield f"{path.name}: {name}", job


def test_actionlint_with_shellcheck_finds_nothing() -> None:
    try:
        program = find_actionlint()
    except BinariesUnavailable as error:
        cannot_run(f"NO PROGRAM: {error}")
    command: list[str | Path] = [program, f"-shellcheck={BESIDE / 'shellcheck'}", "-no-color", *WORKFLOWS]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_finds_nothing() -> None:
    command: list[str | Path] = [
        BESIDE / "zizmor",
        "--offline",
        "--persona=pedantic",
        "--no-progress",
        "--color=never",
        GITHUB,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_action_is_pinned_to_a_commit_with_its_version() -> None:
    lines = [
        line
        for path in WORKFLOWS
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.match(r"\s*(- )?uses:", line)
    ]
    assert len(lines) > 10
    for line in lines:
        own = r"\./\.github/workflows/\w+\.yaml # zizmor: ignore\[self-repository\]"
        assert re.search(rf"uses: ({own}|\S+@[0-9a-f]{{40}} # v\d+\.\d+\.\d+)$", line), line
    pins = {tuple(line.split("uses: ")[1].split("@")) for line in lines if "@" in line}
    assert len(pins) == len({name for name, _ in pins}), "an action is pinned to two versions"


def test_every_job_of_ours_ends_some_time_and_says_what_it_may() -> None:
    for name, job in jobs():
        assert "uses" in job or job["timeout-minutes"] <= 60, name
        assert job["permissions"], name
        for step in job.get("steps", ()):
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False, name
    for path in WORKFLOWS:
        assert yaml.safe_load(path.read_text())["permissions"] == {}


def test_the_make_targets_of_the_workflows_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    runs = [step["run"] for _, job in jobs() for step in job.get("steps", ()) if "run" in step]
    words = [line.split()[1:] for run in runs for line in run.splitlines() if line.startswith("make ")]
    named = {word for each in words for word in each if "=" not in word}
    assert named == {"lint", "test", "release-check", "image-test", "image"}
    assert named <= targets


def test_the_tests_run_on_every_supported_python() -> None:
    job = dict(jobs())["ci.yaml: test"]
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    (step,) = (step for step in job["steps"] if step.get("run") == "make test")
    assert step["env"] == {"CI": "true"}
    assert "$ make test " in (REPOSITORY / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("image", "accepted"),
    [
        (f"python:3.13-slim-trixie@sha256:{'0a' * 32}", True),
        (f"registry.example.com:5000/python@sha256:{'0a' * 32}", True),
        ("python:3.13-slim-trixie", False),
        ("", False),
        (f"python@sha256:{'0a' * 31}", False),
        (f"python@sha256:{'0a' * 32} --build-arg X=y", False),
    ],
)
def test_a_release_builds_on_a_base_that_is_named_by_digest(image: str, accepted: bool) -> None:
    """Run as the workflow runs it; nothing in it falls back to a tag."""
    workflow = yaml.safe_load((GITHUB / "workflows" / "release.yaml").read_text(encoding="utf-8"))
    assert workflow["env"]["PYTHON_IMAGE"] == "${{ vars.PYTHON_IMAGE }}"
    (check,) = [step["run"] for step in workflow["jobs"]["check"]["steps"] if "digest" in step.get("name", "")]
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", check],
        env={"PATH": os.environ["PATH"], "PYTHON_IMAGE": image},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) is accepted, done.stderr
    (build,) = [step["run"] for step in workflow["jobs"]["image"]["steps"] if "buildx build" in step.get("run", "")]
    assert '--build-arg "PYTHON_IMAGE=$PYTHON_IMAGE"' in build
