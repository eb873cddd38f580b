"""Pages of MfaReports as the API server sends them: who they are is read at once, what they say when it is needed.

A policy of ten thousand accounts has as many reports. As dicts they would take ten times the bytes that they have as
JSON, and so they stay JSON until their account's turn has come.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from mfa_operator.api.conversion import from_json
from mfa_operator.api.enums import ORGANIZATION_ANNOTATION
from mfa_operator.api.status import ReportStatus
from mfa_operator.kube.objects import ObjectMeta, StoredReport, owner_of

ID_LENGTH = 12


class _Owner(msgspec.Struct, rename="camel"):
    kind: str = ""
    api_version: str = ""
    uid: str = ""


class _Annotations(msgspec.Struct):
    organization_id: str = msgspec.field(name=ORGANIZATION_ANNOTATION, default="")


class _Metadata(msgspec.Struct, rename="camel"):
    name: str
    namespace: str
    uid: str
    resource_version: str
    owner_references: list[_Owner] | None = None
    annotations: _Annotations | None = None


class _Item(msgspec.Struct):
    metadata: _Metadata
    status: msgspec.Raw = msgspec.Raw()


class _ListMetadata(msgspec.Struct):
    token: str = msgspec.field(name="continue", default="")


class _List(msgspec.Struct):
    kind: str
    metadata: _ListMetadata
    items: list[_Item]


_DECODER = msgspec.json.Decoder(_List)


@dataclass(frozen=True, slots=True)
class ListedReport(ObjectMeta):
    """An MfaReport whose content was not parsed yet."""

    content: bytes
    """Its status as JSON; empty where it has none."""
    organization_id: str = ""
    """Of the organization that the account was discovered in; "" where it was not, or by an earlier release."""

    @property
    def account_id(self) -> str:
        """From its name, which nobody can edit."""
        return self.name[-ID_LENGTH:]

    def read(self) -> StoredReport:
        """Raises InvalidObject where the status is invalid."""
        empty = not self.content or self.content == b"null"
        status = (
            ReportStatus(account_id=self.account_id) if empty else from_json(ReportStatus, self.content, at="status")
        )
        return StoredReport(self.name, self.namespace, self.uid, self.resource_version, self.owner_uid, status=status)


@dataclass(frozen=True, slots=True)
class ReportPage:
    """One page of a list."""

    items: tuple[ListedReport, ...]
    token: str
    """For the next page; empty where this is the last."""


def read_page(answer: bytes) -> ReportPage:
    """A page from the API server's answer. Raises ValueError where it is none."""
    try:
        page = _DECODER.decode(answer)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error
    if page.kind != "MfaReportList":
        raise ValueError(f"a {page.kind}")
    return ReportPage(tuple(_listed(item) for item in page.items), page.metadata.token)


def _listed(item: _Item) -> ListedReport:
    meta = item.metadata
    owner = owner_of((each.kind, each.api_version, each.uid) for each in meta.owner_references or ())
    # Copied: a slice would keep the whole page in memory.
    return ListedReport(
        meta.name,
        meta.namespace,
        meta.uid,
        meta.resource_version,
        owner,
        content=bytes(item.status),
        organization_id=meta.annotations.organization_id if meta.annotations else "",
    )
