"""The image, built and looked into with buildah or docker, whichever works here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.release_versions import ROOT, Row, agreeing, the_version

SBOM = "/usr/share/sbom/mfa-operator.cdx.json"
STAND_IN = "localhost/mfa-operator-base"


class BuilderFailed(Exception):
    """A command of the builder failed; the message is what it said."""


@dataclass(frozen=True)
class Builder:
    """buildah or docker, told what both understand."""

    name: str

    def __call__(self, *args: str, cwd: Path = ROOT) -> str:
        """Run it; returns stdout. Raises BuilderFailed."""
        environment = os.environ | {"STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}
        command = [self.name, *args]
        done = subprocess.run(  # noqa: S603 - a fixed program
            command, cwd=cwd, capture_output=True, text=True, check=False, env=environment
        )
        if done.returncode != 0:
            raise BuilderFailed(f"{' '.join(command)}:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def build(self, image: str) -> None:
        """Build the Dockerfile on PYTHON_IMAGE, or on BASE_ROOTFS, a directory such as debootstrap makes."""
        arguments = ["--build-arg", f"VERSION={the_version(ROOT)}"]
        if rootfs := os.environ.get("BASE_ROOTFS"):
            self._stand_in(rootfs)
            arguments += ["--build-arg", f"PYTHON_IMAGE={STAND_IN}"]
        elif base := os.environ.get("PYTHON_IMAGE"):
            arguments += ["--build-arg", f"PYTHON_IMAGE={base}"]
        self("build", *arguments, "-t", image, "-f", "Dockerfile", ".")

    def run(self, image: str, *command: str) -> str:
        """What a command prints in a container of the image, as the image's user."""
        if self.name == "docker":
            return self("run", "--rm", "--read-only", f"--entrypoint={command[0]}", image, *command[1:])
        container = self("from", image).strip()
        try:
            return self("run", container, "--", *command)
        finally:
            self("rm", container)

    def config(self, image: str) -> dict[str, Any]:
        """The image's configuration, with Labels and User."""
        if self.name == "docker":
            return json.loads(self("inspect", image))[0]["Config"]  # type: ignore[no-any-return]
        return json.loads(self("inspect", "--type=image", image))["OCIv1"]["config"]  # type: ignore[no-any-return]

    def _stand_in(self, rootfs: str) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            directory = Path(scratch)
            subprocess.run(["tar", "-C", rootfs, "-cf", directory / "base.tar", "."], check=True)  # noqa: S603, S607
            text = "FROM scratch\nADD base.tar /\n" + _authorities(directory)
            (directory / "Dockerfile").write_text(text, encoding="utf-8")
            self("build", "-t", STAND_IN, ".", cwd=directory)


def find_builder() -> Builder | None:
    """The first that works."""
    for name in ("buildah", "docker"):
        if shutil.which(name) is None:
            continue
        asked = subprocess.run([name, "info"], capture_output=True, check=False)  # noqa: S603 - a fixed program
        if asked.returncode == 0:
            return Builder(name)
    return None


def rows(builder: Builder, image: str, version: str) -> list[Row]:
    """Build the image and say what it says of itself; it is left for whoever wants to push it."""
    builder.build(image)
    label = builder.config(image)["Labels"]["org.opencontainers.image.version"]
    components = json.loads(builder.run(image, "cat", SBOM))["components"]
    own = [each["version"] for each in components if each["name"] == "mfa-operator"]
    return [
        agreeing("image: label", label, version),
        agreeing("image: mfa-operator --version", builder.run(image, "mfa-operator", "--version").strip(), version),
        agreeing("image: its SBOM", own[0] if own else "nothing", version),
    ]


def _authorities(directory: Path) -> str:
    """Lines that let the stand-in trust what this machine trusts, where registries are behind a proxy of its own."""
    bundle = os.environ.get("SSL_CERT_FILE")
    if not bundle:
        return ""
    shutil.copy(bundle, directory / "ca.pem")
    inside = "/etc/ssl/certs/ca-certificates.crt"
    return f"COPY ca.pem {inside}\nENV SSL_CERT_FILE={inside} PIP_CERT={inside}\n"
