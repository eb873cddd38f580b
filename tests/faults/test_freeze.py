"""A leader that is frozen at a request, and thaws after another has taken over and the world has changed.

SIGSTOP at any request of a pass that acts, two replicas on a real API server. A few points in `make test`, many with
`make chaos` (MFA_CHAOS_FREEZES). The seed is printed; MFA_CHAOS_SEED repeats it, and MFA_CHAOS_POINTS=CreatePolicy,…
keeps to some requests to AWS.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mfa_operator.api.enums import RemediationAction
from mfa_sandbox.aws import Account, EmbeddedAws, SandboxUser
from tests.controlplane import ControlPlane
from tests.faults.gates import LATE, AwsGate, Breakpoint, KubernetesGate, Replica
from tests.faults.report_history import ReportHistory, recording
from tests.faults.short_times import LEASE
from tests.fixtures.operator import LEASE_PATH, SHORT_TIMES, Policies, StartOperator, eventually
from tests.fixtures.promises import finding_on, moved_dates, repeated, write_problems

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

FREEZES = int(os.environ.get("MFA_CHAOS_FREEZES", "0"))
ONLY = frozenset(filter(None, os.environ.get("MFA_CHAOS_POINTS", "").split(",")))
SEED = int(os.environ.get("MFA_CHAOS_SEED", str(time.time_ns() % 1_000_000)))
REMOVE, QUARANTINE = RemediationAction.REMOVE_CONSOLE_ACCESS, RemediationAction.QUARANTINE
ACCOUNTS = {REMOVE: "111122223333", QUARANTINE: "444455556666"}
WRITES = {"DeleteLoginProfile": REMOVE, "AttachUserPolicy": QUARANTINE}

AWS_FAULTS = (None, "throttling", "internal", "reset", "executed_answer_lost", "expired_token")
KUBERNETES_WRITES = ("PUT mfareports/status", "PUT mfapolicies/status", "POST events")
BOTH = ("AssumeRole", "GenerateCredentialReport", "ListUsers", "GetUser", "ListMFADevices")
POINTS = {
    REMOVE: (*BOTH, "GetLoginProfile", "DeleteLoginProfile"),
    QUARANTINE: (
        *BOTH,
        "ListEntitiesForPolicy",
        "CreatePolicy",
        "CreatePolicyVersion",
        "AttachUserPolicy",
        "DetachUserPolicy",
    ),
}
UNDER_QUARANTINE = ("CreatePolicyVersion", "DetachUserPolicy")
"""Requests about a user who is under quarantine already."""
FEW = [
    (REMOVE, Breakpoint("DeleteLoginProfile", "throttling")),
    (QUARANTINE, Breakpoint("AttachUserPolicy", "reset")),
    (QUARANTINE, Breakpoint("DetachUserPolicy", "internal")),
    (QUARANTINE, Breakpoint("PUT mfapolicies/status", LATE)),
]
"""Calls of either action that are to be sent again, and what the pass found, on its way to the API server."""
ANYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def some_points(chance: random.Random) -> Iterator[tuple[RemediationAction, Breakpoint]]:
    if not ONLY:
        yield from FEW
    requests = [(action, name) for action, names in POINTS.items() for name in names if not ONLY or name in ONLY]
    chance.shuffle(requests)
    # Each request to AWS comes before any comes again.
    in_turn = itertools.cycle(requests)
    for _ in range(FREEZES):
        if ONLY or chance.random() < 0.6:
            action, name = next(in_turn)
            yield action, Breakpoint(name, chance.choice(AWS_FAULTS))
        else:
            outcome = chance.choice([None, LATE, 429, 500, "reset", "answer lost"])
            name = chance.choice(KUBERNETES_WRITES)
            yield chance.choice([REMOVE, QUARANTINE]), Breakpoint(name, outcome, chance.randrange(4))


@dataclass
class Pair:
    """A leader and a replica that waits; whoever ends is replaced."""

    control_plane: ControlPlane
    aws: EmbeddedAws
    launch: StartOperator
    service_account: Path
    directory: Path
    stack: ExitStack
    flags: tuple[str, ...] = ()
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def start(self) -> Replica:
        replica = Replica()
        kube = self.stack.enter_context(KubernetesGate(self.control_plane.url, self.control_plane.ca_path, replica))
        iam = self.stack.enter_context(AwsGate(self.aws, replica))
        kubeconfig = kube.kubeconfig(self.service_account, self.directory / f"kubeconfig-{next(self._numbers)}")
        replica.operator = self.launch(
            *self.flags,
            kubeconfig=kubeconfig,
            environment={"AWS_ENDPOINT_URL": iam.url},
            program=SHORT_TIMES,
        )
        return replica


def passes(replica: Replica) -> int:
    """How many accounts it has listed so far."""
    return sum(sent.name == "ListUsers" for sent in replica.sent)


def wait_for_passes(replica: Replica) -> None:
    """Until whatever is known now has gone through a whole pass over both policies."""
    before = passes(replica)
    eventually(lambda: passes(replica) >= before + 6, "more passes")


@pytest.mark.timeout(120 + 25 * (FREEZES + len(FEW)))
def test_a_frozen_leader_changes_nothing_after_it_thaws(
    control_plane: ControlPlane,
    aws: EmbeddedAws,
    start_operator: StartOperator,
    service_account: Path,
    policies: Policies,
    free_lease: Callable[[], object],
    tmp_path: Path,
) -> None:
    sys.stdout.write(f"MFA_CHAOS_SEED={SEED}\n")  # pytest shows it where the test failed
    chance = random.Random(SEED)
    accounts = {action: aws.world.account(number) for action, number in ACCOUNTS.items()}
    for account in accounts.values():
        for number in range(3):
            account.user(f"safe-{number}", password=True, mfa=["virtual"])
    config = tmp_path / "access.yaml"
    config.write_text("access: [{remediation: RemoveConsoleAccess}]")
    free_lease()
    problems: list[str] = []
    with ExitStack() as stack:
        histories = {
            action: stack.enter_context(
                recording(control_plane, aws, policies.namespace, f"{action.lower()}-{account.id}")
            )
            for action, account in accounts.items()
        }
        for action, account in accounts.items():
            policies.apply(
                action.lower(),
                accounts=[{"id": account.id, "roleArn": account.role_arn}],
                gracePeriod="0s",
                remediation={"action": action.value, "dryRun": False, "maxPerPass": 50, "maxPercent": 100},
            )
        pair = Pair(control_plane, aws, start_operator, service_account, tmp_path, stack)
        pair.flags = (f"--config={config}", "--interval-override=300ms")
        leader = pair.start()
        eventually(lambda: leader.leads, "the first leads")
        assert policies.kubectl.read(LEASE_PATH)["spec"]["leaseDurationSeconds"] == LEASE.seconds
        for number, (action, point) in enumerate(some_points(chance)):
            where = f"{action} at {point}"
            story = Round(aws, accounts[action], policies, action, point, f"user-{number}")
            waiting = pair.start()
            started = time.monotonic()
            broken = story.play(leader, waiting)
            reached = "" if point.reached.is_set() else " (frozen elsewhere)"
            sys.stdout.write(f"{where}{reached}: {broken or 'held'}, {time.monotonic() - started:.0f} s\n")
            problems += [f"{where}: {problem}" for problem in broken]
            leader = waiting
        leader.process.terminate()
    for action, history in histories.items():
        problems += broken_promises(history, action)
    assert problems == []


@dataclass
class Round:
    """One freeze: the leader is led to the point, the other one acts, the world changes, the old leader thaws."""

    aws: EmbeddedAws
    account: Account
    policies: Policies
    action: RemediationAction
    point: Breakpoint
    name: str

    def play(self, leader: Replica, waiting: Replica) -> list[str]:
        """Say what went wrong."""
        user = self._lead_to_the_point(leader)
        if not self.point.reached.wait(20):
            # The point comes only in another state of things; as good a moment as any.
            leader.armed = None
            os.kill(leader.process.process.pid, signal.SIGSTOP)
        eventually(lambda: waiting.leads, "the other takes over")
        self._change_the_world(user, waiting)
        wait_for_passes(waiting)
        before, versions = self._last_pass(), self._policy_versions()
        thawed = time.monotonic()
        self.point.thawed.set()
        os.kill(leader.process.process.pid, signal.SIGCONT)
        eventually(lambda: leader.process.process.poll() is not None, "the old leader ends")
        broken = [f"sent {change} after it thawed" for change in leader.changes_since(thawed)]
        if not user.has_password:
            broken.append("took a password that another user would miss: with MFA, and given after the takeover")
        if user.mfa_serials and user.attached_policies:
            broken.append("put a user with MFA under quarantine")
        if not user.mfa_serials and not user.attached_policies:
            broken.append("lifted the quarantine of a user without MFA")
        if self._policy_versions() != versions:
            broken.append("changed the policy of the quarantine once more")
        if self._last_pass() < before:
            broken.append("replaced a newer status")
        if "Traceback" in leader.process.log:
            broken.append("ended with a traceback")
        if not user.mfa_serials:
            user.add_mfa()
            eventually(lambda: not user.attached_policies, "no quarantine is left")
        return broken

    def _lead_to_the_point(self, leader: Replica) -> SandboxUser:
        """Arm the point, and bring about what makes the leader send that request; gives the user it is about."""
        if self.point.name == "CreatePolicy":
            self._delete_quarantine_policies()
        if self.point.name not in UNDER_QUARANTINE:
            leader.armed = self.point
            if self.point.name == "AssumeRole":
                self.account.expire_credentials()
            elif self.point.name == "GenerateCredentialReport":
                self.aws.faults.add("GetCredentialReport", "report_expired", account=self.account.id, times=1)
            return self.account.user(self.name, password=True)
        user = self.account.user(self.name, password=True)
        eventually(lambda: user.attached_policies, "the user is under quarantine")
        leader.armed = self.point
        if self.point.name == "CreatePolicyVersion":
            self._edit_quarantine_policy(user)
        else:
            user.add_mfa()
        return user

    def _change_the_world(self, user: SandboxUser, leads_now: Replica) -> None:
        """After the takeover: so that what the old leader had in mind would be wrong."""
        if self.point.name == "DetachUserPolicy":
            eventually(lambda: not user.attached_policies, "the new leader has lifted the quarantine")
            # The old leader may have lifted it: the new one must have seen the device, or the violation just goes on.
            wait_for_passes(leads_now)
            user.remove_mfa()
            eventually(lambda: user.attached_policies, "the new leader has put the user under quarantine again")
            return
        if self.action is REMOVE:
            eventually(lambda: not user.has_password, "the new leader has removed the password")
            user.set_password()
        else:
            eventually(lambda: user.attached_policies, "the new leader has put the user under quarantine")
        if self.point.name == "CreatePolicyVersion":
            eventually(lambda: not self._edited(user), "the new leader has repaired the policy")
        user.add_mfa()
        eventually(lambda: not user.attached_policies, "no quarantine is left")

    def _last_pass(self) -> str:
        return str(self.policies.status(self.action.lower())["lastPassTime"])

    def _policy_versions(self) -> list[str]:
        with self._admin() as iam:
            return [
                f"{policy['Arn']} {version['VersionId']}"
                for policy in iam.list_policies(Scope="Local")["Policies"]
                for version in iam.list_policy_versions(PolicyArn=policy["Arn"])["Versions"]
            ]

    def _edit_quarantine_policy(self, user: SandboxUser) -> None:
        [arn] = user.attached_policies
        with self._admin() as iam:
            versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
            for version in versions:
                if not version["IsDefaultVersion"]:
                    iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])
            iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(ANYTHING), SetAsDefault=True)

    def _edited(self, user: SandboxUser) -> bool:
        [arn] = user.attached_policies
        with self._admin() as iam:
            version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
            document = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
        return document == ANYTHING

    def _delete_quarantine_policies(self) -> None:
        with self._admin() as iam:
            for policy in iam.list_policies(Scope="Local")["Policies"]:
                for version in iam.list_policy_versions(PolicyArn=policy["Arn"])["Versions"]:
                    if not version["IsDefaultVersion"]:
                        iam.delete_policy_version(PolicyArn=policy["Arn"], VersionId=version["VersionId"])
                iam.delete_policy(PolicyArn=policy["Arn"])

    @contextmanager
    def _admin(self) -> Iterator[IAMClient]:
        """IAM as an administrator of the account, past the gates."""
        with closing(self.aws.iam(self.account.admin_credentials)) as iam:
            yield iam


def broken_promises(history: ReportHistory, action: RemediationAction) -> list[str]:
    history.read()
    problems: list[str] = []
    acts = []
    for write in history.writes:
        if WRITES[write.call.operation] is not action:
            continue
        user = write.call.parameters["UserName"]
        until = history.until(write.version)
        problems += write_problems(until, user, write.call.time, action, timedelta(0))
        finding = finding_on(until[-1], user)
        record = finding.remediation if finding else None
        if action is REMOVE:
            acts.append((user, record.profile_created if record else None))
        else:
            # Who loses the device again comes under quarantine again: a violation of its own.
            acts.append((user, finding.first_seen if finding else None))
    return [*problems, *repeated(acts), *moved_dates(history.all)]
