"""Every state, reason and enumerated value of the API: users meet these words in status, Events and metrics."""

from enum import StrEnum

GROUP = "mfa-operator.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
REQUESTED_AT_ANNOTATION = f"{GROUP}/requestedAt"
POLICY_LABEL = f"{GROUP}/policy"
ACCOUNT_LABEL = f"{GROUP}/account-id"
ORGANIZATION_ANNOTATION = f"{GROUP}/organization-id"
"""On the MfaReport of an account that was discovered: the AWS organization that it was discovered in."""
ROOT_USER = "<root_account>"
"""The name the credential report gives an account's root user."""


class UserScope(StrEnum):
    """Which IAM users a policy judges."""

    CONSOLE = "Console"
    """Users with a login profile: CIS AWS Foundations 1.10, Security Hub IAM.5."""
    ALL = "All"
    """Every user, access keys only or not: Security Hub IAM.19."""


class RootRequirement(StrEnum):
    """What a policy asks of the root user: CIS AWS Foundations 1.5 (Mfa) and 1.6 (HardwareMfa)."""

    IGNORE = "Ignore"
    MFA = "Mfa"
    HARDWARE_MFA = "HardwareMfa"


class DeviceType(StrEnum):
    """Kind of an MFA device, from the form of its serial number."""

    VIRTUAL = "Virtual"
    SECURITY_KEY = "SecurityKey"
    HARDWARE_TOKEN = "HardwareToken"  # noqa: S105 - the API's word for a device, no credential
    SMS = "Sms"


class RemediationAction(StrEnum):
    """What may be done about an Overdue user; each action includes the milder ones in access rules."""

    NONE = "None"
    QUARANTINE = "QuarantineUntilMfa"
    REMOVE_CONSOLE_ACCESS = "RemoveConsoleAccess"


class UserState(StrEnum):
    """Verdict on one user; the counts of these states add up to an account's users."""

    NO_CONSOLE = "NoConsole"
    COMPLIANT = "Compliant"
    EXEMPT = "Exempt"
    VIOLATING = "Violating"
    OVERDUE = "Overdue"
    UNKNOWN = "Unknown"


class FindingState(StrEnum):
    """State of a finding in an MfaReport: the verdicts worth listing, and Remediated."""

    VIOLATING = "Violating"
    OVERDUE = "Overdue"
    EXEMPT = "Exempt"
    UNKNOWN = "Unknown"
    REMEDIATED = "Remediated"


OPEN_STATES = (FindingState.VIOLATING, FindingState.OVERDUE)
"""States of a finding that is a violation, within the grace period or past it."""


class FindingReason(StrEnum):
    """Why a user is a finding."""

    NO_MFA = "NoMfa"
    DEVICE_TYPE_NOT_ALLOWED = "DeviceTypeNotAllowed"
    ROOT_NO_MFA = "RootNoMfa"
    ROOT_NO_HARDWARE_MFA = "RootNoHardwareMfa"
    LOOKUP_DENIED = "LookupDenied"
    """AWS refused to answer about this user."""
    LOOKUP_FAILED = "LookupFailed"
    """AWS could not answer about this user: throttled, timed out, an invalid answer."""
    NOT_VISIBLE_YET = "NotVisibleYet"
    """IAM lists the user but does not find it yet: it is eventually consistent."""
    STALE = "Stale"
    """What is known is older than spec.maxStaleness, and no newer answer could be had."""
    CONSOLE_ACCESS_REMOVED = "ConsoleAccessRemoved"
    """The login profile was removed by this operator."""
    QUARANTINE_NOT_LIFTED = "QuarantineNotLifted"
    """Nothing asks for the quarantine any more, yet it could not be lifted."""


class AccountState(StrEnum):
    """Outcome of the last try to audit an account."""

    AUDITED = "Audited"
    FAILED = "Failed"
    DENIED = "Denied"
    PENDING = "Pending"
    """Joined its organization less than an hour ago and refuses the role, which may be on its way."""


NOT_FAILED = (AccountState.AUDITED, AccountState.PENDING)
"""States of an account in which nobody has to do anything."""


class AccountReason(StrEnum):
    """Why an account could not be audited, or only in part."""

    ASSUME_ROLE_DENIED = "AssumeRoleDenied"
    ACCESS_DENIED = "AccessDenied"
    NOT_ALLOWED = "NotAllowed"
    """The operator's own access rules keep this account or role from the policy's namespace."""
    ACCOUNT_MISMATCH = "AccountMismatch"
    """The credentials in hand belong to another account than the policy names."""
    CREDENTIALS_MISSING = "CredentialsMissing"
    THROTTLED = "Throttled"
    TIMEOUT = "Timeout"
    REPORT_FAILED = "CredentialReportFailed"
    REPORT_UNAVAILABLE = "CredentialReportUnavailable"
    """Audited all the same, every user read live."""
    WRITE_FAILED = "WriteFailed"
    """Audited, but the cluster refused the MfaReport."""
    ERROR = "Error"


class ErrorReason(StrEnum):
    """Label `reason` of mfa_policy_errors_total."""

    ASSUME_ROLE = "assume_role"
    ACCESS_DENIED = "access_denied"
    THROTTLED = "throttled"
    REPORT = "report"
    TIMEOUT = "timeout"
    OTHER = "other"


