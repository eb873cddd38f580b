"""kubectl, bound to one control plane and out of reach of the developer's own settings."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

TIMEOUT_SECONDS = 120.0


class KubectlError(subprocess.CalledProcessError):
    """kubectl ended with a status other than 0; unlike its base, the message holds what kubectl said."""

    def __str__(self) -> str:
        return f"{super().__str__()}\n{self.stderr or self.stdout}".rstrip()


@dataclass(frozen=True)
class Kubectl:
    """Calls kubectl with a kubeconfig; `url`, `token` and `http` are what that holds."""

    program: Path
    kubeconfig: Path
    cache: Path
    url: str
    token: str
    http: urllib3.PoolManager

    def __call__(
        self,
        *args: str,
        input: str | None = None,  # noqa: A002 - subprocess's own name for it
        check: bool = True,
        kubeconfig: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl to its end, its output captured as text; `input` is its standard input.

        Raises KubectlError if check is true and the status is not 0, subprocess.TimeoutExpired after two
        minutes.
        """
        # The cache is named after host and port, which another control plane may have had before.
        settings = [f"--kubeconfig={kubeconfig or self.kubeconfig}", f"--cache-dir={self.cache}"]
        command = [str(self.program), *settings, *args]
        done = subprocess.run(
            command,
            input="" if input is None else input,
            env=os.environ | {"KUBERC": "off"},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        if check and done.returncode != 0:
            raise KubectlError(done.returncode, command, done.stdout, done.stderr)
        return done

    def read(self, path: str) -> dict[str, Any]:
        """What `kubectl get --raw` gives for the path, without a process: for what is asked again and again.

        Raises KubectlError if the answer is not 200, or there is none.
        """
        return self._send("GET", path)

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """POST an object to the path of its list, without a process; returns it as stored. Raises as read does."""
        return self._send("POST", path, body)

    def delete(self, path: str) -> None:
        """DELETE what is at the path, if anything is, without a process; waits for nothing. Raises as read does."""
        self._send("DELETE", path, fine=(200, 202, 404))

    def _send(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, fine: tuple[int, ...] = (200, 201)
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            answer = self.http.request(method, self.url + path, headers=headers, json=body)
        except urllib3.exceptions.HTTPError as error:
            raise KubectlError(1, [method, path], "", str(error)) from error
        if answer.status not in fine:
            raise KubectlError(1, [method, path], "", answer.data.decode())
        found: dict[str, Any] = json.loads(answer.data)
        return found
