"""Dashboard and alerts on a real Prometheus that scrapes the real operator, in a world that has every case."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from mfa_sandbox.aws import Account, EmbeddedAws
from mfa_sandbox.demo.cluster import crds
from mfa_sandbox.kubernetes import EmbeddedKubernetes
from tests.chart import dashboard_world as world
from tests.chart.dashboard import TARGETS, VARIABLES, filled
from tests.chart.dashboard_world import AGENCY, CLOSED, FORBIDDEN, LEAVERS, LOST, NOT_AUDITED, PROD, STAGING
from tests.chart.prometheus import Prometheus, Series
from tests.fixtures.operator import Launcher, eventually

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules.yaml"
STEP = 1.0
CLUSTER = {"cluster": "eu-1"}
# As Grafana has them at a scrape interval of 1 s, in a view of one minute.
GRAFANA = {"interval": "1s", "rate_interval": "5s", "range_": "1m"}
JUDGED = ("compliant", "violating", "overdue", "unknown")


@dataclass(frozen=True)
class LiveDashboard:
    """The Prometheus, and when it began."""

    prometheus: Prometheus
    begun: float

    def ask(self, name: str) -> list[Series]:
        """The series with samples that a query gives, over all the time so far or now, as its panel asks."""
        _, target = TARGETS[name]
        assert target["instant"] is not target["range"]
        expr = filled(target["expr"], **GRAFANA)
        if target["instant"]:
            found = self.prometheus.instant(expr)
        else:
            found = self.prometheus.range(expr, self.begun, time.time(), STEP)
        return [series for series in found if series.samples]

    def last(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """The last value of each series, by these labels."""
        return {tuple(each.labels[label] for label in labels): each.samples[-1][1] for each in self.ask(name)}

    def peak(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """The highest value of each series, by these labels."""
        return {
            tuple(each.labels[label] for label in labels): max(value for _, value in each.samples)
            for each in self.ask(name)
        }

    def users(self) -> dict[tuple[str, str], dict[str, float]]:
        """What is scraped now: users by state, by policy and account."""
        found: dict[tuple[str, str], dict[str, float]] = {}
        for each in self.prometheus.instant("mfa_policy_users > 0"):
            labels = each.labels
            found.setdefault((labels["policy"], labels["account_id"]), {})[labels["state"]] = each.samples[-1][1]
        return found

    def settle(self, closed: Account) -> None:
        """Wait until everything has happened; `closed` is closed once it was audited."""
        eventually(lambda: self._close(closed), "the account is closed between two passes")
        eventually(lambda: self.prometheus.instant("mfa_policy_quarantined_users == 3"), "all are quarantined")
        eventually(lambda: self.users() == world.USERS, "the users are as they must be in the end")

    def _close(self, closed: Account) -> bool:
        """Close the account once it was audited. Users of whom a pass just then asks become unknown: False."""
        closed.suspended = False
        sight = f'mfa_policy_users{{account_id="{CLOSED}", state="violating"}} == 2'
        eventually(lambda: self.prometheus.instant(sight), "the account that is to be closed was audited")
        closed.suspended = True
        down = f'mfa_policy_account_up{{account_id="{CLOSED}"}} == 0'
        eventually(lambda: self.prometheus.instant(down), "the closed account fails")
        account = (world.EMPLOYEES, CLOSED)
        return self.users().get(account) == world.USERS[account]


@pytest.fixture(scope="module")
def live(prometheus_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveDashboard]:
    directory = tmp_path_factory.mktemp("dashboard")
    config = directory / "access.yaml"
    config.write_text(world.ACCESS_RULES, encoding="utf-8")
    namespaces = ("default", "mfa-operator", world.NAMESPACE)
    with EmbeddedAws() as aws, EmbeddedKubernetes(crds(), namespaces=namespaces) as kubernetes:
        closed = world.populate(aws)
        kubeconfig = kubernetes.write_kubeconfig(directory / "kubeconfig", namespace=world.NAMESPACE)
        launcher = Launcher(kubeconfig, world.NAMESPACE, aws, directory)
        try:
            queue = f"--events-queue={aws.world.events_queue().url}"
            operator = launcher(f"--config={config}", "--interval-override=1s", "--user-violation-info", queue)
            target = operator.metrics_url.removeprefix("http://")
            with Prometheus(prometheus_program, directory, configuration(target)) as prometheus:
                # Before the first pass, so that the pass adds series to those that Prometheus knows.
                eventually(lambda: prometheus.instant("mfa_operator_leader"), "the operator is scraped")
                live = LiveDashboard(prometheus, time.time())
                for manifest in world.policies(aws):
                    kubernetes.apply(manifest)
                live.settle(closed)
                yield live
        finally:
            launcher.stop()


def configuration(target: str) -> dict[str, Any]:
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": "mfa-operator", "static_configs": [{"targets": [target], "labels": CLUSTER}]}],
    }


@pytest.mark.parametrize("name", TARGETS)
def test_each_query_of_each_panel_finds_something(live: LiveDashboard, name: str) -> None:
    eventually(lambda: live.ask(name), f"{name} shows something", patience=20)


def test_variables_offer_what_is_there(live: LiveDashboard) -> None:
    offered = {}
    for name, variable in VARIABLES.items():
        if variable["type"] == "query":
            query = filled(variable["query"]["query"], **GRAFANA)
            if values := re.fullmatch(r"label_values\((.*), (\w+)\)", query):
                offered[name] = set(live.prometheus.label_values(values[2], values[1]))
                continue
            result = re.fullmatch(r"query_result\((.*)\)", query)
            assert result
            # As Grafana writes a series, by its labels' names; and in JavaScript a group is named without the P.
            texts = (
                ",".join(f'{label}="{value}"' for label, value in sorted(series.labels.items()))
                for series in live.prometheus.instant(result[1])
            )
            pattern = variable["regex"].strip("/").replace("(?<", "(?P<")
            matches = [re.search(pattern, text) for text in texts]
            offered[name] = {match["value"] for match in matches if match and match["text"]}
    assert offered == {
        "cluster": {"eu-1"},
        "policy_namespace": {world.NAMESPACE},
        "policy": {world.EMPLOYEES, world.CONTRACTORS, world.LEFT},
        "account_id": {PROD, STAGING, AGENCY, LEAVERS} | NOT_AUDITED,
    }


def in_state(state: str) -> dict[str, int]:
    """Users in a state by account, without accounts that have none."""
    return {account: users[state] for (_, account), users in world.USERS.items() if users.get(state)}


def test_numbers_at_the_top_are_the_truth(live: LiveDashboard) -> None:
    total = {state: sum(in_state(state).values()) for state in JUDGED}
    expected = {
        "Compliance-A": total["compliant"] / sum(total.values()),
        "Overdue users-A": total["overdue"],
        "Violating users-A": total["violating"],
        "Unknown users-A": total["unknown"],
        "Accounts not audited-A": len(NOT_AUDITED),
    }
    assert {name: live.last(name)[()] for name in expected} == pytest.approx(expected)
    assert live.last("Compliance over 90 days-A")[()] == pytest.approx(expected["Compliance-A"])
    over_time = live.last("Violating and overdue over 90 days-A", "state")
    assert over_time == {(state,): total[state] for state in ("violating", "overdue", "unknown")}


@pytest.mark.parametrize("state", ["violating", "overdue"])
def test_users_are_shown_at_their_accounts(live: LiveDashboard, state: str) -> None:
    shown = live.last(f"{state.capitalize()} by account-A", "account_id")
    assert shown == {(account,): count for account, count in in_state(state).items()}


def test_unaudited_accounts_are_listed_also_those_never_audited(live: LiveDashboard) -> None:
    shown = live.last("Accounts whose audit fails-A", "account_id")
    assert shown.keys() == {(account,) for account in NOT_AUDITED}
    assert shown[CLOSED,] >= 0
    # The panel shows -1 as "never".
    panel, _ = TARGETS["Accounts whose audit fails-A"]
    assert panel["fieldConfig"]["defaults"]["mappings"][0]["options"]["-1"]["text"] == "never"
    assert (shown[FORBIDDEN,], shown[LOST,]) == (-1, -1)
    why = live.last("Why: failures in this range-A", "account_id", "reason")
    assert {(CLOSED, "access_denied"), (LOST, "assume_role"), (STAGING, "access_denied")} <= why.keys()


def test_ages_and_what_comes_next(live: LiveDashboard) -> None:
    assert live.last("Oldest violation by account-A", "account_id").keys() == {
        (account,) for account in (PROD, CLOSED, AGENCY, LEAVERS)
    }
    assert live.last("Age of the credential report-A", "account_id").keys() == {
        (account,) for account in (PROD, CLOSED, AGENCY, LEAVERS)
    }
    (until,) = live.last("Exemptions that expire next-A", "policy").values()
    assert 2 * 86400 < until <= 3 * 86400


def test_what_happened_once_is_drawn(live: LiveDashboard) -> None:
    """A counter's series begins with its first event, which makes no increase."""
    done = eventually(lambda: live.peak("Remediations-A", "action", "result"), "remediations are drawn")
    assert done["RemoveConsoleAccess", "done"] == 1
    assert done["QuarantineUntilMfa", "done"] >= 1
    assert done["QuarantineUntilMfa", "refused_limit"] >= 1
    assert done["RemoveConsoleAccess", "failed"] >= 1
    assert live.peak("AWS throttles and errors-A", "code")["Throttling",] == 1
    assert live.last("Users under quarantine-A", "account_id") == {(AGENCY,): 3}