class ConditionType(StrEnum):
    """Conditions of an MfaPolicy. Stalled and Reconciling stand there only while they are True, as kstatus wants it."""

    READY = "Ready"
    """The policy does its job: its accounts are audited, single failures aside."""
    COMPLIANT = "Compliant"
    ACCOUNTS_AUDITED = "AccountsAudited"
    """Every account was audited."""
    ACCOUNTS_DISCOVERED = "AccountsDiscovered"
    """The organization was listed; only where the policy has one."""
    RECONCILING = "Reconciling"
    """A pass that an edit or a request asked for is under way."""
    STALLED = "Stalled"
    """Nothing but an edit of the policy helps."""


class ConditionReason(StrEnum):
    """Reasons of the conditions."""

    PENDING = "Pending"
    PASS_SUCCEEDED = "PassSucceeded"  # noqa: S105 - a condition's reason, no credential
    NO_ACCOUNT_AUDITED = "NoAccountAudited"
    INVALID_SPEC = "InvalidSpec"
    SUSPENDED = "Suspended"
    NOT_ALLOWED = "NotAllowed"
    ALL_AUDITED = "AllAudited"
    ACCOUNTS_FAILED = "AccountsFailed"
    ACCOUNTS_NOT_ALLOWED = "AccountsNotAllowed"
    DISCOVERED = "Discovered"
    DISCOVERY_FAILED = "DiscoveryFailed"
    DISCOVERY_DENIED = "DiscoveryDenied"
    NOT_IN_USE = "NotInUse"
    UNKNOWN_UNIT = "UnknownUnit"
    PASS_RUNNING = "PassRunning"  # noqa: S105 - a condition's reason, no credential
    ALL_COMPLIANT = "AllCompliant"
    VIOLATIONS = "Violations"
    NOT_AUDITED = "NotAudited"


class RemediationState(StrEnum):
    """How far a remediation of one finding is."""

    PLANNED = "Planned"
    DRY_RUN = "DryRun"
    INTENDED = "Intended"
    DONE = "Done"
    FAILED = "Failed"
    SKIPPED = "Skipped"


class RefusalReason(StrEnum):
    """Why an Overdue user gets no remediation now."""

    REMEDIATION_DISABLED = "RemediationDisabled"
    DRY_RUN = "DryRun"
    NOT_ALLOWED = "NotAllowed"
    NOT_PUBLISHED_YET = "NotPublishedYet"
    WITHIN_GRACE = "WithinGrace"
    LIMIT_REACHED = "LimitReached"
    ROOT = "Root"
    OWN_IDENTITY = "OwnIdentity"
    LOOKUP_DENIED = "LookupDenied"
    EXEMPT = "Exempt"
    NO_CONSOLE = "NoConsoleAccess"
    """There is no login profile to take away: with `users: All` one may violate without."""
    ENROLLING_FORBIDDEN = "EnrollingForbidden"
    """Under quarantine the user could not enrol MFA: a permissions boundary, an SCP or another policy forbids it."""


class EventReason(StrEnum):
    """Reasons of the Events written on a policy; transitions only."""

    NEW_VIOLATIONS = "NewViolations"
    """Users of an account violate who did not at the last pass; with the ways out."""
    VIOLATIONS_RESOLVED = "ViolationsResolved"
    """Users of an account do not violate any more."""
    ACCOUNT_FAILED = "AccountFailed"
    """An account was not audited. Again when the reason changes."""
    ACCOUNT_RECOVERED = "AccountRecovered"
    """An account is audited again."""
    ACCOUNT_LEFT = "AccountLeft"
    """A complete listing of the organization lacks an account, or the policy does not include it any more."""
    INVALID_SPEC = "InvalidSpec"
    """The spec is invalid, and nothing is audited. Again when the reason changes."""
    NOT_ALLOWED = "NotAllowed"
    """The operator's access rules do not let the policy's namespace audit an account."""
    CONSOLE_ACCESS_REMOVED = "ConsoleAccessRemoved"
    """A user's login profile was removed."""
    QUARANTINED = "Quarantined"
    """A user was put under quarantine."""
    QUARANTINE_LIFTED = "QuarantineLifted"
    """A user's quarantine was lifted, with the reason; or somebody else has lifted it."""
    REMEDIATION_FAILED = "RemediationFailed"
    """A user could not be acted on, or an account as a whole. Again when the message changes."""
    SERVED_BY_ANOTHER = "ServedByAnother"
    """Two operators select the policy: the one that writes this does not audit it, as another does."""
    QUARANTINES_LEFT = "QuarantinesLeft"
    """Users stay under quarantine that no policy and no report accounts for; with the command that lifts it."""

    @property
    def is_warning(self) -> bool:
        """Whether its Events are of type Warning: somebody may have to do something."""
        return self not in (
            EventReason.VIOLATIONS_RESOLVED,
            EventReason.ACCOUNT_RECOVERED,
            EventReason.ACCOUNT_LEFT,
            EventReason.QUARANTINE_LIFTED,
        )
