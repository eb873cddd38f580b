"""What the operator reads from Kubernetes. Safe to call from many threads at once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from kubernetes.client import ApiClient

from mfa_operator.api.conversion import InvalidObject
from mfa_operator.api.enums import ACCOUNT_LABEL, POLICY_LABEL
from mfa_operator.api.objects import PolicyRef, report_name
from mfa_operator.kube.errors import ClusterUnavailable
from mfa_operator.kube.objects import StoredReport, read_report
from mfa_operator.kube.report_pages import ListedReport
from mfa_operator.kube.requests import EXPIRED, NOT_FOUND, POLICIES, REPORTS, CallFailed, KubernetesCalls, Resource
from mfa_operator.kube.retry import Retrier, RetryPolicy

logger = logging.getLogger(__name__)
T = TypeVar("T")

POLICIES_PER_PAGE = 100
REPORTS_PER_PAGE = 50
"""A report can have 1 MB."""
MAX_RESTARTS = 5
"""Of one list."""


class ClusterReader:
    """Every method raises ClusterError where the API server cannot be read."""

    def __init__(self, api: ApiClient, *, stopping: threading.Event, retry: RetryPolicy) -> None:
        self._calls = KubernetesCalls(api)
        self._retrier = Retrier(retry, stopping)

    def get_policy(self, ref: PolicyRef) -> dict[str, Any] | None:
        """The policy as it is now; None where there is none."""
        return self._get(POLICIES, ref.namespace, ref.name)

    def list_policies(self, namespaces: Sequence[str] | None) -> Iterator[dict[str, Any]]:
        """Every policy of the namespaces (None: of all), page by page."""
        for namespace in [None] if namespaces is None else namespaces:
            yield from self._list(POLICIES, namespace, limit=POLICIES_PER_PAGE)

    def get_report(self, ref: PolicyRef, account_id: str) -> StoredReport | None:
        """The report of the policy's name and the account, whoever owns it; None where there is none.

        Raises InvalidObject where its status is invalid.
        """
        body = self._get(REPORTS, ref.namespace, report_name(ref, account_id))
        return None if body is None else read_report(body)

    def policy_reports(self, ref: PolicyRef) -> Iterator[ListedReport]:
        """Every report with the policy's label, whoever owns it, page by page; its content is not parsed."""
        yield from self._list_reports(ref.namespace, f"{POLICY_LABEL}={ref.name}")

    def list_reports(self, ref: PolicyRef) -> list[StoredReport]:
        """Every report with the policy's label, whoever owns it.

        An invalid one is logged and left out: nothing can be read from it, and a newer operator may need it.
        """
        return self._reports(ref.namespace, f"{POLICY_LABEL}={ref.name}")

    def list_account_reports(self, account_id: str, namespaces: Sequence[str] | None) -> list[StoredReport]:
        """Every report on the account, whichever policy it belongs to, in the namespaces (None: in all).

        An invalid one is logged and left out.
        """
        label = f"{ACCOUNT_LABEL}={account_id}"
        return [
            report
            for namespace in ([None] if namespaces is None else namespaces)
            for report in self._reports(namespace, label)
        ]

    def _reports(self, namespace: str | None, labels: str) -> list[StoredReport]:
        reports = []
        for listed in self._list_reports(namespace, labels):
            try:
                reports.append(listed.read())
            except InvalidObject as error:
                logger.warning("MfaReport %s/%s: %s", listed.namespace, listed.name, error)
        return reports

    def _get_once(self, resource: Resource, namespace: str, name: str) -> dict[str, Any] | None:
        try:
            return self._calls.get(resource, namespace, name)
        except CallFailed as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def _get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any] | None:
        label = f"{resource.kind} {namespace}/{name}"
        return self._retrier.run(lambda: self._get_once(resource, namespace, name), name=label)

    def _list(
        self, resource: Resource, namespace: str | None, *, limit: int, labels: str = ""
    ) -> Iterator[dict[str, Any]]:
        def page(token: str) -> tuple[Sequence[dict[str, Any]], str]:
            answer = self._calls.page(resource, namespace, labels=labels, limit=limit, token=token)
            return answer["items"], answer["metadata"].get("continue") or ""

        yield from self._pages(resource, namespace, page, lambda body: body["metadata"]["uid"])

    def _list_reports(self, namespace: str | None, labels: str) -> Iterator[ListedReport]:
        def page(token: str) -> tuple[Sequence[ListedReport], str]:
            answer = self._calls.report_page(namespace, labels=labels, limit=REPORTS_PER_PAGE, token=token)
            return answer.items, answer.token

        yield from self._pages(REPORTS, namespace, page, lambda report: report.uid)

    def _pages(
        self,
        resource: Resource,
        namespace: str | None,
        ask: Callable[[str], tuple[Sequence[T], str]],
        uid: Callable[[T], str],
    ) -> Iterator[T]:
        """Every object of a list; `ask` gives the page of a token, and the token of the next one, "" for none."""
        label = f"{resource.plural} in {namespace or 'all namespaces'}"
        token, restarts = "", 0
        seen: set[str] = set()

        def page() -> tuple[Sequence[T], str]:
            nonlocal token, restarts
            try:
                return ask(token)
            except CallFailed as error:
                if error.status == EXPIRED:
                    # The server has forgotten the state that this list began with: list again, skip what was seen.
                    token, restarts = "", restarts + 1
                    if restarts > MAX_RESTARTS:
                        raise ClusterUnavailable(f"{label}: changed faster than they could be read") from error
                raise

        while True:
            items, token = self._retrier.run(page, name=label, also=frozenset({EXPIRED}))
            for item in items:
                if uid(item) not in seen:
                    seen.add(uid(item))
                    yield item
            if not token:
                return
