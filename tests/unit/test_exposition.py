"""What is served is what prometheus-client would write, byte for byte, whatever the figures and whoever asks."""

from __future__ import annotations

import gzip
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import make_wsgi_app

from mfa_operator.api.enums import AccountState, ErrorReason, RemediationAction
from mfa_operator.api.objects import PolicyRef
from mfa_operator.api.status import Counts
from mfa_operator.metrics.exporter import Metrics
from mfa_operator.reporting.figures import AccountFigures, PolicyFigures, Serving

PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
ACCEPT = st.sampled_from(
    [
        "",
        "*/*",
        "text/html",
        "text/plain",
        "text/plain;version=0.0.4",
        "text/plain;version=1.0.0",
        "text/plain;version=1.0.0;escaping=dots",
        "application/openmetrics-text",
        "application/openmetrics-text;version=2.0.0;escaping=values",
        PROMETHEUS_2,
        PROMETHEUS_3,
    ]
)
# No half of a surrogate pair: such a text is none that UTF-8 can carry, and no field of the API holds one.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ['"', "\\", "\n", '\\"n\n', "é"]
)
COUNTS = st.integers(0, 5000)
MOMENTS = st.none() | st.integers(0, 4_102_444_800).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
ACCOUNTS = st.builds(
    AccountFigures,
    name=TEXTS,
    state=st.sampled_from(AccountState),
    counts=st.none()
    | st.builds(
        Counts,
        users=st.integers(25_000, 30_000),
        compliant=COUNTS,
        violating=COUNTS,
        overdue=COUNTS,
        exempt=COUNTS,
        unknown=COUNTS,
        quarantined=COUNTS,
    ),
    last_success=MOMENTS,
    credential_report_time=MOMENTS,
    oldest_violation=MOMENTS,
    violations=st.lists(st.tuples(TEXTS, TEXTS), max_size=2).map(tuple),
)
REFS = st.builds(PolicyRef, TEXTS, TEXTS)
POLICIES = st.dictionaries(REFS, st.dictionaries(TEXTS, ACCOUNTS, max_size=3), max_size=3)


def ask(app: Any, **environ: str) -> tuple[str, dict[str, str], bytes]:
    """Status, headers and the body as it was before compression, without what a process shows of itself."""
    setup_testing_defaults(environ)
    answered: list[Any] = []
    body = b"".join(app(environ, lambda status, headers: answered.extend((status, headers))))
    headers = dict(answered[1])
    assert headers.pop("Content-Length", str(len(body))) == str(len(body))
    if headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    kept = [line for line in body.split(b"\n") if not re.search(rb"\b(U__)?(process|python)_", line)]
    return answered[0], headers, b"\n".join(kept)


def exporter(policies: dict[PolicyRef, dict[str, AccountFigures]], limit: int | None = None) -> Metrics:
    """Everything of these policies, each account with an error and a remediation."""
    metrics = Metrics(version="1.2.3", user_violation_info=True, per_account_limit=limit)
    for ref, accounts in policies.items():
        metrics.set_policy(ref, PolicyFigures(timedelta(minutes=15), None, None, accounts))
        metrics.set_serving(ref, Serving(ready=True, suspended=False))
        metrics.observe_pass(ref, 3.0)
        for account_id in accounts:
            metrics.count_error(ref, account_id, ErrorReason.TIMEOUT)
            metrics.count_remediation(ref, account_id, RemediationAction.QUARANTINE, "done")
    metrics.count_aws_request("iam", "ListUsers", "200")
    return metrics


@given(
    policies=POLICIES,
    limit=st.none() | st.integers(0, 3),
    accept=ACCEPT,
    encoding=st.sampled_from(["", "gzip", "br, gzip;q=0.5", "identity"]),
    query=st.sampled_from(["", "a=b", "name[]=mfa_policy_users"]),
)
def test_it_is_what_prometheus_client_would_answer(
    policies: dict[PolicyRef, dict[str, AccountFigures]], limit: int | None, accept: str, encoding: str, query: str
) -> None:
    metrics = exporter(policies, limit)
    request = {"HTTP_ACCEPT": accept, "HTTP_ACCEPT_ENCODING": encoding, "QUERY_STRING": query}
    assert ask(metrics.wsgi_app, **request) == ask(make_wsgi_app(metrics.registry), **request)


@pytest.mark.parametrize(
    "request_",
    [
        {"REQUEST_METHOD": "POST"},
        {"REQUEST_METHOD": "OPTIONS"},
        {"REQUEST_METHOD": "HEAD"},
        {"PATH_INFO": "/favicon.ico"},
    ],
    ids=str,
)
def test_so_is_what_asks_for_no_metrics(request_: dict[str, str]) -> None:
    metrics = exporter({})
    assert ask(metrics.wsgi_app, **request_) == ask(make_wsgi_app(metrics.registry), **request_)


def test_a_thousand_accounts_are_many_pieces_of_one_text() -> None:
    figures = AccountFigures("a", AccountState.AUDITED, Counts(users=3, compliant=1, violating=2), None, None, None)
    metrics = exporter({PolicyRef("a", "b"): {f"{number:012}": figures for number in range(1000)}})
    for accept in ("", PROMETHEUS_3):
        assert ask(metrics.wsgi_app, HTTP_ACCEPT=accept) == ask(make_wsgi_app(metrics.registry), HTTP_ACCEPT=accept)
