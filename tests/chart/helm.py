"""The real Helm on the chart, with nothing of whoever runs the tests in it."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "mfa-operator"
RELEASE = "mfa-operator"
NAMESPACE = "mfa-operator"
Object = dict[str, Any]


class HelmError(Exception):
    """Helm refused; the message is what it said."""


@dataclass(frozen=True)
class Helm:
    """helm(*args, values={...}) and what it prints."""

    program: Path
    home: Path
    kubeconfig: Path | None = None

    def __call__(self, *args: str, values: Object | None = None) -> str:
        """Run Helm; returns stdout. Raises HelmError."""
        command = [str(self.program), *args]
        if values is not None:
            command.append("--values=-")
        done = subprocess.run(
            command,
            input=None if values is None else yaml.safe_dump(values),
            stdin=subprocess.DEVNULL if values is None else None,
            capture_output=True,
            text=True,
            check=False,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.home),
                "KUBECONFIG": str(self.kubeconfig or self.home / "none"),
            },
        )
        if done.returncode != 0:
            raise HelmError(done.stderr)
        return done.stdout

    def render(
        self, values: Object | None = None, *flags: str, release: str = RELEASE, namespace: str = NAMESPACE
    ) -> str:
        """The manifests, as text. Raises HelmError."""
        return self("template", release, str(CHART), f"--namespace={namespace}", *flags, values=values or {})

    def objects(self, values: Object | None = None, *flags: str, **options: str) -> list[Object]:
        """The manifests, read. Raises HelmError."""
        return [each for each in yaml.safe_load_all(self.render(values, *flags, **options)) if each]


def one(objects: list[Object], kind: str, name_end: str = "") -> Object:
    """The only object of the kind whose name ends so."""
    (found,) = (each for each in objects if each["kind"] == kind and each["metadata"]["name"].endswith(name_end))
    return found


def pod_spec(objects: list[Object]) -> Object:
    """The spec of the Deployment's pods."""
    found = one(objects, "Deployment")["spec"]["template"]["spec"]
    assert isinstance(found, dict)
    return found


def container(objects: list[Object]) -> Object:
    """The operator's container."""
    (found,) = (each for each in pod_spec(objects)["containers"] if each["name"] == "mfa-operator")
    assert isinstance(found, dict)
    return found
