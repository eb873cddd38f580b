"""`make image-test`: the image is built and started. It needs buildah, or docker with its daemon, and a base image.

PYTHON_IMAGE names the base; BASE_ROOTFS, a directory such as debootstrap makes, stands in for it where no registry of
images can be reached.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from packaging.utils import canonicalize_name

from mfa_operator import __version__
from tools import release_artifacts, sbom
from tools.release_image import SBOM, Builder, find_builder

IMAGE = "localhost/mfa-operator-test"


@dataclass(frozen=True)
class Image:
    """The built image."""

    builder: Builder

    def run(self, *command: str) -> str:
        return self.builder.run(IMAGE, *command)


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    builder = find_builder()
    if builder is None:
        pytest.fail("neither buildah nor a docker daemon: there is nothing to build an image with", pytrace=False)
    builder.build(IMAGE)
    yield Image(builder)
    builder("rmi", IMAGE)


def test_it_starts_and_says_its_version(image: Image) -> None:
    code = "from importlib.metadata import version; print(version('mfa-operator'))"
    assert image.run("/opt/mfa-operator/bin/python3", "-c", code).strip() == __version__
    assert "--remediation" in image.run("mfa-operator", "run", "--help")


def test_it_is_nobody(image: Image) -> None:
    assert image.run("id", "-u").strip() == "65532"


def test_it_holds_the_crds(image: Image) -> None:
    code = "from importlib import resources as r; print(*[f.name for f in (r.files('mfa_operator')/'crds').iterdir()])"
    assert set(image.run("python3", "-c", code).split()) == {"mfapolicies.yaml", "mfareports.yaml"}


@pytest.mark.parametrize("program", ["pip", "pip3", "uv", "gcc", "cc", "make"])
def test_nothing_in_it_installs_or_compiles(image: Image, program: str) -> None:
    assert image.run("sh", "-c", f"command -v {program} || echo none").strip() == "none"


def test_the_interpreter_has_no_pip(image: Image) -> None:
    code = "import importlib.util as u; print(u.find_spec('pip'), u.find_spec('ensurepip'))"
    for python in ("/opt/mfa-operator/bin/python", "$(dirname $(readlink -f /opt/mfa-operator/bin/python3))/python3"):
        assert image.run("sh", "-c", f'{python} -c "{code}"').split() == ["None", "None"]


def test_its_sbom_is_valid_and_names_its_packages_and_debians(image: Image) -> None:
    document = json.loads(image.run("cat", SBOM))
    sbom.validated(document)
    code = "import importlib.metadata as m; print(*[f'{d.name}=={d.version}' for d in m.distributions()])"
    there = image.run("/opt/mfa-operator/bin/python", "-I", "-c", code).split()
    installed = {(canonicalize_name(name), version) for name, version in (each.split("==") for each in there)}
    assert release_artifacts.packages(document) == installed
    assert ("mfa-operator", __version__) in installed
    listed = image.run("dpkg-query", "--show", "--showformat=${Package}=${Version}\\n").split()
    debian = {
        f"{each['name']}={each['version']}" for each in document["components"] if "pkg:deb/" in each.get("purl", "")
    }
    assert debian == set(listed)
    assert "libc6" in {each.split("=")[0] for each in debian}


def test_it_is_labelled_and_its_size_is_told(image: Image) -> None:
    config = image.builder.config(IMAGE)
    assert config["Labels"]["org.opencontainers.image.version"] == __version__
    assert config["User"] == "65532:65532"
    size = image.builder("images", "--format={{.Size}}", IMAGE).strip()
    print(f"the image's size: {size}")  # noqa: T201 - for whoever runs this by hand
