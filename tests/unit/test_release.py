"""How `release` enters an account, by what a policy says."""

from __future__ import annotations

import pytest

from mfa_operator.api.conversion import from_dict
from mfa_operator.api.policy import PolicySpec
from mfa_operator.offline.release import account_of

TYPED, DISCOVERED = "111122223333", "222233334444"
LISTER = "arn:aws-cn:iam::999900001111:role/lister"


@pytest.mark.parametrize(
    ("organization", "expected"),
    [
        (None, None),
        ({}, f"arn:aws:iam::{DISCOVERED}:role/mfa-operator"),
        ({"accountRole": {"name": "audit", "path": "/sec/"}}, f"arn:aws:iam::{DISCOVERED}:role/sec/audit"),
        ({"roleArn": LISTER}, f"arn:aws-cn:iam::{DISCOVERED}:role/mfa-operator"),
    ],
)
def test_the_policys_own_entry_wins_over_its_organization(
    organization: dict[str, object] | None, expected: str | None
) -> None:
    spec = from_dict(PolicySpec, {"accounts": [{"id": TYPED}], "organization": organization})
    found = account_of(spec, DISCOVERED, "aws")
    assert (found and found.role_arn) == expected
    assert account_of(spec, TYPED, "aws") == spec.accounts[0]
