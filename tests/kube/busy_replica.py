"""A process that holds the Lease while its threads compute without a pause; run by test_lease_under_load."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from datetime import timedelta

from mfa_operator.config.settings import LeaderSettings
from mfa_operator.kube.connection import connect
from mfa_operator.kube.lease import Lease

THREADS = 64
SETTINGS = LeaderSettings(lease=timedelta(seconds=9), renew=timedelta(seconds=6), retry=timedelta(seconds=1))
SECONDS = 10
REPORT = json.dumps([{"user": f"user-{number}", "arn": "arn:aws:iam::111122223333:user/x"} for number in range(3000)])


def compute(begin: threading.Event) -> None:
    begin.wait()
    while True:
        sorted(json.loads(REPORT), key=lambda row: str(row["user"]))


def main(kubeconfig: str) -> None:
    """End with status 0 where the Lease was held all the time."""
    api, _ = connect(kubeconfig, None)
    lease = Lease(api, "default", "busy", SETTINGS)
    acquired, lost = threading.Event(), threading.Event()
    lease.stand_for_election(acquired=acquired.set, ended=lambda _: lost.set())
    acquired.wait()
    begin = threading.Event()
    for _ in range(THREADS):
        threading.Thread(target=compute, args=(begin,), daemon=True).start()
    begin.set()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and lease.holds:
        lost.wait(0.2)
    os._exit(0 if lease.holds and not lost.is_set() else 1)


if __name__ == "__main__":
    main(sys.argv[1])
