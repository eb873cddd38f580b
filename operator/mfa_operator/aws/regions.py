"""Which region of a partition is asked."""

from __future__ import annotations

DEFAULT_REGIONS = {
    "aws": "us-east-1",
    "aws-cn": "cn-north-1",
    "aws-us-gov": "us-gov-west-1",
    "aws-eusc": "eusc-de-east-1",
    "aws-iso": "us-iso-east-1",
    "aws-iso-b": "us-isob-east-1",
    "aws-iso-e": "eu-isoe-west-1",
    "aws-iso-f": "us-isof-south-1",
}
"""Region to use in a partition where the configured region belongs to another one."""

ORGANIZATIONS_REGIONS = DEFAULT_REGIONS | {"aws-cn": "cn-northwest-1"}
"""The one region of each partition that has AWS Organizations."""
