"""Which operator serves a policy, where two could: the claim in its status, honoured while the claimant's Lease lives.

Two operators whose selectors overlap are two leaders, each by a Lease of its own. A conditional write alone would not
keep them from acting at AWS at the same time. So each policy names the process that serves it, and another takes it
over only once that process certainly acts no more: it gave the policy up, or its Lease shows no sign of life for as
long as a Lease lives, by our own clock. What cannot be read is taken as alive.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from kubernetes.client import ApiClient, CoordinationV1Api
from kubernetes.client.models import V1Lease, V1LeaseSpec, V1ObjectMeta

from mfa_operator.api.objects import Body, known_status
from mfa_operator.api.status import ServedBy
from mfa_operator.clock import seconds_since_boot
from mfa_operator.config.policy_selector import PolicySelector
from mfa_operator.kube.lease import call_lease_api
from mfa_operator.kube.requests import NOT_FOUND, CallFailed

REREAD_SECONDS = 2.0
"""A Lease is read at most this often, however many policies its holder has claimed."""
MAX_WATCHED = 1000
"""Claims of others that are remembered; beyond it all are forgotten, which only delays taking over."""


@dataclass(slots=True)
class _Seen:
    """What was seen of the Lease of a claim."""

    sign: tuple[str, str] | None
    """uid and resourceVersion while the claimant holds it; None: it does not."""
    since: float
    """When it was first seen so, by the clock."""
    read_at: float
    """When it was last read."""
    lives_for: float
    """Seconds that a Lease lives without a renewal: the longest that it ever said."""


class Claims:
    """Safe to use from several threads."""

    def __init__(
        self,
        api: ApiClient,
        mine: ServedBy,
        selector: PolicySelector,
        *,
        lease_seconds: float,
        clock: Callable[[], float] = seconds_since_boot,
    ) -> None:
        """`mine`: our Lease, and the name of this process in it. `lease_seconds`: how long a Lease lives at least."""
        self.mine = mine
        self._api = CoordinationV1Api(api)
        self._selector = selector
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[ServedBy, _Seen] = {}

    def selects(self, body: Body) -> bool:
        """Whether the policy's labels are ours to serve."""
        labels = (body.get("metadata") or {}).get("labels") or {}
        return self._selector.matches(labels)

    def holds(self, body: Body) -> bool:
        """Whether the policy, as it was just read, is selected and claimed by this very process."""
        return self.selects(body) and known_status(body).served_by == self.mine

    def why_not_ours(self, claim: ServedBy | None) -> str:
        """Why a policy with this claim must not be served by us; empty where it may be."""
        # An earlier leader by our own Lease acts no more, or we would not lead.
        if claim is None or claim.lease == self.mine.lease:
            return ""
        claimant = f"the operator with the Lease {claim.lease} ({claim.holder})"
        try:
            alive = self._lives(claim)
        except CallFailed as error:
            return f"{claimant} serves it, and whether it still runs is not known: {error.message}"
        return f"{claimant} serves it" if alive else ""

    def _lives(self, claim: ServedBy) -> bool:
        """Whether the claimant may still act. Raises CallFailed where its Lease cannot be read."""
        with self._lock:
            now = self._clock()
            known = self._seen.get(claim)
            if known is None or now - known.read_at >= REREAD_SECONDS:
                known = self._reread(claim, known)
            return now - known.since < known.lives_for

    def _reread(self, claim: ServedBy, known: _Seen | None) -> _Seen:
        sign, lives_for = self._read(claim)
        now = self._clock()
        if known is None or known.sign != sign:
            known = _Seen(sign, now, now, max(lives_for, known.lives_for if known else 0.0))
        known.read_at, known.lives_for = now, max(known.lives_for, lives_for)
        if len(self._seen) >= MAX_WATCHED and claim not in self._seen:
            self._seen.clear()
        self._seen[claim] = known
        return known

    def _read(self, claim: ServedBy) -> tuple[tuple[str, str] | None, float]:
        namespace, _, name = claim.lease.partition("/")
        try:
            lease: V1Lease = call_lease_api(self._api.read_namespaced_lease, name, namespace)
        except CallFailed as error:
            if error.status != NOT_FOUND:
                raise
            return None, self._lease_seconds
        spec, metadata = lease.spec or V1LeaseSpec(), lease.metadata or V1ObjectMeta()
        lives_for = max(self._lease_seconds, float(spec.lease_duration_seconds or 0))
        if spec.holder_identity != claim.holder:
            return None, lives_for
        return (str(metadata.uid), str(metadata.resource_version)), lives_for
