"""`mfa-operator` with short times, for tests: the Lease runs out after 3 s, policies are listed again after 2 s.

The status of a policy is written every half second while a pass runs.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from mfa_operator.cli import main, run
from mfa_operator.config.settings import AuditSettings, ClusterSettings, LeaderSettings, Settings

LEASE, RENEW, RETRY = (timedelta(seconds=seconds) for seconds in (3, 2, 1))
RESYNC = timedelta(seconds=2)
PROGRESS = timedelta(seconds=0.5)

if __name__ == "__main__":
    leader = LeaderSettings(lease=LEASE, renew=RENEW, retry=RETRY)
    for name, short in (
        ("Settings", partial(Settings, leader=leader)),
        ("AuditSettings", partial(AuditSettings, progress_every=PROGRESS)),
        ("ClusterSettings", partial(ClusterSettings, resync=RESYNC)),
    ):
        setattr(run, name, short)
    main()
