"""The rules that judge one user. Pure.

A verdict comes from a chain of small rules, tried in order; the first that speaks decides:

1. no login profile, seen live                      NoConsole (scope Console)
2. a live lookup failed, or the facts are too old   Unknown
3. no console access                                NoConsole (scope Console)
4. an accepted MFA device                           Compliant
5. an exemption covers the user                     Exempt; Unknown where its tags could not be read
6. everybody else                                   Violating; verdicts.py says who of them is Overdue

Sources: CIS AWS Foundations 1.10 and Security Hub IAM.5 (scope Console), IAM.19 (scope All).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from mfa_operator.api.enums import FindingReason, UserScope, UserState
from mfa_operator.api.policy import Exemption, PolicySpec
from mfa_operator.evaluation.exemptions import candidates, covering
from mfa_operator.evaluation.facts import UserFacts
from mfa_operator.evaluation.sufficiency import Needs, accepted_device, console_access


class Case:
    """One user before the rules."""

    __slots__ = ("account_id", "checkpoint", "console", "facts", "needs", "now", "oldest", "spec")

    def __init__(
        self,
        facts: UserFacts,
        spec: PolicySpec,
        needs: Needs,
        account_id: str,
        now: datetime,
        checkpoint: Callable[[], object] = lambda: None,
    ) -> None:
        self.facts = facts
        self.spec = spec
        self.needs = needs
        self.account_id = account_id
        self.now = now
        self.checkpoint = checkpoint
        # What nearly every rule asks for.
        self.oldest = needs.oldest(now)
        self.console = console_access(facts, self.oldest)

    @property
    def exemptions(self) -> list[Exemption]:
        """Those that cover the user, whatever tags they ask for."""
        user = self.facts.user
        return candidates(self.spec, self.account_id, user.name, user.path, self.now, checkpoint=self.checkpoint)

    @property
    def tags(self) -> Mapping[str, str] | None:
        """None where they were not read, or too long ago."""
        known = self.facts.tags
        return known.value if known and known.at >= self.oldest else None


Ruling = tuple[UserState, FindingReason | None, str]
"""State, reason and the exemption's reason."""
Rule = Callable[[Case], Ruling | None]


def wants_tags(case: Case) -> bool:
    """Whether the user would violate, and only tags can tell whether an exemption covers them."""
    if not any(exemption.tags for exemption in case.spec.exemptions) or case.tags is not None or case.facts.failure:
        return False
    if any(rule(case) for rule in RULES_BEFORE_EXEMPTIONS):
        return False
    found = case.exemptions
    return bool(found) and covering(found, None) is None


def _no_console_live(case: Case) -> Ruling | None:
    profile = case.facts.profile
    if case.needs.scope is UserScope.CONSOLE and profile and profile.at >= case.oldest and not profile.value.exists:
        return UserState.NO_CONSOLE, None, ""
    return None


def _not_checked(case: Case) -> Ruling | None:
    if case.facts.failure:
        return UserState.UNKNOWN, case.facts.failure, ""
    if case.needs.scope is UserScope.CONSOLE and case.console is None:
        return UserState.UNKNOWN, FindingReason.STALE, ""
    return None


def _no_console(case: Case) -> Ruling | None:
    if case.needs.scope is UserScope.CONSOLE and case.console is False:
        return UserState.NO_CONSOLE, None, ""
    return None


def _compliant(case: Case) -> Ruling | None:
    if accepted_device(case.facts, case.needs.accepted, case.oldest):
        return UserState.COMPLIANT, None, ""
    if case.facts.devices is None or case.facts.devices.at < case.oldest:
        # Nobody is called a violator on the report's word alone.
        return UserState.UNKNOWN, FindingReason.STALE, ""
    return None


def _exempt(case: Case) -> Ruling | None:
    found = case.exemptions
    exemption = covering(found, case.tags)
    if exemption:
        return UserState.EXEMPT, _missing(case), exemption.reason
    if case.tags is None and found:
        return UserState.UNKNOWN, FindingReason.LOOKUP_FAILED, ""
    return None


def _violating(case: Case) -> Ruling | None:
    return UserState.VIOLATING, _missing(case), ""


def _missing(case: Case) -> FindingReason:
    has_any = case.facts.devices is not None and case.facts.devices.value
    return FindingReason.DEVICE_TYPE_NOT_ALLOWED if has_any else FindingReason.NO_MFA


RULES_BEFORE_EXEMPTIONS: tuple[Rule, ...] = (_no_console_live, _not_checked, _no_console, _compliant)
"""Where one of these speaks, the user's tags are not needed."""
RULES_FOR_VIOLATORS: tuple[Rule, ...] = (_exempt, _violating)
RULES = RULES_BEFORE_EXEMPTIONS + RULES_FOR_VIOLATORS
