"""One cause is one alert: whole policies, and everything that fires because of what happens to them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.chart.alert_cases import CLUSTER, Labels
from tests.chart.promtool_cases import Scenario, expect

OTHER_CLUSTER = {"cluster": "us-1"}


class World:
    """A scenario with whole policies in it: every series that the alerts of an audit go by."""

    def __init__(self, name: str, length: int) -> None:
        self.scenario, self.length = Scenario(name, ""), length
        for cluster in (CLUSTER, OTHER_CLUSTER):
            self.scenario.series("mfa_operator_leader", {**cluster, "pod": "a"}, [1] * length)

    def policy(
        self,
        name: str,
        accounts: Sequence[str],
        *,
        failing: Sequence[str] = (),
        ready: bool | None = None,
        suspended: bool = False,
        cluster: Labels = CLUSTER,
    ) -> World:
        """One policy every 15 minutes; the accounts that fail, and all of a suspended one, were audited at minute 0."""
        policy = {**cluster, "policy_namespace": "security", "policy": name, "pod": "a"}
        is_ready = ready if ready is not None else not suspended and set(failing) != set(accounts)
        for metric, value in (
            ("mfa_policy_ready", int(is_ready)),
            ("mfa_policy_suspended", int(suspended)),
            ("mfa_policy_interval_seconds", 900),
        ):
            self.scenario.series(metric, policy, [value] * self.length)
        for account_id in accounts:
            labels = {**policy, "account_id": account_id}
            still = account_id in failing or not is_ready
            times: list[float | str | None] = [0 if still else minute * 60 for minute in range(self.length)]
            self.scenario.series("mfa_policy_account_up", labels, [int(account_id not in failing)] * self.length)
            for metric in ("last_success", "credential_report"):
                self.scenario.series(f"mfa_policy_{metric}_timestamp_seconds", labels, times)
            for state in ("violating", "overdue", "unknown"):
                self.scenario.series("mfa_policy_users", {**labels, "state": state}, [0] * self.length)
        return self


def ids(count: int, begin: int = 0) -> list[str]:
    return [f"{number:012}" for number in range(begin, begin + count)]


def many(cluster: Labels = CLUSTER) -> Labels:
    return {**cluster, "alertname": "MfaManyAccountsFailing", "severity": "critical"}


def unreachable(account_id: str, cluster: Labels = CLUSTER) -> Labels:
    names = {"alertname": "MfaAccountUnreachable", "severity": "warning", "policy_namespace": "security"}
    return {**cluster, **names, "account_id": account_id}


def not_served(policy: str) -> Labels:
    names = {"alertname": "MfaPolicyNotServed", "severity": "warning", "policy_namespace": "security"}
    return {**CLUSTER, **names, "policy": policy}


class TestOneCauseIsOneAlert:
    def test_a_failing_account(self, promtool: Path, tmp_path: Path) -> None:
        """However long it lasts, and however many policies of the namespace name the account."""
        one = World("one", 700).policy("a", ids(10), failing=ids(1)).policy("b", ids(5), failing=ids(1))
        expect(promtool, tmp_path, one.scenario.only([29]).only([45, 120, 690], unreachable(ids(1)[0])))

    def test_the_only_account_of_a_policy(self, promtool: Path, tmp_path: Path) -> None:
        one = World("one", 700).policy("a", ids(1), failing=ids(1)).policy("b", ids(5, 1))
        expect(promtool, tmp_path, one.scenario.only([14]).only([20, 120, 690], not_served("a")))

    def test_a_broken_role_of_the_operator(self, promtool: Path, tmp_path: Path) -> None:
        """300 accounts of 30 policies: one alert, from the first minute on."""
        storm = World("storm", 200)
        for number in range(30):
            accounts = ids(10, number * 10)
            storm.policy(f"p{number}", accounts, failing=accounts)
        expect(promtool, tmp_path, storm.scenario.only([9]).only([12, 45, 199], many()))

    def test_many_of_many_and_few_of_few(self, promtool: Path, tmp_path: Path) -> None:
        """Two failing accounts of four are two alerts; twenty of three hundred are one."""
        few = World("few", 60).policy("a", ids(4), failing=ids(2))
        few.scenario.only([50], *map(unreachable, ids(2)))
        most = World("twenty", 60).policy("a", ids(300), failing=ids(20))
        most.scenario.only([50], many())
        expect(promtool, tmp_path, few.scenario, most.scenario)

    def test_policies_that_overlap_count_an_account_once(self, promtool: Path, tmp_path: Path) -> None:
        """Two failing accounts of three policies are two, not six; one that a policy audits is up."""
        two = World("two", 60)
        for name in "abc":
            two.policy(name, ids(4), failing=ids(2))
        two.scenario.only([50], *map(unreachable, ids(2)))
        roles = World("roles", 60).policy("a", ids(4), failing=ids(3)).policy("b", ids(4))
        roles.scenario.only([50], *map(unreachable, ids(3)))
        expect(promtool, tmp_path, two.scenario, roles.scenario)

    def test_a_storm_in_one_cluster_silences_no_other(self, promtool: Path, tmp_path: Path) -> None:
        both = World("both", 60).policy("a", ids(10), failing=ids(10))
        both.policy("a", ids(10), failing=ids(1), cluster=OTHER_CLUSTER)
        expect(promtool, tmp_path, both.scenario.only([50], many(), unreachable(ids(1)[0], OTHER_CLUSTER)))

    def test_a_policy_that_is_invalid_now(self, promtool: Path, tmp_path: Path) -> None:
        """What its last good pass showed gets older; one alert says why."""
        one = World("invalid", 700).policy("a", ids(3), ready=False).policy("b", ids(4, 3))
        expect(promtool, tmp_path, one.scenario.only([14]).only([20, 120, 690], not_served("a")))

    def test_suspending_a_policy_pages_nobody(self, promtool: Path, tmp_path: Path) -> None:
        """Neither for its accounts that failed before, nor for what gets old; after a day an info says so."""
        asleep = World("asleep", 1500).policy("a", ids(3), failing=ids(3), suspended=True).policy("b", ids(4, 3))
        names = {"alertname": "MfaPolicySuspended", "severity": "info", "policy_namespace": "security", "policy": "a"}
        asleep.scenario.only(range(0, 1440, 45)).only([1445], {**CLUSTER, **names})
        expect(promtool, tmp_path, asleep.scenario)
