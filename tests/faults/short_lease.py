"""`mfa-operator` whose Lease runs out after 3 s, so that tests need not wait for the usual 15."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from mfa_operator.cli import main, run
from mfa_operator.config.settings import LeaderSettings, Settings

LEASE, RENEW, RETRY = (timedelta(seconds=seconds) for seconds in (3, 2, 1))

if __name__ == "__main__":
    setattr(run, "Settings", partial(Settings, leader=LeaderSettings(lease=LEASE, renew=RENEW, retry=RETRY)))  # noqa: B010 - mypy would not have it
    main()
