"""How many requests a pass makes: bounded by pages and by what changed, whatever the number of accounts."""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

from mfa_operator.api.objects import Policy, PolicyRef
from mfa_operator.aws.errors import Denied
from mfa_operator.kube.cluster import Cluster
from mfa_operator.kube.reader import REPORTS_PER_PAGE
from mfa_operator.metrics.exporter import Metrics
from mfa_operator.organization.account_list import AccountList
from mfa_operator.passes.auditor import Audit
from mfa_operator.passes.reconciler import Reconciler
from mfa_operator.passes.tools import Tools
from mfa_operator.reporting.account_report import account_report
from mfa_operator.scheduling.due import Cause
from mfa_sandbox.kubernetes import EmbeddedKubernetes
from tests.unit.facts import snapshot

ACCOUNTS = 120
REF = PolicyRef("default", "console-mfa")


class CannedDiscoverer:
    """The spec names every account."""

    def accounts(self, policy: Policy, *_: Any, **__: Any) -> AccountList:
        return AccountList.of(policy.spec)

    def restore(self, *_: Any) -> None: ...


class CannedAuditor:
    """Finds nothing in any account, and is refused by some: what AWS says does not matter here."""

    def __init__(self, denied: int) -> None:
        self.denied = {f"{number:012}" for number in range(denied)}

    def audit(self, _spec: Any, account: Any, _previous: Any, now: Any, **_: Any) -> Audit:
        if account.id in self.denied:
            raise Denied("ListUsers", "AccessDenied", "refused")
        world = snapshot()
        return Audit(world, (), account_report(account, world, (), now), ())

    def held_back(self, account_id: str) -> bool:  # noqa: ARG002 - the auditor's
        return False

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


def requests(kube: EmbeddedKubernetes) -> Counter[str]:
    found = Counter(
        f"{one.call.verb} {one.call.plural}{'/' * bool(one.call.subresource)}{one.call.subresource}"
        for one in kube.requests
    )
    kube.requests.clear()
    return found


def reconciler(cluster: Cluster, denied: int = 0) -> Reconciler:
    """A new process."""
    tools = Tools(cluster=cluster, auditor=cast("Any", CannedAuditor(denied)), metrics=Metrics(version="test"))
    return Reconciler(tools, discoverer=cast("Any", CannedDiscoverer()))


def test_a_pass_asks_by_pages_and_writes_what_changed(kube: EmbeddedKubernetes, cluster: Cluster) -> None:
    kube.apply(
        {
            "apiVersion": "mfa-operator.io/v1alpha1",
            "kind": "MfaPolicy",
            "metadata": {"name": REF.name, "namespace": REF.namespace},
            "spec": {"accounts": [{"id": f"{number:012}"} for number in range(ACCOUNTS)]},
        }
    )
    first = reconciler(cluster, denied=3)
    kube.requests.clear()
    first.run_pass(REF, fresh=True, cause=Cause.CREATED)
    made = requests(kube)
    # On a slow machine it is read once more every ten seconds, before a report is created.
    assert 1 <= made.pop("get mfapolicies") <= 10
    # Two for each account.
    assert made == {
        "list mfareports": 1,
        "create mfareports": ACCOUNTS,
        "update mfareports/status": ACCOUNTS,
        "update mfapolicies/status": 2,
        "create events": 3,
    }
    pages = -(-ACCOUNTS // REPORTS_PER_PAGE)
    steady = {"get mfapolicies": 1, "list mfareports": pages, "update mfapolicies/status": 1}
    first.run_pass(REF, fresh=False, cause=Cause.INTERVAL)
    assert requests(kube) == steady
    # A restart: the pass takes up what is there by the same list, and a denied account is no news.
    restarted = reconciler(cluster, denied=3)
    restarted.run_pass(REF, fresh=False, cause=Cause.RESTART)
    assert requests(kube) == steady
    recovered = reconciler(cluster)
    recovered.run_pass(REF, fresh=False, cause=Cause.RESTART)
    assert requests(kube) == steady | {"update mfareports/status": 3, "create events": 3}
