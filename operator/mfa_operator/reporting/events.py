"""What an Event on a policy says; kube/cluster.py writes it."""

from __future__ import annotations

from dataclasses import dataclass

from mfa_operator.api.enums import EventReason


@dataclass(frozen=True, slots=True)
class EventNote:
    """One Event, about a transition."""

    reason: EventReason
    action: str
    """What the operator was doing, machine-readable: Audit, Remediate, Validate."""
    note: str
    """For people; at most 1,024 bytes are kept."""
