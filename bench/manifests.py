"""Policies for the measurements; imports nothing that a measured process would not import by itself."""

from __future__ import annotations


def role(account_id: str) -> str:
    return f"arn:aws:iam::{account_id}:role/mfa-operator"


def policy(name: str, account_ids: list[str], *, roles: bool = True, **spec: object) -> dict[str, object]:
    """An MfaPolicy manifest over these accounts."""
    accounts = [{"id": each, "roleArn": role(each)} if roles else {"id": each} for each in account_ids]
    return {
        "apiVersion": "mfa-operator.io/v1alpha1",
        "kind": "MfaPolicy",
        "metadata": {"name": name, "namespace": "bench"},
        "spec": {"accounts": accounts, **spec},
    }
