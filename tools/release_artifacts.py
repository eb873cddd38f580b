"""Wheel, sdist and chart package, built and looked into."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import sbom
from tools.release_versions import CHART, ROOT, Row, agreeing

UV = Path(sys.executable).parent / "uv"
RUNTIME = ROOT / "requirements" / "runtime.txt"


def python_rows(out: Path, scratch: Path, version: str) -> Iterator[Row]:
    """Wheel and sdist, built into `out` with the locked build backend, and the wheel in an environment of its own."""
    build = [UV, "build", "--quiet", "--no-build-isolation", "--python", sys.executable, "--out-dir"]
    _run(*build, out, "--sdist", "--wheel", ROOT)
    wheel, sdist = out / f"mfa_operator-{version}-py3-none-any.whl", out / f"mfa_operator-{version}.tar.gz"
    for each in (wheel, sdist):
        if not each.is_file():
            yield Row(f"a file named {each.name}", "not there", "another name was built")
            return
    _run(*build, scratch / "again", "--wheel", sdist)
    with zipfile.ZipFile(wheel) as packed:
        text = packed.read(f"mfa_operator-{version}.dist-info/METADATA")
    yield _metadata("wheel: metadata", text, version)
    with tarfile.open(sdist) as archive:
        text = _member(archive, f"mfa_operator-{version}/PKG-INFO")
    yield _metadata("sdist: metadata", text, version)
    differs = _contents(wheel) ^ _contents(scratch / "again" / wheel.name)
    names = ", ".join(sorted({name for name, _ in differs}))
    yield Row("wheel made of the sdist", "other content" if names else "the same content", names)
    yield from installed_rows(wheel, scratch / "venv", version)


def installed_rows(wheel: Path, venv: Path, version: str) -> Iterator[Row]:
    """The wheel on the locked packages and nothing else."""
    python = venv / "bin" / "python"
    _run(UV, "venv", "--quiet", "--python", sys.executable, venv)
    install = [UV, "pip", "install", "--quiet", "--python", python]
    _run(*install, "--require-hashes", "-r", RUNTIME)
    _run(*install, "--no-deps", wheel)
    yield agreeing(
        "installed: mfa-operator --version", _run(venv / "bin" / "mfa-operator", "--version").strip(), version
    )
    document = sbom.of_environment(python)
    sbom.validated(document)
    differs = packages(document) ^ (locked() | {("mfa-operator", version)})
    names = ", ".join(sorted(" ".join(each) for each in differs))
    yield Row("installed: SBOM", "valid, names what is locked" if not names else "names something else", names)


def chart_rows(out: Path, helm: Path, version: str) -> Iterator[Row]:
    """The chart, packaged into `out`."""
    _run(helm, "package", ROOT / CHART, "--destination", out)
    package = out / f"mfa-operator-{version}.tgz"
    if not package.is_file():
        yield Row(f"a file named {package.name}", "not there", "another name was built")
        return
    with tarfile.open(package) as archive:
        chart = yaml.safe_load(_member(archive, "mfa-operator/Chart.yaml"))
    yield agreeing("chart package: version", chart["version"], version)
    yield agreeing("chart package: appVersion", chart["appVersion"], version)


def packages(document: dict[str, Any]) -> set[tuple[str, str]]:
    """Name and version of each Python package in an SBOM."""
    components = [
        each for each in document["components"] if not each.get("purl", "").startswith(("pkg:deb", "pkg:gen"))
    ]
    return {(canonicalize_name(each["name"]), each["version"]) for each in components}


def locked() -> set[tuple[str, str]]:
    """Name and version of each package of requirements/runtime.txt that this platform and Python take."""
    lines = re.findall(r"^(\S[^#\\\n]*==[^\\\n]*)", RUNTIME.read_text(encoding="utf-8"), re.MULTILINE)
    requirements = [Requirement(line.strip()) for line in lines]
    taken = [each for each in requirements if each.marker is None or each.marker.evaluate()]
    return {(canonicalize_name(each.name), str(each.specifier).removeprefix("==")) for each in taken}


def _metadata(what: str, text: bytes, version: str) -> Row:
    try:
        read = Metadata.from_email(text)
    except ExceptionGroup as errors:
        return Row(what, "not valid", "; ".join(str(each) for each in errors.exceptions))
    return agreeing(what, str(read.version), version)


def _contents(wheel: Path) -> set[tuple[str, int]]:
    with zipfile.ZipFile(wheel) as packed:
        return {(each.filename, each.CRC) for each in packed.infolist()}


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.extractfile(name)
    if member is None:
        raise FileNotFoundError(name)
    return member.read()


def _run(*command: object) -> str:
    done = subprocess.run(  # noqa: S603 - fixed programs
        [str(part) for part in command], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} {command[1]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
