"""Commands of people, as processes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

Run = Callable[..., "subprocess.CompletedProcess[str]"]
"""Runs `mfa-operator` with these arguments on the embedded AWS, to its end."""
