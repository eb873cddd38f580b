"""The alerts, in promtool's own tests: each fires, does not fire, resolves, and is fooled by nothing."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from mfa_operator.config.settings import RUNBOOK_BASE_URL
from mfa_operator.metrics.exporter import Metrics
from tests.chart.alert_cases import (
    ACCOUNT,
    ACCOUNT_OF_NAMESPACE,
    ALERTS,
    CLUSTER,
    POLICY,
    REMEDIATION,
    Alert,
    Labels,
    Series,
    Values,
    remediations,
)
from tests.chart.helm import CHART
from tests.chart.promtool_cases import RULES, Scenario, all_groups, expect, run

REPOSITORY = Path(__file__).parents[2]
BY_NAME = {alert.name: alert for alert in ALERTS}
# keep_firing_for is ten minutes, and a missing sample is looked for in the last five.
RESOLVED_AFTER = 17
COUNTED = {
    "MfaRemediationFailing": "failed",
    "MfaRemediationRefused": "refused_limit",
    "MfaRemediationHappened": "done",
}
SEVERITY = {"MfaRemediationFailing": "warning", "MfaRemediationRefused": "warning", "MfaRemediationHappened": "info"}
RUNBOOKS = REPOSITORY / "docs" / "runbooks"
ALL_RULES = [rule for group in all_groups() for rule in group["rules"]]
ALERT_RULES = [rule for rule in ALL_RULES if "alert" in rule]


def minutes(values: Values, count: int, begin: int = 0) -> list[float | str | None]:
    return [values(begin + minute) for minute in range(count)]


def fill(scenario: Scenario, series: Sequence[Series], bad: int, good: int = 0, *, pod: str = "a") -> Scenario:
    """All series bad, then good, for so many minutes each."""
    for each in series:
        scenario.series(each.name, {**each.labels, "pod": pod}, minutes(each.bad, bad) + minutes(each.good, good, bad))
    return scenario


def labels_of(alert: Alert) -> Labels:
    return {**alert.labels, "severity": alert.severity}


@pytest.fixture(params=BY_NAME)
def alert(request: pytest.FixtureRequest) -> Alert:
    return BY_NAME[request.param]


class TestStates:
    """Alerts on a state, which last as long as the state does."""

    def test_fires_only_in_the_bad_state_and_only_after_its_time(
        self, promtool: Path, tmp_path: Path, alert: Alert
    ) -> None:
        bad, good = Scenario("bad", alert.name), Scenario("good", alert.name)
        fill(bad, alert.series, alert.fires_after + 120)
        bad.firing([alert.fires_after - 2])
        bad.firing([alert.fires_after + 1, alert.fires_after + 100], labels_of(alert))
        fill(good, alert.series, 0, 600).firing(range(0, 600, 10))
        expect(promtool, tmp_path, bad, good)

    def test_resolves(self, promtool: Path, tmp_path: Path, alert: Alert) -> None:
        scenario = Scenario("resolved", alert.name)
        end = alert.fires_after + 10
        after = RESOLVED_AFTER + alert.remembers
        fill(scenario, alert.series, end, after + 43)
        scenario.firing([end - 1], labels_of(alert)).firing(range(end + after, end + after + 43))
        expect(promtool, tmp_path, scenario)

    @pytest.mark.parametrize("alert", [each for each in ALERTS if "policy" in each.labels], ids=lambda each: each.name)
    def test_goes_with_its_policy(self, promtool: Path, tmp_path: Path, alert: Alert) -> None:
        end = alert.fires_after + 10
        after = RESOLVED_AFTER + alert.remembers
        scenario = Scenario("deleted", alert.name)
        for each in alert.series:
            scenario.series(each.name, {**each.labels, "pod": "a"}, [*minutes(each.bad, end), "stale"])
        scenario.firing([end - 1], labels_of(alert)).firing(range(end + after, end + after + 43))
        expect(promtool, tmp_path, scenario)

    def test_a_new_leader_neither_ends_it_nor_doubles_it(self, promtool: Path, tmp_path: Path, alert: Alert) -> None:
        """The old pod's series end, the new pod's begin two minutes later."""
        end = alert.fires_after + 10
        scenario = Scenario("failover", alert.name)
        for each in alert.series:
            scenario.series(each.name, {**each.labels, "pod": "a"}, [*minutes(each.bad, end), "stale"])
            later = [None] * (end + 2) + minutes(each.bad, 60, end + 2)
            scenario.series(each.name, {**each.labels, "pod": "b"}, later)
        scenario.firing(range(end - 1, end + 60), labels_of(alert))
        expect(promtool, tmp_path, scenario)

    def test_says_what_is_wrong_where(self, promtool: Path, tmp_path: Path, alert: Alert) -> None:
        """promtool prints the annotations it got where others are expected."""
        case = fill(Scenario("texts", alert.name), alert.series, alert.fires_after + 2).to_dict()
        case["promql_expr_test"] = []
        case["alert_rule_test"] = [
            {"eval_time": f"{alert.fires_after + 1}m", "alertname": alert.name, "exp_alerts": [{"exp_labels": {}}]}
        ]
        done = run(promtool, tmp_path, [case], [alert.name])
        said = " ".join((done.stdout + done.stderr).replace("\\n", " ").split())
        for text in alert.text:
            assert text in said


@pytest.mark.parametrize("name", ["MfaUserViolating", "MfaUserOverdue", "MfaUsersUnknown"])
def test_an_account_that_fails_looks_no_better(promtool: Path, tmp_path: Path, name: str) -> None:
    """It keeps its counts: its alerts go on, and one more says that nobody can look."""
    alert = BY_NAME[name]
    begin = alert.fires_after + 10
    up = [1] * begin + [0] * 120
    findings, unreachable = Scenario("findings", name), Scenario("unreachable", "MfaAccountUnreachable")
    for scenario in (findings, unreachable):
        fill(scenario, alert.series, begin + 120).series("mfa_policy_account_up", {**ACCOUNT, "pod": "a"}, up)
    findings.firing(range(begin, begin + 120, 5), labels_of(alert))
    unreachable.firing([begin]).firing([begin + 40], {**ACCOUNT_OF_NAMESPACE, "severity": "warning"})
    expect(promtool, tmp_path, findings, unreachable)


def test_a_failed_account_has_no_second_alert_about_its_report(promtool: Path, tmp_path: Path) -> None:
    alert = BY_NAME["MfaCredentialReportStale"]
    scenario = fill(Scenario("failed", alert.name), alert.series[:2], 600)
    scenario.series("mfa_policy_account_up", {**ACCOUNT, "pod": "a"}, [0] * 600)
    expect(promtool, tmp_path, scenario.firing(range(0, 600, 20)))


def test_only_the_account_concerned_is_named(promtool: Path, tmp_path: Path) -> None:
    alert = BY_NAME["MfaUserOverdue"]
    other = {**ACCOUNT, "account_id": "222233334444", "state": "overdue", "pod": "a"}
    scenario = fill(Scenario("two", alert.name), alert.series, 60).series("mfa_policy_users", other, [0] * 60)
    expect(promtool, tmp_path, scenario.firing([30], labels_of(alert)))


def test_a_long_interval_makes_no_audit_stale(promtool: Path, tmp_path: Path) -> None:
    """A daily policy is audited once a day."""
    policy = {**POLICY, "pod": "a"}
    scenario = Scenario("daily", "MfaAuditStale")
    scenario.series("mfa_policy_last_success_timestamp_seconds", {**ACCOUNT, "pod": "a"}, [0] * 1440)
    scenario.series("mfa_policy_interval_seconds", policy, [86400] * 1440)
    expect(promtool, tmp_path, scenario.firing(range(0, 1440, 60)))


def test_no_operator_at_all_is_down_and_a_waiting_replica_is_not(promtool: Path, tmp_path: Path) -> None:
    name, down = "MfaOperatorDown", {"severity": "critical"}
    nothing = Scenario("nothing", name).firing([3]).firing([6, 60], down)
    nothing.series("up", {"job": "else"}, [1] * 60)
    other = Scenario("other cluster", name).series("mfa_operator_leader", {"cluster": "eu-1", "pod": "a"}, [1] * 60)
    other.series("mfa_operator_leader", {"cluster": "us-1", "pod": "a"}, [*([1] * 20), "stale"])
    other.firing([19]).firing([40], {**down, "cluster": "us-1"})
    gone = Scenario("gone", name).series("mfa_operator_leader", {"pod": "a"}, [*([1] * 20), "stale"])
    gone.firing(range(20)).firing([40], down)
    pair = Scenario("pair", name).series("mfa_operator_leader", {"pod": "a"}, [1] * 60)
    pair.series("mfa_operator_leader", {"pod": "b"}, [0] * 60).firing(range(60))
    expect(promtool, tmp_path, nothing, other, gone, pair)


@pytest.mark.parametrize(("leads", "left"), [(1, True), (0, False)])
def test_quarantines_of_a_policy_that_is_gone(promtool: Path, tmp_path: Path, leads: int, left: bool) -> None:
    """With no operator at work every series is gone, and that has an alert of its own."""
    scenario = Scenario("gone", "MfaQuarantinesLeft")
    scenario.series("mfa_operator_leader", {**CLUSTER, "pod": "a"}, [leads] * 120)
    scenario.series("mfa_policy_quarantined_users", {**ACCOUNT, "pod": "a"}, [*([2] * 30), "stale"])
    scenario.series("mfa_policy_account_up", {**ACCOUNT, "pod": "a"}, [*([1] * 30), "stale"])
    fires = [{**ACCOUNT, "severity": "warning"}] if left else []
    expect(promtool, tmp_path, scenario.firing([29, 44]).firing([47, 110], *fires))


def test_a_quarantine_that_is_lifted_is_not_left(promtool: Path, tmp_path: Path) -> None:
    """Its series ends, and the account's others go on."""
    scenario = Scenario("lifted", "MfaQuarantinesLeft").series("mfa_operator_leader", CLUSTER, [1] * 120)
    scenario.series("mfa_policy_quarantined_users", ACCOUNT, [*([2] * 20), "stale"])
    scenario.series("mfa_policy_account_up", ACCOUNT, [1] * 60 + [0] * 60)
    expect(promtool, tmp_path, scenario.firing(range(0, 120, 5)))


