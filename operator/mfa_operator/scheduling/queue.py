"""Which policies there are and when each is due; no threads, no loop, no waiting."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta

from mfa_operator.api.conversion import InvalidObject
from mfa_operator.api.objects import Body, PolicyRef, policy_ref, read_policy
from mfa_operator.api.policy import MIN_INTERVAL
from mfa_operator.scheduling.agenda import Agenda
from mfa_operator.scheduling.due import Cause, Due, PassAbandoned, PassEnd, first_due, retry_delay
from mfa_operator.scheduling.entries import Entry, Job, Seen, asked_interval, is_free
from mfa_operator.scheduling.hints import Done, Hints, Ticket, Unseen

logger = logging.getLogger(__name__)


class PolicyQueue:
    """Takes in what happens to policies and to their passes, and gives out what is to be done next."""

    def __init__(
        self,
        forget: Callable[[PolicyRef], None],
        *,
        clock: Callable[[], datetime],
        interval_override: timedelta | None = None,
        chance: random.Random | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        selects: Callable[[Body], bool] = lambda _: True,
        lease: str = "",
    ) -> None:
        """`forget` is called with each policy that is gone, never while a job of that policy is running.

        `selects` tells whether a policy is ours to serve, by its metadata alone. One that is so no longer gets one more
        pass, which gives it up. `lease` is ours.
        """
        self._selects, self._lease = selects, lease
        self.overlooked = 0
        """How many times a list showed a policy without a scheduled pass that should have had one."""
        self._on_gone = forget
        self._clock = clock
        self._interval_override = interval_override
        self._chance = chance or random.SystemRandom()
        self._monotonic = monotonic
        self._entries: dict[PolicyRef, Entry] = {}
        self._agenda = Agenda(self._entries, clock, monotonic)
        self._hints = Hints()

    @property
    def taken_up(self) -> bool:
        """Whether a first job of every policy has ended in this process: what they cover is known from then on."""
        return all(entry.taken_up for entry in self._entries.values())

    def known(self) -> dict[PolicyRef, str]:
        """The policies known now, with their uids: to be taken before a list is read, for `listed`."""
        return {ref: entry.uid for ref, entry in self._entries.items() if not entry.gone}

    def listed(self, bodies: Iterable[Body], known: Mapping[PolicyRef, str]) -> None:
        """Take in a complete list of the policies: what was `known` before it and is not in it is gone.

        Of policies in `known` metadata suffices. A watch that lost its place delivers no deletions; this does. It also
        finds what should not be: a policy without a scheduled pass though no pass found it suspended or invalid.
        """
        found: set[PolicyRef] = set()
        for body in bodies:
            found.add(policy_ref(body))
            self.notice(None, body)
            if (entry := self._entries.get(policy_ref(body))) and not entry.leaving:
                self._check_planned(entry)
        for ref, uid in known.items():
            entry = self._entries.get(ref)
            if ref not in found and entry and entry.uid == uid and not entry.gone:
                logger.info("policy %s was deleted (missed by the watch)", ref)
                self._remove(entry)

    def notice(self, event_type: str | None, body: Body) -> None:
        """Take in a watch event or a listed object (None); our own status writes change nothing."""
        ref, seen = policy_ref(body), Seen.of(body)
        entry = self._entries.get(ref)
        # The events of a deleted policy and of its successor with the same name may come interleaved.
        if entry and 0 < seen.version < entry.version:
            return
        if event_type == "DELETED":
            if entry and entry.uid == seen.uid and not entry.gone:
                self._remove(entry)
        elif not self._selects(body):
            if entry and entry.uid != seen.uid and not entry.gone:
                # Another object has taken the name: the one that we knew was deleted.
                self._remove(entry)
            elif entry and not entry.gone and not entry.leaving:
                entry.version, entry.leaving = max(entry.version, seen.version), True
                self._agenda.ask(entry, Due(self._clock(), Cause.DESELECTED))
        elif entry is None:
            self._entries[ref] = entry = Entry(ref)
            self._begin(entry, seen, body)
        elif entry.uid != seen.uid or entry.gone:
            self._forget(entry)
            self._begin(entry, seen, body)
        else:
            entry.version = max(entry.version, seen.version)
            entry.interval = self._interval(body, entry.interval)
            if entry.leaving or (entry.elsewhere and is_free(body)):
                entry.leaving = entry.elsewhere = False
                self._agenda.ask(entry, Due(self._clock(), Cause.CREATED, fresh=True))
            self._notice_change(entry, seen)

    def hint(self, refs: Iterable[PolicyRef], account_id: str, users: Iterable[str], done: Done) -> None:
        """Have the account audited soon for each of these policies. `done` is called once, with whether it was."""
        ticket, now = Ticket(done), self._monotonic()
        for ref in refs:
            entry = self._entries.get(ref)
            if entry is not None and not entry.gone:
                ticket.add()
                self._hints.add(ref, account_id, users, ticket, at=self._clock(), now=now)
        ticket.settle()

    def take_targeted(self, free: int) -> list[Job]:
        """Targeted passes to start now. `free`: how many of their own slots are left; they take none from passes.

        Where the policy's own pass runs or is due, that comes first: two never run at once.
        """
        now = self._monotonic()
        due = [ref for moment, ref in self._hints.waiting(self._may_target) if moment <= now]
        jobs: list[Job] = []
        for ref in due[: max(free, 0)]:
            entry = self._entries[ref]
            entry.running = entry.running_targeted = True
            jobs.append(Job(ref, None, None, self._hints.take(ref, at=self._clock(), now=now)))
        return jobs

    def seconds_until_targeted(self) -> float | None:
        """Seconds until the next targeted pass can begin; None where none can before a hint or the end of a job."""
        waiting = self._hints.waiting(self._may_target)
        return max(waiting[0][0] - self._monotonic(), 0.0) if waiting else None

    def targeted_ended(self, job: Job, unseen: Unseen | None, *, failed: Collection[str] = ()) -> None:
        """Take in what a targeted pass found, as Hints.ended has it; None: it failed, or nothing was published."""
        assert job.targeted is not None  # noqa: S101 - for the type checker
        entry, pending = self._stop(job)
        now = self._monotonic()
        if unseen is None:
            self._hints.failed(job.ref, job.targeted, now)
        else:
            self._hints.ended(job.ref, job.targeted, unseen, now, failed=failed)
        if entry is not None and pending is not None:
            self._agenda.plan(entry, pending)

    def _may_target(self, ref: PolicyRef) -> bool:
        entry = self._entries.get(ref)
        if entry is None or entry.running or entry.gone or entry.restore is not None:
            return False
        return not self._agenda.is_due(entry)

    def accounts_discovered(self, ref: PolicyRef) -> None:
        """The accounts are known that the policy waited for: its next pass begins now.

        Nothing where it rests, is gone, or a person asked for a pass already.
        """
        entry = self._entries.get(ref)
        if entry is None or entry.gone or entry.resting == entry.generation:
            return
        now = self._clock()
        if entry.running:
            entry.pending = entry.pending or Due(now, Cause.DISCOVERED)
        elif entry.due is None or entry.due.at > now:
            self._agenda.plan(entry, Due(now, Cause.DISCOVERED, fresh=entry.due is not None and entry.due.fresh))

    def take(self, free: int) -> list[Job]:
        """What is to be started now where `free` slots are left; see Agenda."""
        return self._agenda.take(free)

    def seconds_until_next(self, free: int = 1) -> float | None:
        """Seconds until the next pass can begin; None where none can, save after an event or the end of a job."""
        return self._agenda.seconds_until_next(free)

    def oldest_due(self) -> datetime | None:
        """When the pass was due that has waited longest to begin; None where none waits."""
        return self._agenda.oldest_due()

    def ended(self, job: Job, end: PassEnd | None) -> None:
        """Take in that a job ended; None: it had no pass to run."""
        entry, pending = self._stop(job)
        if entry is None:
            return
        if end is None or job.due is None:
            if pending is not None:
                self._agenda.plan(entry, pending)
        elif end.generation < entry.generation and pending is None:
            # A cache on the way answered with what the policy was before an edit that the watch has shown already.
            logger.warning("the pass over %s read an old version of it; again soon", job.ref)
            self._retry(entry, job, None)
        elif end.left and entry.leaving:
            self._hints.forget(entry.ref)
            del self._entries[entry.ref]
        else:
            self._plan_after(entry, job.due, end, pending)

    def _plan_after(self, entry: Entry, due: Due, end: PassEnd, pending: Due | None) -> None:
        """Plan what follows the pass that was `due`: what was asked for meanwhile, else the next by the interval."""
        entry.failures, entry.elsewhere = 0, end.elsewhere
        entry.resting = end.generation if end.next_due is None else None
        if due.fresh:
            entry.served = end.generation, end.requested_at
        idle = end.left or end.elsewhere
        if idle:
            # Nothing was audited: what was asked for is still to be done, once the policy is ours.
            entry.served = 0, ""
        answered = entry.served[0] >= entry.generation and entry.served[1] == entry.requested_at
        if pending is None or (answered and pending.fresh):
            pending = Due(end.next_due, Cause.INTERVAL, idle and due.fresh) if end.next_due else None
        self._agenda.plan(entry, pending)

    def failed(self, job: Job, error: BaseException) -> tuple[int, timedelta]:
        """Take in that a pass raised; returns the failures in a row and the time until it is tried again."""
        entry, pending = self._stop(job)
        if entry is None:
            return 0, timedelta()
        due = self._retry(entry, job, pending, counts=not isinstance(error, PassAbandoned))
        return entry.failures, max(due.at - self._clock(), timedelta())

    def _retry(self, entry: Entry, job: Job, pending: Due | None, *, counts: bool = True) -> Due:
        entry.failures += counts
        delay = retry_delay(entry.failures, self._chance.random(), entry.interval)
        fresh = job.due is not None and job.due.fresh
        due = pending or Due(self._clock() + delay, Cause.RETRY, fresh)
        self._agenda.plan(entry, due)
        return due

    def _check_planned(self, entry: Entry) -> None:
        if entry.due is None and not entry.running and entry.resting != entry.generation:
            self.overlooked += 1
            logger.error("policy %s had no pass scheduled; one begins now", entry.ref)
            self._agenda.plan(entry, Due(self._clock(), Cause.OVERLOOKED))

    def _stop(self, job: Job) -> tuple[Entry | None, Due | None]:
        """The entry whose job ended, and what was asked for meanwhile; None where the outcome means nothing now."""
        entry = self._entries[job.ref]
        entry.running = entry.running_targeted = False
        pending, entry.pending = entry.pending, None
        if not entry.forget:
            entry.taken_up = True
            return entry, pending
        # The job was about an object that is gone, even if another one has taken its name.
        entry.forget = False
        self._on_gone(entry.ref)
        if entry.gone:
            del self._entries[entry.ref]
        else:
            self._agenda.plan(entry, pending)
        return None, None

    def _begin(self, entry: Entry, seen: Seen, body: Body) -> None:
        entry.start_over(seen, self._interval(body, MIN_INTERVAL.delta))
        entry.restore = body if (body.get("status") or {}).get("lastPassTime") else None
        self._agenda.ask(entry, self._first_due(body))

    def _first_due(self, body: Body) -> Due:
        now = self._clock()
        try:
            policy = read_policy(body)
        except InvalidObject:
            # The pass says so in the policy's status.
            return Due(now, Cause.CREATED, fresh=True)
        asked, spread = (policy.generation, policy.requested_at), self._chance.random()
        return first_due(policy.status, policy.spec, *asked, now, spread, self._interval_override, self._lease)

    def _interval(self, body: Body, known: timedelta) -> timedelta:
        return self._interval_override or asked_interval(body, known)

    def _notice_change(self, entry: Entry, seen: Seen) -> None:
        served_generation, served_request = entry.served
        edited = seen.generation > max(entry.generation, served_generation)
        asked = seen.requested_at not in ("", entry.requested_at, served_request)
        entry.generation, entry.requested_at = max(seen.generation, entry.generation), seen.requested_at
        if edited or asked:
            self._agenda.ask(entry, Due(self._clock(), Cause.SPEC_CHANGED if edited else Cause.REQUESTED, fresh=True))

    def _remove(self, entry: Entry) -> None:
        entry.gone = True
        self._hints.forget(entry.ref)
        self._forget(entry)
        if not entry.running:
            del self._entries[entry.ref]

    def _forget(self, entry: Entry) -> None:
        if entry.running:
            entry.forget = True
        else:
            self._on_gone(entry.ref)
