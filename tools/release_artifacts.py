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
RUNTIME, DEVELOPMENT = ROOT / "requirements" / "runtime.txt", ROOT / "requirements" / "dev.txt"
DISTRIBUTIONS = {"mfa-operator": ROOT, "mfa-operator-sandbox": ROOT / "sandbox"}
"""The operator, and what `mfa-operator demo` needs besides."""


def python_rows(out: Path, scratch: Path, version: str) -> Iterator[Row]:
    """Wheels and sdists of both distributions, built into `out` with the locked backend; the operator installed."""
    for name, source in DISTRIBUTIONS.items():
        yield from _built(name, source, out, scratch / "again", version)
        if not _wheel(name, out, version).is_file():
            return
    yield from installed_rows(out, scratch / "venv", version)


def _built(name: str, source: Path, out: Path, again: Path, version: str) -> Iterator[Row]:
    """Wheel and sdist of one distribution."""
    build = [UV, "build", "--quiet", "--no-build-isolation", "--python", sys.executable, "--out-dir"]
    _run(*build, out, "--sdist", "--wheel", source)
    wheel = _wheel(name, out, version)
    sdist = out / f"{name.replace('-', '_')}-{version}.tar.gz"
    for each in (wheel, sdist):
        if not each.is_file():
            yield Row(f"a file named {each.name}", "not there", "another name was built")
            return
    _run(*build, again, "--wheel", sdist)
    with zipfile.ZipFile(wheel) as packed:
        text = packed.read(f"{wheel.name.partition('-py3')[0]}.dist-info/METADATA")
    yield _metadata(f"{name}, wheel: metadata", text, version)
    with tarfile.open(sdist) as archive:
        text = _member(archive, f"{sdist.name.removesuffix('.tar.gz')}/PKG-INFO")
    yield _metadata(f"{name}, sdist: metadata", text, version)
    differs = _contents(wheel) ^ _contents(again / wheel.name)
    names = ", ".join(sorted({each for each, _ in differs}))
    yield Row(f"{name}, wheel made of the sdist", "other content" if names else "the same content", names)


def installed_rows(out: Path, venv: Path, version: str) -> Iterator[Row]:
    """The operator's wheel on the locked packages and nothing else."""
    python, install = _environment(venv)
    _run(*install, "--require-hashes", "-r", RUNTIME)
    _run(*install, "--no-deps", _wheel("mfa-operator", out, version))
    program = venv / "bin" / "mfa-operator"
    yield agreeing("installed: mfa-operator --version", _run(program, "--version").strip(), version)
    document = sbom.of_environment(python)
    sbom.validated(document)
    differs = packages(document) ^ (locked() | {("mfa-operator", version)})
    names = ", ".join(sorted(" ".join(each) for each in differs))
    yield Row("installed: SBOM", "valid, names what is locked" if not names else "names something else", names)
    demo = subprocess.run([program, "demo", "--once"], capture_output=True, text=True, check=False)  # noqa: S603 - ours
    as_promised = demo.returncode == 3 and "pip install 'mfa-operator[demo]'" in demo.stderr
    yield Row("installed: demo", "says what to install", "" if as_promised else demo.stdout + demo.stderr)


def demo_rows(out: Path, venv: Path, version: str) -> Iterator[Row]:
    """The operator's wheel with the extra `demo`; the sandbox is this one, whatever an index has under its name."""
    _, install = _environment(venv)
    operator, sandbox = (_wheel(name, out, version).as_uri() for name in DISTRIBUTIONS)
    wanted = [f"mfa-operator[demo] @ {operator}", f"mfa-operator-sandbox @ {sandbox}"]
    _run(*install, "--constraints", DEVELOPMENT, *wanted)
    shown = _run(venv / "bin" / "mfa-operator", "demo", "--once")
    found = "alice" in shown
    yield Row("installed with the extra: demo", "runs" if found else shown, "" if found else "finds nobody")


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


def _environment(venv: Path) -> tuple[Path, list[object]]:
    """An empty virtual environment: its interpreter, and the command that installs into it."""
    _run(UV, "venv", "--quiet", "--python", sys.executable, venv)
    python = venv / "bin" / "python"
    return python, [UV, "pip", "install", "--quiet", "--python", python]


def _wheel(name: str, out: Path, version: str) -> Path:
    return out / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"


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
