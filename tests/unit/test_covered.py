"""Which accounts a policy covers, and how a table shows them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from mfa_operator.api.conversion import from_dict
from mfa_operator.api.objects import Policy, PolicyRef
from mfa_operator.api.policy import PolicySpec
from mfa_operator.config.access_rules import AccessRules
from mfa_operator.offline.covered import CoveredAccount, covered_accounts, totals
from mfa_operator.offline.covered_table import covered_table
from mfa_operator.organization.listing import Listing, Member

ROOT, PROD, PAYMENTS, SANDBOX = "r-ab12", "ou-ab12-prodprod", "ou-ab12-payments", "ou-ab12-sandbox0"
NAMES = {ROOT: "Root", PROD: "Production", PAYMENTS: "Payments"}
MANAGEMENT, PAY, PLAY, OLD, TYPED = "999900001111", "111122223333", "222233334444", "333344445555", "444455556666"
MEMBERS = (
    Member(MANAGEMENT, "management", units=(ROOT,)),
    Member(PAY, "payments-prod", units=(ROOT, PROD, PAYMENTS)),
    Member(PLAY, "playground", units=(ROOT, SANDBOX)),
    Member(OLD, "old", state="SUSPENDED", units=(ROOT, PROD)),
)
ORGANIZATION: dict[str, Any] = {"exclude": {"organizationalUnits": [SANDBOX]}}


def policy(accounts: Sequence[Mapping[str, str]] = (), organization: Mapping[str, Any] | None = None) -> Policy:
    content = {"accounts": list(accounts)} if accounts else {}
    if organization is not None:
        content["organization"] = organization  # type: ignore[assignment]
    spec = from_dict(PolicySpec, content)
    return Policy(ref=PolicyRef("security", "p"), uid="", generation=1, spec=spec)


def covered(asked: Policy, *, access: AccessRules | None = None, partition: str = "aws") -> list[CoveredAccount]:
    listing = Listing(
        organization_id="o-0123456789",
        management_id=MANAGEMENT,
        partition=partition,
        members=MEMBERS,
        listed_at=datetime(2026, 11, 24, tzinfo=UTC),
        units=frozenset((ROOT, PROD, PAYMENTS, SANDBOX)),
    )
    return covered_accounts(asked, listing if asked.spec.organization else None, access or AccessRules(), NAMES)


def rows(accounts: Sequence[CoveredAccount]) -> dict[str, tuple[str, str, str | None]]:
    return {each.name or each.id: (each.source, each.path, each.skipped) for each in accounts}


def test_every_account_of_spec_and_organization_is_there_once() -> None:
    found = covered(policy([{"id": TYPED, "name": "typed"}, {"id": PAY, "name": "pay"}], ORGANIZATION))
    assert rows(found) == {
        "management": ("organization", "/", None),
        "old": ("organization", "/Production", "Suspended"),
        "pay": ("spec", "/Production/Payments", None),
        "playground": ("organization", f"/{SANDBOX}", "Excluded"),
        "typed": ("spec", "", None),
    }
    assert [each.name for each in found] == sorted(each.name for each in found)


def test_a_spec_entry_is_audited_whatever_the_organization_says() -> None:
    found = covered(policy([{"id": OLD}, {"id": PLAY}], ORGANIZATION))
    assert rows(found)["old"] == ("spec", "/Production", None), "an entry without a name gets the discovered one"
    assert rows(found)["playground"] == ("spec", f"/{SANDBOX}", None)


def test_roles_are_built_with_the_partition_of_the_organization() -> None:
    role = {"name": "audit", "path": "/sec/"}
    found = covered(policy([{"id": TYPED}], {"accountRole": role}), partition="aws-cn")
    roles = {each.id: each.role_arn for each in found}
    assert roles[PAY] == f"arn:aws-cn:iam::{PAY}:role/sec/audit"
    assert roles[TYPED] is None


def test_access_rules_refuse_typed_and_discovered_accounts_alike() -> None:
    rules = [{"namespaces": ["security"], "accounts": [PAY, OLD], "organization": True}]
    access = AccessRules.from_dict({"access": rules})
    found = covered(policy([{"id": TYPED, "name": "typed"}], {}), access=access)
    assert {name: why for name, (_, _, why) in rows(found).items()} == {
        "management": "NotAllowed",
        "old": "Suspended",
        "payments-prod": None,
        "playground": "NotAllowed",
        "typed": "NotAllowed",
    }


def test_totals() -> None:
    assert totals(covered(policy([{"id": TYPED}], ORGANIZATION))) == (
        "5 accounts: 3 to audit (1 from spec.accounts, 2 from the organization), 1 skipped (1 Suspended), 1 excluded"
    )
    assert totals(covered(policy([{"id": TYPED}]))) == "1 account: 1 to audit (1 from spec.accounts)"
    assert totals([]) == "0 accounts: 0 to audit"


@pytest.mark.parametrize("width", [40, 80, 160])
def test_the_table_shows_every_fact_at_every_width(width: int) -> None:
    hostile = {"id": TYPED, "name": "[red]\x1b[2Jx"}
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(covered_table(covered(policy([hostile], ORGANIZATION))))
    text = out.getvalue()
    assert all(line.isprintable() for line in text.split("\n"))
    assert max(map(len, text.split("\n"))) <= width
    for word in ("[red]", "payments-prod", PAY, "Suspended", "spec", "organization", "5 accounts: 3 to audit"):
        assert word in text.replace("\n", " ") or width == 40
    assert "/Production/Payments" in text.replace("\n", "")
