"""The API server fails, or the way to it: whatever is answered, the next passes go on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.agreement import assert_all_agree
from tests.controlplane import ControlPlane
from tests.fixtures.api_proxy import ApiProxy, Outcome
from tests.fixtures.operator import SHORT_TIMES, eventually
from tests.fixtures.shared_operator import SharedOperator, named


@pytest.fixture(scope="module")
def module_proxy(control_plane: ControlPlane) -> Iterator[ApiProxy]:
    with ApiProxy(control_plane.url, control_plane.ca_path) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def operator_kubeconfig(
    service_account: Path, module_proxy: ApiProxy, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return module_proxy.kubeconfig(service_account, tmp_path_factory.mktemp("proxy") / "kubeconfig")


@pytest.fixture
def proxy(module_proxy: ApiProxy) -> Iterator[ApiProxy]:
    yield module_proxy
    module_proxy.heal()
    module_proxy.down = False


STATUS, REPORT = "/mfapolicies/{policy}/status", "/mfareports/{policy}-[0-9]+/status"
WRITES: dict[str, tuple[str, Outcome, int]] = {
    "status-conflict": (STATUS, 409, 1),
    "status-error": (STATUS, 500, 1),
    "status-unavailable": (STATUS, 503, 1),
    "status-reset": (STATUS, "reset", 1),
    "status-answer-lost": (STATUS, "answer lost", 1),
    # One more try is all within a pass: these two end it, and another comes.
    "status-invalid": (STATUS, 422, 2),
    "status-forbidden": (STATUS, 403, 1),
    "report-conflict": (REPORT, 409, 1),
    "report-error": (REPORT, 500, 1),
    "report-reset": (REPORT, "reset", 1),
    "report-answer-lost": (REPORT, "answer lost", 1),
}


def test_a_write_that_fails_is_made_up_for(shared: SharedOperator, proxy: ApiProxy) -> None:
    accounts = {name: shared.account("alice") for name in WRITES}
    faults = {
        name: proxy.fail("PUT", target.format(policy=name), outcome, times=times)
        for name, (target, outcome, times) in WRITES.items()
    }
    shared.policies.apply_all({name: {"accounts": named(account)} for name, account in accounts.items()})
    statuses = {name: shared.policies.wait_for_pass(name) for name in WRITES}
    assert {name: fault.hits for name, fault in faults.items()} == {name: times for name, (*_, times) in WRITES.items()}
    assert {name: status["summary"]["violating"] for name, status in statuses.items()} == dict.fromkeys(WRITES, 1)
    for account in accounts.values():
        account.existing_user("alice").add_mfa("virtual")
    shared.kubectl("annotate", "mfap", *WRITES, "mfa-operator.io/requestedAt=now")
    for name in WRITES:
        shared.kubectl("wait", "--for=condition=Compliant", f"mfap/{name}", "--timeout=60s")
        reasons = [event["reason"] for event in shared.policies.events(policy=name)]
        assert reasons == ["NewViolations", "ViolationsResolved"], name
    assert_all_agree(shared)


def test_a_refused_report_fails_its_account_alone(shared: SharedOperator, proxy: ApiProxy) -> None:
    refused, other = shared.account("alice"), shared.account("bob")
    fault = proxy.fail("PUT", f"/mfareports/refused-{refused.id}/status", 422, times=2)
    shared.policies.apply("refused", accounts=named(refused, other))
    first, second = shared.policies.wait_for_pass("refused")["accounts"]
    assert fault.hits == 2
    assert (first["state"], first["reason"], second["state"]) == ("Failed", "WriteFailed", "Audited")
    assert "on demand" in first["message"]
    shared.policies.request_pass("refused")
    assert shared.policies.status("refused")["summary"]["violating"] == 2
    eventually(lambda: shared.policies.events("AccountRecovered", "refused"), "the Event that follows the status")
    assert_all_agree(shared)


def test_a_policy_that_is_once_not_found_is_audited_again(shared: SharedOperator, proxy: ApiProxy) -> None:
    """Only the watch or a list says that a policy was deleted."""
    shared.policies.apply("found", accounts=named(shared.account("alice")), interval="24h")
    shared.policies.wait_for_pass("found")
    fault = proxy.fail("GET", "/mfapolicies/found$", 404)
    shared.policies.request_pass("found")
    assert fault.hits == 1
    assert shared.policies.status("found")["summary"]["violating"] == 1
    assert "does not exist" in shared.operator.log
    assert_all_agree(shared)


def test_an_event_that_is_lost_stops_nothing(shared: SharedOperator, proxy: ApiProxy) -> None:
    fault = proxy.fail("POST", f"/namespaces/{shared.namespace}/events", 500, times=2)
    shared.policies.apply("untold", accounts=named(shared.account("alice")))
    assert shared.policies.wait_for_pass("untold")["summary"]["violating"] == 1
    assert fault.hits == 2
    assert shared.policies.events(policy="untold") == []
    assert "an Event about MfaPolicy" in shared.operator.log


@pytest.mark.parametrize("outcome", [None, "expired", 429, 500, "reset"])
def test_a_watch_that_is_cut_goes_on(shared: SharedOperator, proxy: ApiProxy, outcome: Outcome | None) -> None:
    name = f"watched-{outcome}".lower()
    shared.policies.apply(name, accounts=named(shared.account("alice")), interval="24h")
    shared.policies.wait_for_pass(name)
    fault = proxy.fail("GET", "/mfapolicies.*watch=true", outcome) if outcome else None
    proxy.cut_watches()
    edited = {name: {"accounts": named(shared.account("bob", "carol")), "interval": "24h"}}
    shared.policies.apply_all(edited | {f"{name}-too": {"accounts": named(shared.account("dave"))}})
    assert shared.policies.wait_for_pass(name)["summary"]["violating"] == 2
    shared.policies.wait_for_pass(f"{name}-too")
    assert fault is None or fault.hits == 1
    assert shared.operator.process.poll() is None


def test_after_a_refused_watch_the_next_process_carries_on(shared: SharedOperator, proxy: ApiProxy) -> None:
    """kopf gives up on such an answer; staying up without a watch would be worse, and a Deployment starts it anew."""
    account = shared.account("alice")
    shared.policies.apply("refused-watch", accounts=named(account), interval="24h")
    shared.policies.wait_for_pass("refused-watch")
    proxy.fail("GET", "/mfapolicies.*watch=true", 410)
    proxy.cut_watches()
    assert shared.operator.process.wait(timeout=60) == 1
    assert "the watch of mfapolicies ended: on demand (410); ending" in shared.operator.log
    assert "Traceback" not in shared.operator.log
    shared.policies.apply("refused-watch", accounts=named(account, shared.account("bob")), interval="24h")
    shared.operator = shared.launch()
    assert shared.policies.wait_for_pass("refused-watch")["summary"]["violating"] == 2
    assert len(shared.policies.events("NewViolations", "refused-watch")) == 2


def test_a_short_outage_is_survived(shared: SharedOperator, proxy: ApiProxy) -> None:
    # Of the first test in this file the operator may not have begun to lead and to watch.
    shared.policies.apply("settled", accounts=named(shared.account()))
    shared.policies.wait_for_pass("settled")
    lost, back = "the watch of mfapolicies cannot connect", "the watch of mfapolicies is connected again"
    before = shared.operator.log.count(lost)
    proxy.down = True
    proxy.cut_watches()
    shared.policies.apply("after", accounts=named(shared.account("alice")))
    eventually(lambda: shared.operator.log.count(lost) > before and proxy.refused >= 2, "the outage is noticed")
    proxy.down = False
    shared.policies.wait_for_pass("after")
    assert shared.operator.process.poll() is None
    eventually(lambda: shared.operator.log.count(back) == before + 1, "the watch is back")
    assert shared.operator.log.count(lost) == before + 1
    assert "Request attempt" not in shared.operator.log


def test_after_a_long_outage_the_next_process_carries_on(shared: SharedOperator, proxy: ApiProxy) -> None:
    """A leader that cannot renew its Lease must not act, for another may lead by then; a Deployment starts it anew."""
    assert shared.operator.terminate() == 0
    shared.operator = shared.launch(program=SHORT_TIMES)
    account = shared.account("alice")
    shared.policies.apply("before", accounts=named(account))
    shared.policies.wait_for_pass("before")
    findings, events = shared.policies.findings("before", account.id), shared.policies.events()
    proxy.down = True
    assert shared.operator.process.wait(timeout=60) == 1
    assert "leadership lost" in shared.operator.log
    proxy.down = False
    shared.free_lease()
    shared.operator = shared.launch()
    shared.policies.request_pass("before")
    assert shared.policies.findings("before", account.id) == findings
    assert shared.policies.events() == events
    assert_all_agree(shared)


def test_a_restart_of_the_api_server(shared: SharedOperator) -> None:
    with shared.control_plane.without_apiserver():
        pass
    shared.policies.apply("later", accounts=named(shared.account("alice")))

    def passed() -> bool:
        if shared.operator.process.poll() is not None:
            # On a machine so slow that the Lease could not be renewed in time.
            assert shared.operator.process.returncode == 1
            shared.operator = shared.launch()
        return "lastPassTime" in shared.policies.status("later")

    eventually(passed, "a pass over a policy of after the restart")
    assert_all_agree(shared)
