"""Who a session is at AWS: which account its credentials belong to."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ASSUMED_ROLE = re.compile(r"arn:[a-z-]+:sts::(?P<account>[0-9]{12}):assumed-role/.+")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a session is at AWS."""

    account_id: str
    arn: str

    @classmethod
    def of_assumed_role(cls, arn: str | None) -> Identity | None:
        """From AssumedRoleUser.Arn in the answer to AssumeRole; None where it is missing or invalid."""
        found = _ASSUMED_ROLE.fullmatch(arn or "")
        return cls(found["account"], found[0]) if found else None

    @property
    def partition(self) -> str:
        return self.arn.split(":")[1]

    @property
    def user_name(self) -> str | None:
        """Name of the IAM user, None for a role or root."""
        resource = self.arn.split(":", 5)[5]
        return resource.rsplit("/", 1)[1] if resource.startswith("user/") else None
