"""Programs that tests need, built once from a go.mod with `tool` lines into the user's cache."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

OUTPUT_TAIL_LINES = 20


class BinariesUnavailable(Exception):
    """The programs can be neither found nor built; the message says what to do about it."""


@dataclass(frozen=True, kw_only=True)
class GoBuild:
    """One set of programs."""

    label: str
    """What messages and the cache's folder call it."""
    module: Path
    """Directory of go.mod and go.sum, both complete: a build changes neither."""
    packages: tuple[str, ...]
    names: tuple[str, ...]
    """Of the programs, as they are looked for."""
    versions: Mapping[str, str]
    """Name to Go module, of what go.mod requires: the versions in the folder's name."""
    announcement: str
    """What is built and how long it takes, as it goes on after "building"."""
    assets_variable: str | None = None
    """Environment variable with a directory that is taken before anything is built."""
    ldflags: str = "-s -w"
    tags: str = ""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Go names a program after its package; from that name to the one wanted."""

    def find(self) -> Path:
        """The directory with the programs, built if need be; what is going on is said on stderr.

        Runs that need the same build at the same time wait for the first. Raises BinariesUnavailable if the variable
        is set and its directory lacks one, if there is no Go, or if the build fails.
        """
        if self.assets_variable and (assets := os.environ.get(self.assets_variable)):
            directory = Path(assets).absolute()
            if missing := self.missing_from(directory):
                raise BinariesUnavailable(
                    f"{self.assets_variable}={assets} lacks {', '.join(missing)}: add what is missing,"
                    " or unset the variable to have them built with Go"
                )
            return directory
        directory = self.cache_directory()
        return directory if not self.missing_from(directory) else self._build_once(directory)

    def missing_from(self, directory: Path) -> list[str]:
        """The names of the programs that the directory doesn't hold as executable files."""
        return [n for n in self.names if not ((directory / n).is_file() and os.access(directory / n, os.X_OK))]

    def required_version(self, module: str) -> str:
        """The version of a module in go.mod, such as v1.36.3."""
        return required_version(self.module, module)

    def cache_directory(self) -> Path:
        """Where the build belongs; its name changes with go.mod, go.sum, the module's own code and the flags."""
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        digest = hashlib.sha256(
            (self.module / "go.sum").read_bytes()
            + (self.module / "go.mod").read_bytes()
            # Of a module that has a program of its own.
            + b"".join(path.read_bytes() for path in sorted(self.module.glob("*.go")))
            + self.ldflags.encode()
            + self.tags.encode()
        ).hexdigest()
        versions = "-".join(f"{name}-{self.required_version(module)}" for name, module in self.versions.items())
        return root.absolute() / "mfa-operator" / self.label / f"{versions}-{digest[:12]}"

    def _build_once(self, directory: Path) -> Path:
        go = shutil.which("go")
        if go is None:
            way_out = "install Go 1.26 or later"
            if self.assets_variable:
                way_out += f", or set {self.assets_variable} to a directory that holds {', '.join(self.names)}"
            raise BinariesUnavailable(f"no Go to build the {self.label} with: {way_out}")
        directory.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(directory.with_name(f"{directory.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            self._say(f"waiting for another run that builds {directory}")
            lock.acquire()
        try:
            if self.missing_from(directory):
                self._build(go, directory)
        finally:
            lock.release()
        return directory

    def _build(self, go: str, directory: Path) -> None:
        self._say(f"building {self.announcement} into {directory}")
        prefix = f".{directory.name}-"
        for leftover in (directory, *directory.parent.glob(f"{prefix}*")):
            shutil.rmtree(leftover, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=prefix, dir=directory.parent, ignore_cleanup_errors=True) as scratch:
            output = Path(scratch) / "bin"
            command = [go, "build", "-mod=readonly", "-buildvcs=false", "-trimpath", f"-ldflags={self.ldflags}"]
            done = subprocess.run(
                [*command, *([f"-tags={self.tags}"] if self.tags else []), "-o", f"{output}{os.sep}", *self.packages],
                cwd=self.module,
                env=_go_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                check=False,
            )
            if done.returncode != 0:
                tail = "\n".join(done.stdout.splitlines()[-OUTPUT_TAIL_LINES:])
                raise BinariesUnavailable(f"building the {self.label} failed (go build: {done.returncode}):\n{tail}")
            for built, wanted in self.renamed.items():
                (output / built).rename(output / wanted)
            output.rename(directory)

    def _say(self, message: str) -> None:
        sys.stderr.write(f"{self.label}: {message}\n")
        sys.stderr.flush()


def required_version(directory: Path, module: str) -> str:
    """The version of a module in the directory's go.mod, such as v1.36.3."""
    text = (directory / "go.mod").read_text(encoding="utf-8")
    match = re.search(rf"^(?:\t|require ){re.escape(module)} (v\S+)", text, re.MULTILINE)
    if match is None:
        raise ValueError(f"{directory / 'go.mod'} does not require {module}")
    return match[1]


def _go_environment() -> dict[str, str]:
    cross = {"GOOS", "GOARCH", "GOEXPERIMENT"}
    kept = {key: value for key, value in os.environ.items() if key not in cross}
    # A non-empty GOFLAGS overrides both the environment's and the one kept by `go env -w`.
    return kept | {"GOFLAGS": "-mod=readonly", "GOWORK": "off", "GO111MODULE": "on", "CGO_ENABLED": "0"}
