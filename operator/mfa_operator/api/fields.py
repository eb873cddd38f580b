"""What the models of the spec are made of: their base, the types of fields that several have, and checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from mfa_operator.api.conversion import WrongField
from mfa_operator.api.duration import Duration

# \Z: to Python a `$` also matches before a line break at the end, to the API server it does not.
ROLE_ARN_PATTERN = (
    r"^arn:aws(-cn|-us-gov|-eusc|-iso(-[bef])?)?:iam::[0-9]{12}:role/([!-~]+/)?[A-Za-z0-9_+=,.@-]{1,64}\Z"
)
EXTERNAL_ID_PATTERN = r"^[A-Za-z0-9_+=,.@:/-]{2,1224}\Z"
MAX_TAG_KEY = 128

AccountId = Annotated[str, Meta(pattern=r"^[0-9]{12}\Z", description="an AWS account id: 12 digits, in quotes")]
RoleArn = Annotated[str, Meta(pattern=ROLE_ARN_PATTERN, max_length=700)]
ExternalId = Annotated[str, Meta(pattern=EXTERNAL_ID_PATTERN)]
TagValue = Annotated[str, Meta(max_length=256)]
AwareDatetime = Annotated[datetime, Meta(tz=True)]
"""A moment; one without time zone is an error, as it cannot be compared with the others."""
Tags = Annotated[Mapping[str, TagValue], Meta(min_length=1, max_length=50)]


class Model(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Base of the spec's models: unknown fields are an error, never dropped."""


def check_each_once(field: str, values: Iterable[str]) -> None:
    """Raises WrongField."""
    twice = [value for value, count in Counter(values).items() if count > 1]
    if twice:
        raise WrongField(field, f"{twice[0]} is here twice")


def check_within(field: str, value: Duration, low: Duration, high: Duration) -> None:
    """Raises WrongField."""
    if not low <= value <= high:
        raise WrongField(field, f"is {value}; it must be from {low} to {high}")


def check_tags(tags: Mapping[str, str]) -> None:
    """Raises WrongField."""
    if any(not 1 <= len(key) <= MAX_TAG_KEY for key in tags):
        raise WrongField("tags", f"the key of a tag has 1 to {MAX_TAG_KEY} characters")
