"""AWS's settings of the environment: profile, region, credentials, as any AWS SDK takes them."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

import boto3
import botocore.session
from botocore.exceptions import BotoCoreError
from botocore.utils import parse_timestamp

from mfa_operator.config.settings import SettingsError


def botocore_session() -> botocore.session.Session:
    """A botocore session that knows AWS_REGION, which boto3 alone of AWS's SDKs does not.

    It reads AWS's usual time format itself, too: dateutil takes 40 % of the CPU that a large account costs.
    """
    session = botocore.session.get_session()
    if region := os.environ.get("AWS_REGION"):
        session.set_config_variable("region", region)
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_timestamp)
    return session


def session_of_the_environment() -> boto3.Session:
    """Raises SettingsError."""
    try:
        return boto3.Session(botocore_session=botocore_session())
    except BotoCoreError as error:
        raise SettingsError(f"invalid AWS settings: {error}") from error


def _timestamp(value: Any) -> datetime:  # noqa: ANN401 - text or a number, as botocore's own parser takes it
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        parsed: datetime = parse_timestamp(value)
        return parsed
