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
        totals: bool = False,
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
        counted = {"audited": len(accounts) - len(failing), "failed": len(failing)}
        for state, count in counted.items():
            self.scenario.series("mfa_policy_accounts", {**policy, "state": state}, [count] * self.length)
        if totals:
            # As metrics.totals has it.
            failing = [f"security/{name}"] if failing else []
            accounts = [f"security/{name}"]
        for account_id in accounts:
            labels = {**policy, "account_id": account_id}
            # Of totals, times are those of the accounts that do not fail.
            still = (account_id in failing and not totals) or not is_ready
            times: list[float | str | None] = [0 if still else minute * 60 for minute in range(self.length)]
            self.scenario.series("mfa_policy_account_up", labels, [int(account_id not in failing)] * self.length)
            for metric in ("last_success", "credential_report"):
                self.scenario.series(f"mfa_policy_{metric}_timestamp_seconds", labels, times)
            self.scenario.series("mfa_policy_users", {**labels, "state": "compliant"}, [3] * self.length)
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
        expect(
            promtool, tmp_path, one.scenario.only([29]).only([45, 120, 690], unreachable(ids(1)[0])), every_minutes=5
        )

    def test_the_only_account_of_a_policy(self, promtool: Path, tmp_path: Path) -> None:
        one = World("one", 700).policy("a", ids(1), failing=ids(1)).policy("b", ids(5, 1))
        expect(promtool, tmp_path, one.scenario.only([14]).only([20, 120, 690], not_served("a")), every_minutes=5)

    def test_a_broken_role_of_the_operator(self, promtool: Path, tmp_path: Path) -> None:
        """300 accounts of 30 policies: one alert, from the first minute on."""
        storm = World("storm", 200)
        for number in range(30):
            accounts = ids(10, number * 10)
            storm.policy(f"p{number}", accounts, failing=accounts)
        expect(promtool, tmp_path, storm.scenario.only([9]).only([12, 45, 199], many()), every_minutes=5)

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
        expect(promtool, tmp_path, one.scenario.only([14]).only([20, 120, 690], not_served("a")), every_minutes=5)

    def test_suspending_a_policy_pages_nobody(self, promtool: Path, tmp_path: Path) -> None:
        """Neither for its accounts that failed before, nor for what gets old; after a day an info says so."""
        asleep = World("asleep", 1500).policy("a", ids(3), failing=ids(3), suspended=True).policy("b", ids(4, 3))
        names = {"alertname": "MfaPolicySuspended", "severity": "info", "policy_namespace": "security", "policy": "a"}
        asleep.scenario.only(range(0, 1440, 45)).only([1445], {**CLUSTER, **names})
        expect(promtool, tmp_path, asleep.scenario, every_minutes=5)


class TestTotals:
    """Policies with more accounts than the limit show one set of series each."""

    def test_no_alert_where_all_is_well(self, promtool: Path, tmp_path: Path) -> None:
        well = World("well", 700).policy("a", ids(500), totals=True).policy("b", ids(4))
        expect(promtool, tmp_path, well.scenario.only(range(0, 700, 60)), every_minutes=5)

    def test_few_of_many_that_fail_are_one_alert_of_the_policy(self, promtool: Path, tmp_path: Path) -> None:
        """And they hide neither the others' audits nor anything of other policies."""
        few = World("few", 700).policy("a", ids(500), failing=ids(19), totals=True).policy("b", ids(4), failing=["x"])
        few.scenario.only([29]).only([45, 690], unreachable("security/a"))
        expect(promtool, tmp_path, few.scenario, every_minutes=5)

    def test_many_of_many_that_fail_are_one_alert_of_all(self, promtool: Path, tmp_path: Path) -> None:
        storm = World("storm", 60).policy("a", ids(500), failing=ids(18), totals=True)
        storm.policy("b", ids(4, 500), failing=ids(2, 500))
        small = World("small", 60).policy("a", ids(5), failing=ids(3), totals=True)
        expect(promtool, tmp_path, storm.scenario.only([9]).only([12, 59], many()), small.scenario.only([59], many()))

    def test_a_suspended_policy_s_totals_alert_of_nothing(self, promtool: Path, tmp_path: Path) -> None:
        asleep = World("asleep", 120).policy("a", ids(50), failing=ids(50), suspended=True, totals=True)
        expect(promtool, tmp_path, asleep.policy("b", ids(4, 50)).scenario.only(range(0, 120, 15)))

    def test_hanging_passes_are_stale_though_an_account_fails(self, promtool: Path, tmp_path: Path) -> None:
        stuck = World("stuck", 200).policy("b", ids(4, 500))
        policy = {**CLUSTER, "policy_namespace": "security", "policy": "a", "pod": "a"}
        totals = {**policy, "account_id": "security/a"}
        stuck.scenario.series("mfa_policy_account_up", totals, [0] * 200)
        stuck.scenario.series("mfa_policy_interval_seconds", policy, [900] * 200)
        stuck.scenario.series("mfa_policy_last_success_timestamp_seconds", totals, [0] * 200)
        names = {"severity": "critical", "policy_namespace": "security", "policy": "a"}
        stale = {**CLUSTER, **names, "alertname": "MfaAuditStale"}
        expect(promtool, tmp_path, stuck.scenario.only([150], stale, unreachable("security/a")))

    def test_switching_to_totals_leaves_no_quarantine_alert(self, promtool: Path, tmp_path: Path) -> None:
        """Nor one that ceases to; the quarantines of one that is deleted are left."""
        switched, deleted = World("switched", 100), World("deleted", 100)
        for name, before, after in (("a", ids(1)[0], "security/a"), ("b", "security/b", ids(2)[1])):
            labels = {**CLUSTER, "policy_namespace": "security", "policy": name}
            for metric, value in (("mfa_policy_quarantined_users", 2), ("mfa_policy_account_up", 1)):
                switched.scenario.series(metric, {**labels, "account_id": before}, [*([value] * 50), "stale"])
                switched.scenario.series(metric, {**labels, "account_id": after}, [None] * 50 + [value] * 50)
                deleted.scenario.series(metric, {**labels, "account_id": before}, [*([value] * 50), "stale"])
        left = {**CLUSTER, "alertname": "MfaQuarantinesLeft", "severity": "warning", "policy_namespace": "security"}
        accounts = {"a": ids(1)[0], "b": "security/b"}
        gone = [{**left, "policy": name, "account_id": account_id} for name, account_id in accounts.items()]
        expect(
            promtool,
            tmp_path,
            switched.scenario.only(range(40, 100, 10)),
            deleted.scenario.only([40]).only([80], *gone),
        )
