"""How the discovery of an organization stands, for the policy's condition AccountsDiscovered. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mfa_operator.api.enums import ConditionReason


@dataclass(frozen=True, slots=True)
class Discovery:
    """The outcome of the last listing, as far as it concerns one policy."""

    reason: ConditionReason
    """DISCOVERED, PENDING while the first listing is under way, or what is wrong."""
    message: str
    last_success: datetime | None = None
    """When the list in force was listed; None where this process has listed nothing yet."""
    in_force: bool = True
    """Whether there is a list that a complete listing was behind, this process's or an earlier one's."""

    @property
    def succeeded(self) -> bool | None:
        """None: the first listing has not ended."""
        return None if self.reason is ConditionReason.PENDING else self.reason is ConditionReason.DISCOVERED
