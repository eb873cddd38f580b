"""Where each partition has IAM, which also records its events there, and where it has Organizations."""

from __future__ import annotations

IAM_REGIONS = {
    "aws": "us-east-1",
    "aws-cn": "cn-north-1",
    "aws-us-gov": "us-gov-west-1",
    "aws-eusc": "eusc-de-east-1",
    "aws-iso": "us-iso-east-1",
    "aws-iso-b": "us-isob-east-1",
    "aws-iso-e": "eu-isoe-west-1",
    "aws-iso-f": "us-isof-south-1",
}
ORGANIZATIONS_REGIONS = IAM_REGIONS | {"aws-cn": "cn-northwest-1"}
