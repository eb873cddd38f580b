"""Ninety days of a made-up company, as samples of the operator's own metrics."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from prometheus_client.metrics_core import Metric

from mfa_operator import __version__
from mfa_operator.api.enums import AccountState, ErrorReason, RemediationAction
from mfa_operator.api.objects import PolicyRef
from mfa_operator.api.status import Counts
from mfa_operator.metrics.exporter import Metrics
from mfa_operator.metrics.families import Family
from mfa_operator.reporting.figures import AccountFigures, PolicyFigures, Serving

END = datetime(2026, 9, 30, 15, tzinfo=UTC)
BEGIN = END - timedelta(days=90)
DETAILED = END - timedelta(hours=27)
"""From here on there is a sample a minute, before that one every three hours, on the hour."""
COARSE, FINE = timedelta(hours=3), timedelta(minutes=1)
INTERVAL = timedelta(minutes=15)
FAILS_FROM = END - timedelta(hours=22)
"""From here on one account cannot be audited."""
EMPLOYEES, CONTRACTORS = PolicyRef("security", "employees"), PolicyRef("security", "contractors")


NAMES = {
    "111122223333": "payments-prod",
    "222233334444": "payments-staging",
    "333344445555": "agency",
    "444455556666": "sandbox",
}


VIOLATIONS = {
    "111122223333": (("alice", "NoMfa"), ("erin", "DeviceTypeNotAllowed")),
    "333344445555": (("mallory", "NoMfa"), ("niaj", "NoMfa")),
}


@dataclass(frozen=True)
class Company:
    """One account: its users, and how those without MFA become fewer."""

    policy: PolicyRef
    id: str
    console: int
    no_console: int
    violating: float
    """At the beginning; some third of it is left after two weeks."""
    hired: tuple[tuple[float, float, int], ...] = ()
    """From one day to another so many more violate."""
    overdue: float = 0.0
    """About as many are overdue at most, two weeks in."""
    late: int = 0
    """So many are overdue still a day before the end."""
    late_changes: tuple[tuple[float, int], ...] = ()
    """Hours before the end, and how many more are overdue from then on."""
    exempt: int = 0
    unknown: int = 0
    oldest_days: float = 3.0
    fails: bool = False


# As (first day, last day, count): the ninetieth day ends with the picture.
PROD_HIRED = ((34, 41, 9), (71, 76, 6), (87, 91, 3), (89.2, 89.6, 2), (89.5, 91, 1))
AGENCY_HIRED = ((60, 66, 6), (88, 91, 2), (89.4, 91, 1), (89.8, 91, 1))
LIFTED = (17.3, 11.0, 8.5, 1.6)
"""Hours before the end at which somebody under quarantine enrolled a device."""
AGENCY_LATE = (*((hours, -1) for hours in LIFTED), (14.4, 1), (5.6, 2))
ACCOUNTS = (
    Company(EMPLOYEES, "111122223333", 214, 61, 52, PROD_HIRED, 26, 1, exempt=2, oldest_days=9.2),
    Company(EMPLOYEES, "222233334444", 96, 18, 24, ((52, 57, 5), (87, 91, 1), (88, 89.75, 1)), 12, exempt=1, unknown=1),
    Company(EMPLOYEES, "444455556666", 41, 30, 9, ((85, 91, 1),), 5, oldest_days=4.9, fails=True),
    Company(CONTRACTORS, "333344445555", 58, 4, 20, AGENCY_HIRED, 15, 5, AGENCY_LATE, oldest_days=12.4),
)
# Hours before the end, result, how many.
REMEDIATIONS = (
    (20.5, "done", 2),
    (20.5, "refused_limit", 3),
    (20.2, "done", 2),
    (20.2, "refused_limit", 1),
    (19.95, "done", 1),
    (14.2, "failed", 1),
    (13.95, "done", 1),
    (5.4, "done", 2),
)
THROTTLED = ((16.0, 6), (15.7, 11), (15.5, 4), (9.2, 3), (2.6, 5))


@dataclass
class Story:
    """Plays the operator pass by pass on its own metrics."""

    metrics: Metrics = field(default_factory=lambda: Metrics(version=__version__, user_violation_info=True))
    standby: Metrics = field(default_factory=lambda: Metrics(version=__version__))
    chance: random.Random = field(default_factory=lambda: random.Random(90))  # noqa: S311 - the same picture each time

    def lines(self) -> Iterator[str]:
        """The samples of both replicas in OpenMetrics, family by family as the format wants it."""
        self.metrics.set_leader(True)
        families: dict[str, list[str]] = {}
        at, before = BEGIN, BEGIN - COARSE
        while at <= END:
            self._until(before, at)
            for replica, metrics in (("mfa-operator-0", self.metrics), ("mfa-operator-1", self.standby)):
                for metric in (*metrics.collect(), *self._process(replica, at)):
                    for sample in metric.samples:
                        labels = {**sample.labels, "instance": replica}
                        pairs = ",".join(f'{name}="{value}"' for name, value in labels.items())
                        line = f"{sample.name}{{{pairs}}} {float(sample.value)} {at.timestamp():.0f}"
                        families.setdefault(metric.name, []).append(line)
            for metric in self._recorded(at):
                for sample in metric.samples:
                    pairs = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
                    line = f"{sample.name}{{{pairs}}} {float(sample.value)} {at.timestamp():.0f}"
                    families.setdefault(metric.name, []).append(line)
            before, at = at, at + (COARSE if at < DETAILED else FINE)
        for lines in families.values():
            yield from lines
        yield "# EOF"

    def _recorded(self, at: datetime) -> Iterator[Metric]:
        """What the recording rules make of it: every account has one policy here."""
        samples = [sample for metric in self.metrics.collect() for sample in metric.samples]
        states: Counter[str] = Counter(violating=0, overdue=0, unknown=0)
        for sample in samples:
            if sample.name == "mfa_policy_users":
                states[sample.labels["state"]] += int(sample.value)
        namespace = EMPLOYEES.namespace
        users = [((namespace, state), float(count)) for state, count in states.items()]
        yield Family("namespace_state:mfa_policy_users:sum", "", ("policy_namespace", "state"), users).to_metric()
        ages = [
            ((namespace, sample.labels["policy"]), (at.timestamp() - sample.value) / INTERVAL.total_seconds())
            for sample in samples
            if sample.name == "mfa_policy_last_pass_timestamp_seconds"
        ]
        yield Family("policy:mfa_policy_pass_age:ratio", "", ("policy_namespace", "policy"), ages).to_metric()

    def _process(self, replica: str, at: datetime) -> Iterator[Metric]:
        """A leader that has something to do, and one that waits."""
        busy = replica.endswith("0")
        seconds = (at - BEGIN).total_seconds()
        wave = math.sin(seconds / 5000) + 0.4 * math.sin(seconds / 1300)
        yield Family("process_cpu_seconds_total", "", (), [((), seconds * (0.021 if busy else 0.004))]).to_metric()
        yield Family(
            "process_resident_memory_bytes", "", (), [((), 1e6 * (118 + 4 * wave if busy else 92))]
        ).to_metric()
        collections = [((str(generation),), seconds * rate) for generation, rate in enumerate((0.05, 0.004, 0.0004))]
        yield Family("python_gc_collections_total", "", ("generation",), collections).to_metric()
        yield Family("python_info", "", ("implementation", "version"), [(("CPython", "3.11.9"), 1)]).to_metric()

    def _until(self, before: datetime, now: datetime) -> None:
        """Let happen what happens after `before`, up to now."""
        for policy, offset in ((EMPLOYEES, 0), (CONTRACTORS, 420)):
            last_pass = _begun(now, INTERVAL.total_seconds(), offset)
            accounts = {each.id: self._account(each, last_pass) for each in ACCOUNTS if each.policy == policy}
            expiry = END + timedelta(days=23.5 if policy == EMPLOYEES else 5.8)
            self.metrics.set_serving(policy, Serving(ready=True, suspended=False))
            self.metrics.set_policy(policy, PolicyFigures(INTERVAL, last_pass, expiry, accounts))
            if before < last_pass <= now:
                slow = 2.6 if self._throttled(before, now) else 1.0
                usual = 4.5 if policy == EMPLOYEES else 1.4
                self.metrics.observe_pass(policy, slow * usual * self.chance.uniform(0.7, 1.4))
        last_pass = _begun(now, INTERVAL.total_seconds(), 0)
        if before < last_pass <= now:
            for account in ACCOUNTS:
                self._calls(account, last_pass)
        for _ in range(self._throttled(before, now)):
            self.metrics.count_aws_request("iam", "GetLoginProfile", "Throttling")
        for hours, result, count in REMEDIATIONS:
            if before < END - timedelta(hours=hours) <= now:
                for _ in range(count):
                    self.metrics.count_remediation(CONTRACTORS, "333344445555", RemediationAction.QUARANTINE, result)

    def _throttled(self, before: datetime, now: datetime) -> int:
        return sum(count for hours, count in THROTTLED if before < END - timedelta(hours=hours) <= now)

    def _calls(self, account: Company, now: datetime) -> None:
        if account.fails and now >= FAILS_FROM:
            # A failing account is asked less and less often, at last once an hour.
            if now < FAILS_FROM + timedelta(hours=1) or now.minute == 0:
                self.metrics.count_error(account.policy, account.id, ErrorReason.ASSUME_ROLE)
                self.metrics.count_aws_request("sts", "AssumeRole", "AccessDenied")
            return
        if now.minute == 0:
            self.metrics.count_aws_request("sts", "AssumeRole", "200")
        for operation in ("GenerateCredentialReport", "GetCredentialReport", "ListUsers", "ListVirtualMFADevices"):
            self.metrics.count_aws_request("iam", operation, "200")
        for operation in ("GetLoginProfile", "ListMFADevices"):
            for _ in range(self.chance.randint(1, 4)):
                self.metrics.count_aws_request("iam", operation, "200")

    def _account(self, account: Company, now: datetime) -> AccountFigures:
        failing = account.fails and now >= FAILS_FROM
        seen = FAILS_FROM - INTERVAL if failing else now
        days = (seen - BEGIN) / timedelta(days=1)
        extra = sum(count for first, last, count in account.hired if first <= days < last)
        violating = round(account.violating * math.exp(-days / 14)) + extra
        begun = [count for hours, count in account.late_changes if END - timedelta(hours=hours) <= seen]
        late = account.late + sum(begun)
        overdue = max(late if days > 14 else 0, round(2 * account.overdue * _late(days)))
        counts = Counts(
            users=account.console + account.no_console,
            compliant=account.console - violating - overdue - account.exempt - account.unknown,
            violating=violating,
            overdue=overdue,
            exempt=account.exempt,
            unknown=account.unknown,
            quarantined=self._quarantined(seen) if account.policy == CONTRACTORS else 0,
        )
        # AWS makes one every four hours at most; each account at another time.
        offset = int(account.id) % 7 * 2000
        report = _begun(seen, 14400, offset)
        return AccountFigures(
            name=NAMES[account.id],
            state=AccountState.FAILED if failing else AccountState.AUDITED,
            counts=counts,
            last_success=seen,
            credential_report_time=report,
            oldest_violation=END - timedelta(days=account.oldest_days),
            violations=VIOLATIONS.get(account.id, ()),
        )

    def _quarantined(self, now: datetime) -> int:
        done = sum(
            count for hours, result, count in REMEDIATIONS if result == "done" and END - timedelta(hours=hours) <= now
        )
        lifted = sum(END - timedelta(hours=hours) <= now for hours in LIFTED)
        return max(done - lifted, 0)


def _late(days: float) -> float:
    return math.exp(-days / 16) * (1 - math.exp(-max(days - 7, 0) / 7))


def _begun(now: datetime, seconds: float, offset: float) -> datetime:
    """When what comes again every so many seconds came last."""
    return datetime.fromtimestamp((now.timestamp() - offset) // seconds * seconds + offset, UTC)
