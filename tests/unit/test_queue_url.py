"""The URL of the events queue: what is one, which region it says, and where requests go."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfa_operator.config.queue_url import QueueUrl

QUEUE = "111122223333/mfa-operator-events"


@pytest.mark.parametrize(
    ("host", "region", "endpoint"),
    [
        ("sqs.us-east-1.amazonaws.com", "us-east-1", None),
        ("sqs.cn-north-1.amazonaws.com.cn", "cn-north-1", None),
        ("sqs.us-gov-west-1.amazonaws.com", "us-gov-west-1", None),
        ("sqs-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1", None),
        ("sqs.us-iso-east-1.c2s.ic.gov", "us-iso-east-1", None),
        ("sqs.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1", None),
        ("sqs.us-east-1.api.aws", "us-east-1", None),
        ("us-west-2.queue.amazonaws.com", "us-west-2", None),
        ("queue.amazonaws.com", "us-east-1", None),
        (
            "vpce-0a1b-2c3d.sqs.eu-west-1.vpce.amazonaws.com",
            "eu-west-1",
            "https://vpce-0a1b-2c3d.sqs.eu-west-1.vpce.amazonaws.com",
        ),
        ("sqs.example.com:8443", None, "https://sqs.example.com:8443"),
    ],
)
def test_the_host_says_the_region(host: str, region: str | None, endpoint: str | None) -> None:
    url = QueueUrl.parse(f"https://{host}/{QUEUE}")
    assert (url.region, url.endpoint) == (region, endpoint)
    assert str(url) == f"https://{host}/{QUEUE}"


def test_plain_http_is_for_loopback() -> None:
    assert QueueUrl.parse(f"http://127.0.0.1:4566/{QUEUE}").endpoint == "http://127.0.0.1:4566"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mfa-operator-events",
        "arn:aws:sqs:us-east-1:111122223333:mfa-operator-events",
        f"http://sqs.us-east-1.amazonaws.com/{QUEUE}",
        "https://sqs.us-east-1.amazonaws.com/mfa-operator-events",
        "https://sqs.us-east-1.amazonaws.com/1111/mfa-operator-events",
        f"https://sqs.us-east-1.amazonaws.com/{QUEUE}/more",
        f"https://sqs.us-east-1.amazonaws.com/{QUEUE}?x=1",
        f"https://user:secret@sqs.us-east-1.amazonaws.com/{QUEUE}",
        f"https://sqs.us-east-1.amazonaws.com/{QUEUE}" + "x" * 600,
        f"https://[::1/{QUEUE}",
        f"https://sqs.us-east-1.amazonaws.com:99999/{QUEUE}",
        "https://sqs.us-east-1.amazonaws.com/111122223333/ä",
    ],
)
def test_what_is_no_queue_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"^invalid queue URL [^\n]+$") as caught:
        QueueUrl.parse(text)
    assert len(str(caught.value)) < 400
    assert "secret" not in str(caught.value)


@given(st.text() | st.text().map(lambda text: f"https://{text}/{QUEUE}"))
def test_whatever_is_given_is_a_queue_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert QueueUrl.parse(text).host
