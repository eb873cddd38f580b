"""The world of a sandbox: its accounts, its clock and the credentials of the operator."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

from mfa_sandbox.aws.account import Account
from mfa_sandbox.aws.cloudtrail import Trail
from mfa_sandbox.aws.organization import Organization
from mfa_sandbox.aws.principals import Credentials, Principal, Principals
from mfa_sandbox.aws.queues import Queue, Queues
from mfa_sandbox.aws.regions import IAM_REGIONS
from mfa_sandbox.aws.wire import UNKNOWN_CREDENTIALS, AwsError

HOME_ACCOUNT = "123456789012"
OPERATOR_USER = "mfa-operator"
OPERATOR_ROLE = "mfa-operator"


def utc_now() -> datetime:
    return datetime.now(UTC)


class World:
    """Everything that exists. `clock` gives the time that AWS stamps on what it makes and may be replaced;
    `check_codes` makes EnableMFADevice check its codes as AWS does; `page_limit` makes every page shorter."""

    def __init__(
        self,
        partition: str = "aws",
        home_id: str = HOME_ACCOUNT,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self.partition = partition
        self.home_id = home_id
        self._clock = clock or utc_now
        self._offset = timedelta()
        self.check_codes = False
        self.page_limit: int | None = None
        self.principals = Principals()
        self.queues = Queues(partition)
        self.trail = Trail()
        self.accounts: dict[str, Account] = {}
        self.organizations: list[Organization] = []
        self._lock = threading.Lock()
        self.home = self.account(home_id)
        """The account that the operator's own credentials belong to."""
        self.operator = self.home.user(OPERATOR_USER, access_keys=1)
        """The IAM user behind `operator_credentials`: an ordinary user of the home account, without password."""

    @property
    def operator_credentials(self) -> Credentials:
        """Static access keys of the home account: they may assume trusted roles, and audit the home account itself."""
        return self.operator.credentials()

    def now(self) -> datetime:
        return self._clock() + self._offset

    @property
    def clock(self) -> Callable[[], datetime]:
        """Gives the time in UTC."""
        return self.now

    @clock.setter
    def clock(self, clock: Callable[[], datetime]) -> None:
        self._clock, self._offset = clock, timedelta()

    def set_time(self, now: datetime) -> None:
        """Stop the clock at this moment."""
        self.clock = lambda: now

    def advance(self, by: timedelta) -> None:
        """Put the clock forward; it goes on, or stands still, as it did before."""
        self._offset += by

    def account(
        self, account_id: str, trusted_role: str | None = OPERATOR_ROLE, external_id: str | None = None
    ) -> Account:
        """The account of this id; made, with a role that the operator may assume, if it is not there.

        Raises ValueError where an account that is there is asked for with a role or external id of its own
        (`Account.trust` adds one).
        """
        with self._lock:
            known = self.accounts.get(account_id)
            if known is not None:
                if trusted_role != OPERATOR_ROLE or external_id is not None:
                    raise ValueError(f"account {account_id} is there already; use trust() to add a role")
                return known
            made = Account(account_id, self.partition, home_id=self.home_id, now=self.now, principals=self.principals)
            made.on_change = partial(self.trail.record_change, made)
            organization = self.organization_of(account_id)
            if organization is not None:
                made.suspended = organization.members[account_id].state != "ACTIVE"
            self.accounts[account_id] = made
        if trusted_role is not None:
            made.trust(trusted_role, external_id)
        return made

    def events_queue(self, name: str = "mfa-operator-events", *, visibility_timeout: float = 30.0) -> Queue:
        """The queue of the home account that IAM's events go to from now on; made if it is not there."""
        region = IAM_REGIONS[self.partition]
        queue = self.queues.create(self.home_id, region, name, visibility_timeout=visibility_timeout)
        self.trail.queue = queue
        return queue

    def create_organization(self, management_id: str | None = None) -> Organization:
        """A new organization of the management account alone: the home account, if none is named.

        Raises ValueError where that account is in an organization.
        """
        management = self.account(management_id or self.home_id)
        made = Organization(self, management.id)
        self.organizations.append(made)
        return made

    def organization_of(self, account_id: str) -> Organization | None:
        """The organization that the account is in."""
        return next((one for one in list(self.organizations) if account_id in one.members), None)

    def caller(self, key_id: str, token: str | None) -> Principal:
        """Who signs with this access key id. Raises InvalidClientTokenId; expiry is `Principals.check_expiry`'s."""
        session = self.principals.find(key_id, token)
        if session is not None:
            return session
        for account in list(self.accounts.values()):
            user = account.user_of_key(key_id)
            if user is not None:
                return Principal(account.id, user.arn, user.id, user.name)
        raise AwsError("InvalidClientTokenId", UNKNOWN_CREDENTIALS)

    def expire_credentials(self, account: Account | str) -> None:
        """Later calls with sessions of this account, made until now, answer ExpiredToken."""
        self.principals.expire(account if isinstance(account, str) else account.id)
