"""AWS's IAM, STS and Organizations on loopback: moto behind a front that makes it behave like AWS where moto differs.

    with EmbeddedAws() as aws:
        account = aws.world.account("111122223333", external_id="acme-7f3a")
        account.user("alice", password=True, mfa=["virtual"])
        # any AWS SDK: endpoint aws.endpoint_url, credentials aws.world.operator_credentials

Signatures are not checked, access keys and session tokens are.
"""

from mfa_sandbox.aws.account import Account
from mfa_sandbox.aws.calls import CallLog, CallRecord
from mfa_sandbox.aws.faults import Fault, FaultKind, Faults
from mfa_sandbox.aws.organization import Member, Organization, Unit
from mfa_sandbox.aws.principals import Credentials
from mfa_sandbox.aws.server import EmbeddedAws
from mfa_sandbox.aws.state import LoginProfile, RootUser
from mfa_sandbox.aws.user import SandboxUser
from mfa_sandbox.aws.world import World

__all__ = [
    "Account",
    "CallLog",
    "CallRecord",
    "Credentials",
    "EmbeddedAws",
    "Fault",
    "FaultKind",
    "Faults",
    "LoginProfile",
    "Member",
    "Organization",
    "RootUser",
    "SandboxUser",
    "Unit",
    "World",
]