def test_alerts_are_loaded_and_the_expected_ones_fire(live: LiveDashboard) -> None:
    expected = {
        "MfaUserViolating": ("pending", set(in_state("violating"))),
        "MfaUserOverdue": ("pending", set(in_state("overdue"))),
        "MfaUsersUnknown": ("pending", set(in_state("unknown"))),
        "MfaExemptionExpiring": ("pending", {""}),
        "MfaAccountUnreachable": ("pending", NOT_AUDITED),
        "MfaCredentialReportMissing": ("pending", {STAGING}),
        "MfaRemediationFailing": ("firing", {LEAVERS}),
        "MfaRemediationRefused": ("pending", {AGENCY}),
        "MfaRemediationHappened": ("firing", {AGENCY, LEAVERS}),
        # Nobody is overdue for hours here, and an operator is at work.
        "MfaAuditStale": ("inactive", set()),
        "MfaCredentialReportStale": ("inactive", set()),
        "MfaOperatorDown": ("inactive", set()),
        "MfaSettingsUnreadable": ("inactive", set()),
        "MfaEventQueueDown": ("inactive", set()),
        "MfaEventsStopped": ("inactive", set()),
        "MfaPassesLate": ("inactive", set()),
        "MfaPolicyOverlooked": ("inactive", set()),
        "MfaManyAccountsFailing": ("inactive", set()),
        "MfaPolicyNotServed": ("inactive", set()),
        "MfaDiscoveryFailed": ("inactive", set()),
        "MfaPolicySuspended": ("inactive", set()),
        "MfaPolicyServedElsewhere": ("inactive", set()),
        "MfaPassSlow": ("inactive", set()),
        "MfaQuarantinesLeft": ("inactive", set()),
    }
    written = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    assert sorted(rule["alert"] for rule in written if "alert" in rule) == sorted(expected)

    def loaded() -> list[dict[str, Any]]:
        return [rule for group in live.prometheus.get("rules")["groups"] for rule in group["rules"]]

    eventually(lambda: all(rule["health"] != "unknown" for rule in loaded()), "all alerts were evaluated")
    assert not [rule["lastError"] for rule in loaded() if rule.get("lastError")]

    def states() -> dict[str, tuple[str, set[str]]]:
        return {
            rule["name"]: (rule["state"], {alert["labels"].get("account_id", "") for alert in rule["alerts"]})
            for rule in loaded()
            if rule["type"] == "alerting"
        }

    eventually(lambda: states() == expected, f"alerts are {expected}", patience=20)
