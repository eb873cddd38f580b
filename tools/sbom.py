"""The image's SBOM, CycloneDX 1.6: the Python environment, the interpreter, and Debian's packages. Runs in its build.

It imports nothing of this repository, and of others only what requirements/sbom.txt locks.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

SCHEMA = SchemaVersion.V1_6
DPKG_FORMAT = "${db:Status-Status}\t${Package}\t${Version}\t${Architecture}\n"


def of_environment(python: Path) -> dict[str, Any]:
    """What is installed where the interpreter is, and the interpreter itself; nothing in it changes with the time.

    It is not held against the schema yet; `validated` does that.
    """
    made = subprocess.run(  # noqa: S603 - our own interpreter
        [
            *(sys.executable, "-m", "cyclonedx_py", "environment", str(python), "--no-validate"),
            *("--output-reproducible", "--spec-version", SCHEMA.to_version(), "--output-format", "JSON"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise RuntimeError(f"cyclonedx_py ended with {made.returncode}:\n{made.stderr}")
    document: dict[str, Any] = json.loads(made.stdout)
    program = "import platform; print(platform.python_version())"
    asked = subprocess.run([str(python), "-c", program], stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    version = asked.stdout.strip()
    document["components"].append(
        _component("platform", PackageURL("generic", None, "python", version))
        | {"cpe": f"cpe:2.3:a:python:python:{version}:*:*:*:*:*:*:*"}
    )
    return document


def debian_packages(listing: str, os_release: str) -> list[dict[str, Any]]:
    """Components for what `dpkg-query` lists in DPKG_FORMAT as installed."""
    system = dict(line.replace('"', "").split("=", 1) for line in os_release.splitlines() if "=" in line)
    distribution = f"{system['ID']}-{system['VERSION_ID']}"
    packages = [line.split("\t") for line in listing.splitlines()]
    return [
        _component("library", PackageURL("deb", system["ID"], name, version, {"arch": arch, "distro": distribution}))
        for status, name, version, arch in packages
        if status == "installed"
    ]


def validated(document: dict[str, Any]) -> str:
    """The document as text. Raises ValueError where CycloneDX's schema does not allow it."""
    text = json.dumps(document, indent=2, sort_keys=True) + "\n"
    if error := JsonStrictValidator(SCHEMA).validate_str(text):
        raise ValueError(f"not valid CycloneDX {SCHEMA.to_version()}: {error}")
    return text


def _component(kind: str, purl: PackageURL) -> dict[str, Any]:
    reference = purl.to_string()
    return {"type": kind, "bom-ref": reference, "name": purl.name, "version": purl.version, "purl": reference}


def main() -> None:
    """Write the SBOM of an environment on this Debian system."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("python", type=Path, help="the environment's interpreter")
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    document = of_environment(options.python)
    command = ["dpkg-query", "--show", f"--showformat={DPKG_FORMAT}"]
    listed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - a fixed command
    document["components"] += debian_packages(listed.stdout, Path("/etc/os-release").read_text(encoding="utf-8"))
    options.output.write_text(validated(document), encoding="utf-8")


if __name__ == "__main__":
    main()
