"""Before a pass: is the policy ours to serve? Of two operators whose selectors overlap, one serves a policy."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from mfa_operator.api.conversion import to_dict
from mfa_operator.api.enums import EventReason
from mfa_operator.api.objects import Body, PolicyRef, policy_ref, requested_at
from mfa_operator.api.status import ServedBy
from mfa_operator.kube.claims import Claims
from mfa_operator.kube.cluster import Cluster, PolicyIdentity
from mfa_operator.metrics.exporter import Metrics
from mfa_operator.reporting.events import EventNote
from mfa_operator.reporting.growing_status import pass_running_status
from mfa_operator.scheduling.due import PassEnd

logger = logging.getLogger(__name__)

FIRST_CHECKS, CHECK_SOON, CHECK_LATER = 2, timedelta(seconds=20), timedelta(minutes=2)
"""Whether somebody else's claim still holds: twice soon, as after an operator was replaced, and then now and then."""


class Claiming:
    """Safe to use from several threads."""

    def __init__(
        self, cluster: Cluster, metrics: Metrics, claims: Claims | None, clock: Callable[[], datetime]
    ) -> None:
        """`claims` None: nobody else can serve a policy, and nothing is claimed."""
        self._cluster, self._metrics, self._claims, self._clock = cluster, metrics, claims, clock
        self._lock = threading.Lock()
        self._elsewhere: dict[PolicyRef, tuple[ServedBy | None, int]] = {}
        """Policies that somebody else serves: by which claim, and how often it was found so."""

    def take(self, body: Body) -> Body | PassEnd:
        """The policy with our claim in its status; or how its pass ends, as it is not ours. Raises ClusterError."""
        claims, ref = self._claims, policy_ref(body)
        if claims is None:
            return body
        identity = PolicyIdentity.of(body)
        claim = identity.status.served_by
        if not claims.selects(body):
            return self._leave(body, identity)
        if why := claims.why_not_ours(claim):
            return self._stand_back(body, identity, why)
        self.forget(ref)
        if claim == claims.mine:
            return body
        if claim and claim.lease != claims.mine.lease:
            logger.warning("policy %s is taken over from %s, which no longer acts", ref, claim.lease)
        # Fails where somebody else has written the status since: then another operator was quicker.
        status = identity.status
        if not status.conditions:
            # Nobody should see a status that says nothing but who serves the policy.
            status = pass_running_status(status, _generation(body), self._clock().replace(microsecond=0))
        claimed = self._cluster.write_policy_status(identity, status)
        metadata = {**body["metadata"], "resourceVersion": claimed.resource_version}
        return {**body, "metadata": metadata, "status": to_dict(claimed.status)}

    def renewed(self, body: Body) -> Body | None:
        """For what comes between passes: the policy with our claim in its status; None where only a pass may decide.

        An earlier leader by our own Lease leaves its claim behind, and the next pass may be hours away. Raises
        ClusterError.
        """
        claim = PolicyIdentity.of(body).status.served_by
        if self._claims is None or self._claims.holds(body):
            return body
        if not self._claims.selects(body) or self.is_elsewhere(claim):
            return None
        taken = self.take(body)
        return None if isinstance(taken, PassEnd) else taken

    def holds(self, body: Body) -> bool:
        """Whether the policy, as it was just read, is still ours."""
        return self._claims is None or self._claims.holds(body)

    def is_elsewhere(self, claim: ServedBy | None) -> bool:
        """Whether the claim names another operator, alive or not."""
        return self._claims is not None and claim is not None and claim.lease != self._claims.mine.lease

    def forget(self, ref: PolicyRef) -> None:
        """Nobody else serves the policy any more, or it is none of our business."""
        with self._lock:
            self._elsewhere.pop(ref, None)
        self._metrics.set_served_elsewhere(ref, elsewhere=False)

    def _leave(self, body: Body, identity: PolicyIdentity) -> PassEnd:
        """Give up a policy whose labels are not ours any more, so that whoever serves it now can begin at once."""
        ref = identity.ref
        self._metrics.forget(ref)
        self.forget(ref)
        claim = identity.status.served_by
        # Or an earlier leader's by the same Lease, who acts no more.
        if self._claims and claim and claim.lease == self._claims.mine.lease:
            free = msgspec.structs.replace(identity.status, served_by=None)
            self._cluster.write_policy_status(identity, free, claimed=False)
            logger.info("policy %s no longer matches the selector and is released", ref)
        # The watch says so, too, and then it is forgotten; where it does not, the labels may be ours again.
        return PassEnd(_generation(body), requested_at(body), self._clock() + CHECK_SOON, left=True)

    def _stand_back(self, body: Body, identity: PolicyIdentity, why: str) -> PassEnd:
        """Somebody else serves it: write nothing but an Event, and ask again later."""
        ref, claim = identity.ref, identity.status.served_by
        with self._lock:
            known, checks = self._elsewhere.get(ref, (None, 0))
            checks = checks + 1 if known == claim else 1
            self._elsewhere[ref] = claim, checks
        self._metrics.forget(ref)
        self._metrics.set_served_elsewhere(ref, elsewhere=True)
        if checks == FIRST_CHECKS + 1:
            # Not before: an operator that was just replaced is found dead by then.
            note = f"two operators select this policy; this one does not audit it: {why}"
            logger.warning("policy %s: %s", ref, note)
            self._cluster.emit(identity, EventNote(EventReason.SERVED_BY_ANOTHER, "Claim", note))
        else:
            logger.info("policy %s is not ours: %s", ref, why)
        delay = CHECK_SOON if checks <= FIRST_CHECKS else CHECK_LATER
        return PassEnd(_generation(body), requested_at(body), self._clock() + delay, elsewhere=True)


def _generation(body: Body) -> int:
    return int(body["metadata"].get("generation", 0))
