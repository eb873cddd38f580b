"""Audits of the embedded AWS over HTTP with real boto3, under a clock that the test moves for both sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import boto3
import botocore.loaders
import pytest
from botocore.config import Config

from mfa_operator.api.conversion import from_dict
from mfa_operator.api.enums import FindingReason, UserState
from mfa_operator.api.policy import PolicySpec
from mfa_operator.api.status import Finding, ReportStatus
from mfa_operator.aws.clients import CLIENT_CONFIG
from mfa_operator.aws.environment import botocore_session
from mfa_operator.aws.errors import AwsFailure
from mfa_operator.aws.sessions import Sessions
from mfa_operator.passes.auditor import Audit, Auditor
from mfa_sandbox.aws import Account, EmbeddedAws
from mfa_sandbox.aws.credential_report import Row
from tests.fixtures.remediation_harness import HastyTime, without_pauses
from tests.unit.fake_iam import Clock

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
QUARTER = 15 * MINUTE
"""From one pass to the next."""
ID = "111122223333"
BULK = Counter(ListUsers=1, ListVirtualMFADevices=1, GetCredentialReport=1)
"""The calls of a pass that the lists and the report settle."""
FIRST = BULK + Counter(AssumeRole=1, GenerateCredentialReport=1)
"""The same for the first pass into an account that has a report."""
READING = ("Get", "List", "Generate", "Assume")
"""How the operations begin that an audit may call."""

_LOADER = botocore.loaders.create_loader()


class Auditing:
    """The operator's way of auditing, pass after pass; it keeps each account's last report as the cluster would."""

    def __init__(self, aws: EmbeddedAws, clock: Clock, config: Config = CLIENT_CONFIG) -> None:
        self.aws = aws
        self.clock = clock
        core = botocore_session()
        core.register_component("data_loader", _LOADER)
        credentials: dict[str, Any] = aws.world.operator_credentials.client_arguments()
        session = boto3.Session(botocore_session=core, region_name=aws.region, **credentials)
        self.counted: Counter[tuple[str, str, str]] = Counter()
        self.sessions = Sessions(session=session, config=config, count_request=self._count, fast_reads=True)
        self.auditor = Auditor(self.sessions)
        self.reports: dict[str, ReportStatus] = {}
        self.hasty: HastyTime

    def _count(self, service: str, operation: str, code: str) -> None:
        self.counted[service, operation, code] += 1

    def policy(self, account: Account, *, external_id: str | None = None, **fields: Any) -> PolicySpec:
        entry = {"id": account.id, "roleArn": account.role_arn} | ({"externalId": external_id} if external_id else {})
        return from_dict(PolicySpec, {"accounts": [entry], **fields}, at="spec")

    def audit(self, account: Account, *, fresh: bool = False, policy: PolicySpec | None = None, **fields: Any) -> Audit:
        """One pass over an account now; `fields` are the spec's. Raises AwsFailure."""
        policy = policy or self.policy(account, **fields)
        self.aws.calls.clear()
        audit = self.auditor.audit(
            policy, policy.accounts[0], self.reports.get(account.id), self.clock.utc_now(), fresh=fresh
        )
        self.reports[account.id] = audit.report
        return audit

    def later(self, account: Account, by: timedelta = QUARTER, **rest: Any) -> Audit:
        """The next pass."""
        self.clock.advance(by)
        return self.audit(account, **rest)

    def restart(self) -> None:
        """A new process, as far as it remembers anything; reports and connections stay."""
        self.auditor = Auditor(self.sessions)

    def fails(self, account: Account, **rest: Any) -> AwsFailure:
        """The next pass, which must fail as a whole."""
        self.clock.advance(QUARTER)
        with pytest.raises(AwsFailure) as failed:
            self.audit(account, **rest)
        return failed.value

    @property
    def calls(self) -> Counter[str]:
        """What the last pass asked, as counted at AWS's end."""
        asked = self.aws.calls.operations()
        assert all(operation.startswith(READING) for operation in asked), "an audit never changes anything"
        return asked

    def asked_about(self, user: str) -> list[str]:
        """The operations that the last pass asked about one user, in order."""
        return [call.operation for call in self.aws.calls if call.parameters.get("UserName") == user]


@contextmanager
def auditing(aws: EmbeddedAws, **options: Any) -> Iterator[Auditing]:
    """An operator on the embedded AWS."""
    clock = Clock()
    with without_pauses(aws, clock) as hasty:
        made = Auditing(aws, clock, **options)
        made.hasty = hasty
        try:
            yield made
        finally:
            made.sessions.close()


def states(audit: Audit) -> dict[str, UserState]:
    return {verdict.user: verdict.state for verdict in audit.verdicts}


def finding(audit: Audit, user: str) -> Finding:
    [found] = [one for one in audit.report.findings if one.user == user]
    return found


def unknown(audit: Audit) -> Mapping[str, FindingReason | None]:
    """The users that could not be checked, and why."""
    return {one.user: one.reason for one in audit.verdicts if one.state is UserState.UNKNOWN}


def rewritten(user: str, **cells: str) -> Any:
    """What changes cells of one user's row in the reports made from then on."""

    def rewrite(rows: list[Row]) -> list[Row]:
        return [row | cells if row["user"] == user else row for row in rows]

    return rewrite