def test_summaries_name_the_account(promtool: Path, tmp_path: Path) -> None:
    """By its name where the policy has one; of every alert on an account."""
    missing: dict[str, object] = {}
    for alert in ALERTS:
        if "account_id" in alert.labels:
            case = fill(Scenario(alert.name, alert.name), alert.series, alert.fires_after + 2)
            case.series("mfa_policy_account_info", {**ACCOUNT, "account_name": "payments-prod"}, [1] * 1500)
            asked = {
                "eval_time": f"{alert.fires_after + 1}m",
                "alertname": alert.name,
                "exp_alerts": [{"exp_labels": {}}],
            }
            texts = {**case.to_dict(), "promql_expr_test": [], "alert_rule_test": [asked]}
            done = run(promtool, tmp_path, [texts], [alert.name])
            summary = re.search(r'summary="([^"]*)"', " ".join((done.stdout + done.stderr).replace("\\n", " ").split()))
            if summary is None or not summary[1].endswith(": payments-prod"):
                missing[alert.name] = summary
    assert not missing


class TestRemediations:
    """Alerts on counters, whose series begin with the first count."""

    def labels(self, name: str) -> Labels:
        return {**REMEDIATION, "severity": SEVERITY[name]}

    @pytest.mark.parametrize("name", ["MfaRemediationFailing", "MfaRemediationHappened"])
    def test_once_is_seen_at_once_and_over_within_the_hour(self, promtool: Path, tmp_path: Path, name: str) -> None:
        counter, labels = remediations(COUNTED[name])
        first = Scenario("first", name).series(counter, {**labels, "pod": "a"}, [None] * 10 + [1] * 120)
        first.firing(range(10)).firing(range(11, 65), self.labels(name)).firing(range(72, 130))
        again = Scenario("again", name).series(counter, {**labels, "pod": "a"}, [1] * 120 + [2] * 120)
        again.firing([119]).firing([121, 150], self.labels(name)).firing(range(185, 240))
        restart = Scenario("restart", name).series(counter, {**labels, "pod": "a"}, [*([5] * 120), "stale"])
        restart.series(counter, {**labels, "pod": "b"}, [None] * 130 + [1] * 60)
        restart.firing([119, 125]).firing([131, 160], self.labels(name))
        expect(promtool, tmp_path, first, again, restart)

    def test_limits_alert_after_hours_not_after_one_pass(self, promtool: Path, tmp_path: Path) -> None:
        name = "MfaRemediationRefused"
        counter, labels = remediations("refused_limit")
        refused = [minute // 15 for minute in range(300)]
        steady = Scenario("steady", name).series(counter, {**labels, "pod": "a"}, [*refused, *([refused[-1]] * 120)])
        steady.firing(range(60)).firing([120, 290], self.labels(name)).firing(range(380, 420))
        single = Scenario("single", name).series(counter, {**labels, "pod": "a"}, [None] * 10 + [3] * 200)
        expect(promtool, tmp_path, steady, single.firing(range(200)))

    @pytest.mark.parametrize("name", COUNTED)
    def test_other_results_are_none_of_its_business(self, promtool: Path, tmp_path: Path, name: str) -> None:
        scenario = Scenario("others", name)
        for result in {"done", "failed", "refused_limit", "already_absent", "skipped_compliant", "dry_run"} - {
            COUNTED[name]
        }:
            counter, labels = remediations(result)
            scenario.series(counter, {**labels, "pod": "a"}, list(range(200)))
        expect(promtool, tmp_path, scenario.firing(range(0, 200, 10)))

    @pytest.mark.parametrize("name", COUNTED)
    def test_goes_with_its_policy(self, promtool: Path, tmp_path: Path, name: str) -> None:
        counter, labels = remediations(COUNTED[name])
        scenario = Scenario("deleted", name)
        scenario.series(counter, {**labels, "pod": "a"}, [*range(1, 151), "stale"])
        scenario.firing([149], self.labels(name)).firing(range(230, 260))
        expect(promtool, tmp_path, scenario)


class TestRules:
    """What holds for the file as a whole."""

    def test_promtool_finds_nothing(self, promtool: Path) -> None:
        done = subprocess.run(
            [promtool, "check", "rules", "--lint=all", "--lint-fatal", RULES],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def test_each_alert_is_tried_here(self) -> None:
        assert {rule["alert"] for rule in ALERT_RULES} == {*BY_NAME, *COUNTED}

    def test_each_says_what_where_and_what_to_do(self) -> None:
        for rule in ALERT_RULES:
            assert {"summary", "description", "runbook_url"} == set(rule["annotations"])
            assert rule["labels"]["severity"] in {"critical", "warning", "info"}

    def test_each_has_a_runbook_of_its_name(self) -> None:
        """With the headings of kube-prometheus, behind a link that opens."""
        for rule in ALERT_RULES:
            url = rule["annotations"]["runbook_url"]
            assert url == f"{RUNBOOK_BASE_URL}/{rule['alert']}.md"
            assert url.startswith("https://")
            page = (RUNBOOKS / f"{rule['alert']}.md").read_text().splitlines()
            assert page[0] == f"# {rule['alert']}"
            headings = [line.removeprefix("## ") for line in page if line.startswith("## ")]
            assert headings[:4] == ["Meaning", "Impact", "Diagnosis", "Mitigation"], rule["alert"]
        assert yaml.safe_load((CHART / "values.yaml").read_text())["runbookBaseUrl"] == RUNBOOK_BASE_URL
        pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {"console-user-without-mfa"}
        assert pages == {rule["alert"] for rule in ALERT_RULES}

    def test_no_rule_goes_by_another_alert(self) -> None:
        """Here each alert is tried without the others."""
        assert not [rule for rule in ALL_RULES if "ALERTS" in rule["expr"]]

    def test_no_aggregation_drops_a_label_of_the_cluster(self) -> None:
        """`by` keeps only what it names, and an external label is a name that nobody here knows."""
        for rule in ALL_RULES:
            assert not re.search(r"\bby\s*\(", rule["expr"]), rule
            assert not re.search(r"\bon\s*\(", rule["expr"]), rule

    def test_only_metrics_that_the_operator_exports(self) -> None:
        metrics = Metrics(version="0")
        metrics.events.set_up(True)
        exported = {metric.name for metric in metrics.registry.collect()}
        exported |= {rule["record"] for rule in ALL_RULES if "record" in rule}
        for rule in ALL_RULES:
            for name in _metrics(rule["expr"]):
                assert {name, re.sub("_(total|sum|count)$", "", name)} & exported, f"{rule} asks for {name}"


def _metrics(expr: str) -> set[str]:
    return set(re.findall(r"\b(?:[a-z_]+:)?mfa[_:][a-z_:]+", expr))
