"""`make image-test`: the image is built and started. It needs buildah, or docker with its daemon, and a base image.

PYTHON_IMAGE names the base; BASE_ROOTFS, a directory such as debootstrap makes, stands in for it where no registry of
images can be reached.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mfa_operator import __version__

REPOSITORY = Path(__file__).parents[2]
STAND_IN = "localhost/mfa-operator-base"
IMAGE = "localhost/mfa-operator-test"


@dataclass(frozen=True)
class Builder:
    """buildah or docker, told what both understand."""

    name: str

    def __call__(self, *args: str, cwd: Path = REPOSITORY) -> str:
        environment = os.environ | {"STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}
        done = subprocess.run([self.name, *args], cwd=cwd, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, f"{self.name} {' '.join(args)}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def run(self, *command: str) -> str:
        """What a command prints in a container of the image, as the image's user."""
        if self.name == "docker":
            return self("run", "--rm", "--read-only", f"--entrypoint={command[0]}", IMAGE, *command[1:])
        container = self("from", IMAGE).strip()
        try:
            return self("run", container, "--", *command)
        finally:
            self("rm", container)


@pytest.fixture(scope="module")
def builder() -> Builder:
    for name in ("buildah", "docker"):
        if shutil.which(name) and subprocess.run([name, "info"], capture_output=True, check=False).returncode == 0:
            return Builder(name)
    pytest.fail("neither buildah nor a docker daemon: there is nothing to build an image with", pytrace=False)


@pytest.fixture(scope="module")
def image(builder: Builder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    arguments = ["--build-arg", f"VERSION={__version__}"]
    if rootfs := os.environ.get("BASE_ROOTFS"):
        directory = tmp_path_factory.mktemp("base")
        subprocess.run(["tar", "-C", rootfs, "-cf", directory / "base.tar", "."], check=True)
        (directory / "Dockerfile").write_text("FROM scratch\nADD base.tar /\n" + _authorities(directory))
        builder("build", "-t", STAND_IN, ".", cwd=directory)
        arguments += ["--build-arg", f"PYTHON_IMAGE={STAND_IN}"]
    elif base := os.environ.get("PYTHON_IMAGE"):
        arguments += ["--build-arg", f"PYTHON_IMAGE={base}"]
    builder("build", *arguments, "-t", IMAGE, "-f", "Dockerfile", ".")
    yield builder
    builder("rmi", IMAGE)


def test_it_starts_and_says_its_version(image: Builder) -> None:
    code = "from importlib.metadata import version; print(version('mfa-operator'))"
    assert image.run("/opt/mfa-operator/bin/python3", "-c", code).strip() == __version__
    assert "--remediation" in image.run("mfa-operator", "run", "--help")


def test_it_is_nobody(image: Builder) -> None:
    assert image.run("id", "-u").strip() == "65532"


def test_it_holds_the_crds(image: Builder) -> None:
    code = "from importlib import resources as r; print(*[f.name for f in (r.files('mfa_operator')/'crds').iterdir()])"
    assert set(image.run("python3", "-c", code).split()) == {"mfapolicies.yaml", "mfareports.yaml"}


@pytest.mark.parametrize("program", ["pip", "pip3", "uv", "gcc", "cc", "make"])
def test_nothing_in_it_installs_or_compiles(image: Builder, program: str) -> None:
    assert image.run("sh", "-c", f"command -v {program} || echo none").strip() == "none"


def test_the_interpreter_has_no_pip(image: Builder) -> None:
    code = "import importlib.util as u; print(u.find_spec('pip'), u.find_spec('ensurepip'))"
    for python in ("/opt/mfa-operator/bin/python", "$(dirname $(readlink -f /opt/mfa-operator/bin/python3))/python3"):
        assert image.run("sh", "-c", f'{python} -c "{code}"').split() == ["None", "None"]


def test_it_is_labelled_and_its_size_is_told(image: Builder) -> None:
    if image.name == "docker":
        (said,) = json.loads(image("inspect", IMAGE))
        labels, user = said["Config"]["Labels"], said["Config"]["User"]
        size = str(said["Size"])
    else:
        said = json.loads(image("inspect", "--type=image", IMAGE))
        labels, user = said["OCIv1"]["config"]["Labels"], said["OCIv1"]["config"]["User"]
        size = image("images", "--format={{.Size}}", IMAGE).strip()
    assert labels["org.opencontainers.image.version"] == __version__
    assert user == "65532:65532"
    print(f"the image's size: {size}")  # noqa: T201 - for whoever runs this by hand


def _authorities(directory: Path) -> str:
    """Lines that let the stand-in trust what this machine trusts, where registries are behind a proxy of its own."""
    bundle = os.environ.get("SSL_CERT_FILE")
    if not bundle:
        return ""
    shutil.copy(bundle, directory / "ca.pem")
    inside = "/etc/ssl/certs/ca-certificates.crt"
    return f"COPY ca.pem {inside}\nENV SSL_CERT_FILE={inside} PIP_CERT={inside}\n"
