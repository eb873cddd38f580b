"""`mfa-operator` with short times, for tests: the Lease runs out after 4 s, policies are listed again after 2 s.

The status of a policy is written every half second while a pass runs.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from mfa_operator.cli import main, run
from mfa_operator.config.settings import AuditSettings, ClusterSettings, LeaderSettings

LEASE, RENEW, RETRY = (timedelta(seconds=seconds) for seconds in (4, 3, 0.5))
RESYNC = timedelta(seconds=2)
PROGRESS = timedelta(seconds=0.5)

if __name__ == "__main__":
    for name, short in (
        ("LeaderSettings", partial(LeaderSettings, lease=LEASE, renew=RENEW, retry=RETRY)),
        ("AuditSettings", partial(AuditSettings, progress_every=PROGRESS)),
        ("ClusterSettings", partial(ClusterSettings, resync=RESYNC)),
    ):
        setattr(run, name, short)
    main()
