"""A leader that is frozen at a request, and thaws after another has taken over and the world has changed.

SIGSTOP at any request of a pass that acts, two replicas on a real API server. A few points in `make test`, many with
`make chaos` (MFA_CHAOS_FREEZES). The seed is printed; MFA_CHAOS_SEED repeats it.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from mfa_operator.api.enums import RemediationAction
from mfa_sandbox.aws import EmbeddedAws, SandboxUser
from tests.controlplane import ControlPlane
from tests.faults.gates import LATE, AwsGate, Breakpoint, KubernetesGate, Replica
from tests.faults.report_history import ReportHistory, recording
from tests.fixtures.operator import Policies, StartOperator, eventually
from tests.fixtures.promises import moved_dates, repeated, write_problems

FREEZES = int(os.environ.get("MFA_CHAOS_FREEZES", "0"))
SEED = int(os.environ.get("MFA_CHAOS_SEED", str(time.time_ns() % 1_000_000)))
REMOVE, QUARANTINE = RemediationAction.REMOVE_CONSOLE_ACCESS, RemediationAction.QUARANTINE
ACCOUNTS = {REMOVE: "111122223333", QUARANTINE: "444455556666"}
WRITES = {"DeleteLoginProfile": REMOVE, "AttachUserPolicy": QUARANTINE}

AWS_FAULTS = (None, "throttling", "internal", "reset", "executed_answer_lost", "expired_token")
KUBERNETES_WRITES = ("PUT mfareports/status", "PUT mfapolicies/status", "POST events")
POINTS = {
    REMOVE: ("ListUsers", "GetUser", "GetLoginProfile", "ListMFADevices", "DeleteLoginProfile"),
    QUARANTINE: ("ListUsers", "GetUser", "ListMFADevices", "ListEntitiesForPolicy", "AttachUserPolicy"),
}
FEW = [
    (REMOVE, Breakpoint("DeleteLoginProfile", "throttling")),
    (QUARANTINE, Breakpoint("AttachUserPolicy", "reset")),
    (QUARANTINE, Breakpoint("PUT mfapolicies/status", LATE)),
]
"""A call of either action that is to be sent again, and what the pass found, on its way to the API server."""


def some_points(chance: random.Random) -> Iterator[tuple[RemediationAction, Breakpoint]]:
    yield from FEW
    for _ in range(FREEZES):
        action = chance.choice([REMOVE, QUARANTINE])
        if chance.random() < 0.6:
            yield action, Breakpoint(chance.choice(POINTS[action]), chance.choice(AWS_FAULTS))
        else:
            outcome = chance.choice([None, LATE, 429, 500, "reset", "answer lost"])
            yield action, Breakpoint(chance.choice(KUBERNETES_WRITES), outcome, chance.randrange(4))


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
            program=(sys.executable, "-m", "tests.faults.short_times"),
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
        leader, waiting = pair.start(), pair.start()
        eventually(lambda: leader.leads or waiting.leads, "one leads")
        if waiting.leads:
            leader, waiting = waiting, leader
        for number, (action, point) in enumerate(some_points(chance)):
            where = f"{action} at {point}"
            arrive = partial(accounts[action].user, f"user-{number}", password=True)
            broken = freeze_round(policies, action, point, arrive, leader, waiting)
            sys.stdout.write(f"{where}: {broken or 'held'}\n")
            problems += [f"{where}: {problem}" for problem in broken]
            leader, waiting = waiting, pair.start()
        for replica in (leader, waiting):
            replica.process.terminate()
    for action, history in histories.items():
        problems += broken_promises(history, action)
    assert problems == []


def freeze_round(
    policies: Policies,
    action: RemediationAction,
    point: Breakpoint,
    arrive: Callable[[], SandboxUser],
    leader: Replica,
    waiting: Replica,
) -> list[str]:
    """Freeze the leader at the point, let the other one act and the user enroll, thaw, and say what went wrong.

    `arrive` makes a user who is to be acted on.
    """
    leader.armed = point
    user = arrive()
    if not point.reached.wait(20):
        # The point comes only in another state of things; as good a moment as any.
        leader.armed = None
        os.kill(leader.process.process.pid, signal.SIGSTOP)
    eventually(lambda: waiting.leads, "the other takes over")
    if action is REMOVE:
        eventually(lambda: not user.has_password, "the new leader has removed the password")
        user.set_password()
    else:
        eventually(lambda: user.attached_policies, "the new leader has put the user under quarantine")
    user.add_mfa()
    eventually(lambda: not user.attached_policies, "no quarantine is left")
    wait_for_passes(waiting)
    before = policies.status(action.lower())["lastPassTime"]
    thawed = time.monotonic()
    point.thawed.set()
    os.kill(leader.process.process.pid, signal.SIGCONT)
    eventually(lambda: leader.process.process.poll() is not None, "the old leader ends")
    broken = [f"sent {change} after it thawed" for change in leader.changes_since(thawed)]
    if not user.has_password:
        broken.append("took a password that another user would miss: with MFA, and given after the takeover")
    if user.attached_policies:
        broken.append("put a user with MFA under quarantine")
    if policies.status(action.lower())["lastPassTime"] < before:
        broken.append("replaced a newer status")
    if "Traceback" in leader.process.log:
        broken.append("ended with a traceback")
    return broken


def broken_promises(history: ReportHistory, action: RemediationAction) -> list[str]:
    history.look()
    problems: list[str] = []
    removals = []
    for write in history.writes:
        if WRITES[write.call.operation] is not action:
            continue
        user = write.call.parameters["UserName"]
        until = history.until(write.version)
        problems += write_problems(until, user, write.call.time, action, timedelta(0))
        record = next((each.remediation for each in until[-1].findings if each.user == user), None)
        removals.append((user, record.profile_created if record else None))
    return [*problems, *repeated(removals), *moved_dates(history.all)]
