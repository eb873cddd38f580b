"""The Dockerfile and the wheel in it, as far as they can be judged without a build; `make image-test` does build."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from mfa_operator import __version__
from tests.not_run import cannot_run

REPOSITORY = Path(__file__).parents[2]
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
FINAL_STAGE = DOCKERFILE.rpartition("\nFROM ")[2]


def test_hadolint_finds_nothing() -> None:
    beside = Path(sys.executable).parent
    program = shutil.which("hadolint", path=f"{beside}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        cannot_run("NO hadolint: the Dockerfile goes unchecked here")
    done = subprocess.run([program, REPOSITORY / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_both_stages_use_a_base_that_can_be_pinned_by_digest() -> None:
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) == ["${PYTHON_IMAGE}"] * 2
    assert DOCKERFILE.index("ARG PYTHON_IMAGE=") < DOCKERFILE.index("FROM ")


def test_it_runs_as_a_numeric_user_that_is_not_root() -> None:
    assert "\nUSER 65532:65532\n" in FINAL_STAGE
    assert '\nENTRYPOINT ["mfa-operator"]\n' in FINAL_STAGE


def test_everything_that_is_installed_is_held_to_a_hash() -> None:
    commands = DOCKERFILE.replace("\\\n", " ").splitlines()
    installs = [each for each in commands if re.search(r"pip install|uv build", each)]
    assert len(installs) == 4
    for each in installs:
        assert "--require-hashes" in each
    # The wheel that was just built is the only thing without one.
    assert sum(each.count("pip install") for each in installs) - DOCKERFILE.count("--no-deps") == 3


def test_no_start_compiles_anything() -> None:
    """The file system is read-only, so bytecode is made in the build: of what is installed, and of the library."""
    commands = DOCKERFILE.replace("\\\n", " ").splitlines()
    installs = [each for each in commands if "--python /opt/mfa-operator/bin/python" in each and "pip install" in each]
    assert len(installs) == 2
    for each in installs:
        assert "--compile-bytecode" in each.rpartition("pip install")[2]
    assert re.search(r"compileall .*\"\$library\"$", FINAL_STAGE, re.MULTILINE)


def test_what_is_copied_is_let_in_by_dockerignore() -> None:
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    whole = ("deploy", "tools")
    names = {name if name.startswith(whole) else name.split("/")[0] for line in copied for name in line.split()}
    assert names == allowed
    assert "*" in ignored


@dataclass(frozen=True)
class Builder:
    """A program that notes how it was called: there is no engine where the tests run."""

    program: Path
    calls: Path

    def make(self, image: str, **variables: str) -> tuple[int, list[list[str]]]:
        """Exit status of `make images` with it, and the arguments of its calls."""
        self.calls.write_text("")
        given = [f"{name}={value}" for name, value in variables.items()]
        command = ["make", "--no-print-directory", "images", f"IMAGE={image}", f"BUILDER={self.program}", *given]
        status = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=False).returncode
        return status, [line.split() for line in self.calls.read_text().splitlines()]


def builder(directory: Path, name: str) -> Builder:
    program, calls = directory / name, directory / "calls"
    program.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n')
    program.chmod(0o755)
    return Builder(program, calls)


IMAGE = "registry.example.com:5000/mfa-operator:0.1.0"
PLATFORMS = "linux/amd64,linux/arm64"


def test_docker_builds_and_pushes_both_architectures(tmp_path: Path) -> None:
    status, (build,) = builder(tmp_path, "docker").make(IMAGE, ARGS="--build-arg=PYTHON_IMAGE=base")
    assert status == 0
    assert build[:3] == ["buildx", "build", "--build-arg=PYTHON_IMAGE=base"]
    assert build[build.index("--platform") + 1] == PLATFORMS
    assert build[build.index("-t") + 1] == IMAGE
    assert {"--push", "VERSION=0.1.0"} < set(build)


def test_buildah_builds_and_pushes_both_architectures(tmp_path: Path) -> None:
    """A list of an earlier build is removed first: buildah would add to it."""
    status, calls = builder(tmp_path, "buildah").make(IMAGE)
    assert status == 0
    assert [call[:2] for call in calls] == [
        ["manifest", "exists"],
        ["manifest", "rm"],
        ["build", "--platform"],
        ["manifest", "push"],
    ]
    build, push = calls[2:]
    assert build[2] == PLATFORMS
    assert build[build.index("--manifest") + 1] == IMAGE
    assert push[2:] == ["--all", IMAGE, f"docker://{IMAGE}"]


def test_without_a_registry_nothing_is_built_for_both(tmp_path: Path) -> None:
    status, calls = builder(tmp_path, "docker").make("mfa-operator:0.1.0")
    assert status != 0
    assert calls == []


def test_a_release_has_the_architectures_of_the_target() -> None:
    """It builds each on a machine of its own, so that nothing is emulated."""
    workflow = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "release.yaml").read_text(encoding="utf-8"))
    included = workflow["jobs"]["image"]["strategy"]["matrix"]["include"]
    assert [f"linux/{each['arch']}" for each in included] == PLATFORMS.split(",")
    index = next(step["run"] for step in workflow["jobs"]["publish-image"]["steps"] if step.get("id") == "push")
    for each in included:
        assert f'"$image@${each["arch"]}"' in index


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Built by the backend in the environment, with nothing from a registry."""
    directory = tmp_path_factory.mktemp("wheel")
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, directory], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return zipfile.ZipFile(directory / done.stdout.splitlines()[-1])


def test_the_wheel_holds_the_crds_of_deploy_crds(wheel: zipfile.ZipFile) -> None:
    """`mfa-operator demo` brings them into a cluster."""
    sources = {path.name: path.read_bytes() for path in (REPOSITORY / "deploy" / "crds").glob("*.yaml")}
    packed = {
        name.rpartition("/")[2]: wheel.read(name) for name in wheel.namelist() if name.startswith("mfa_operator/crds/")
    }
    assert packed == sources


def test_the_wheel_holds_package_and_licence_but_no_tests(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert not [name for name in names if "sandbox" in name]
    assert f"mfa_operator-{__version__}.dist-info/licenses/LICENSE" in names
    assert {name.split("/")[0] for name in names} == {"mfa_operator", f"mfa_operator-{__version__}.dist-info"}


def test_the_image_lacks_the_sandbox_and_a_checkout_has_it() -> None:
    """runtime.txt is what the image holds; dev.txt is what `make setup` installs before both distributions."""
    product, sandbox = (
        tomllib.loads((REPOSITORY / folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        for folder in (".", "sandbox")
    )
    needed = {
        name: {Requirement(each).name for each in project["dependencies"]} - {"mfa-operator"}
        for name, project in (("product", product), ("sandbox", sandbox))
    }
    runtime, development = (
        set(re.findall(r"^([\w-]+)==", (REPOSITORY / "requirements" / name).read_text(), re.MULTILINE))
        for name in ("runtime.txt", "dev.txt")
    )
    assert needed["product"] <= runtime
    assert needed["product"] | needed["sandbox"] <= development
    assert needed["sandbox"].isdisjoint(runtime)
    assert {"mfa-operator", "mfa-operator-sandbox"}.isdisjoint(runtime | development)
