"""`mfa-operator` in a process whose threads compute without a pause from the first pass on; run by test_sigterm."""

from __future__ import annotations

import json
import threading

from mfa_operator.cli import main
from mfa_operator.passes.reconciler import Reconciler

THREADS = 64
REPORT = json.dumps([{"user": f"user-{number}", "arn": "arn:aws:iam::111122223333:user/x"} for number in range(3000)])
_run_pass = Reconciler.run_pass
_begun = threading.Event()


def compute() -> None:
    _begun.wait()
    while True:
        sorted(json.loads(REPORT), key=lambda row: str(row["user"]))


def run_pass(*args: object, **options: object) -> object:
    _begun.set()
    return _run_pass(*args, **options)  # type: ignore[arg-type]  # as they came


if __name__ == "__main__":
    for _ in range(THREADS):
        threading.Thread(target=compute, daemon=True).start()
    Reconciler.run_pass = run_pass  # type: ignore[method-assign,assignment]  # to know when it begins
    main()
