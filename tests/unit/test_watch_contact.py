"""When the watch counts as connected, and what is said when it is not."""

from __future__ import annotations

import logging

import pytest

from mfa_operator.process.watch import CONTACT_SECONDS, WatchContact

PATH = "/apis/mfa-operator.io/v1alpha1/mfapolicies"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def contact(clock: Clock) -> WatchContact:
    """One whose watch has been opened."""
    contact = WatchContact(monotonic=clock)
    for stream in (False, True):
        contact.asked(PATH, stream=stream)
        contact.answered(PATH, stream=stream, status=200)
    return contact


def test_before_the_first_watch_is_open() -> None:
    contact = WatchContact()
    assert not contact.holds
    contact.asked(PATH, stream=False)
    contact.answered(PATH, stream=False, status=200)
    assert not contact.holds
    contact.asked(PATH, stream=True)
    contact.answered(PATH, stream=True, status=200)
    assert contact.holds


def test_an_open_watch_holds_for_as_long_as_it_is_open(contact: WatchContact, clock: Clock) -> None:
    clock.now += 10_000
    assert contact.holds


@pytest.mark.parametrize("failure", ["silence", "exception", "status"])
def test_a_watch_that_does_not_come_back(contact: WatchContact, clock: Clock, failure: str) -> None:
    for _ in range(4):
        assert contact.holds
        contact.asked(PATH, stream=True)
        if failure == "exception":
            contact.failed("Connection refused")
        elif failure == "status":
            contact.answered(PATH, stream=True, status=503)
        # The list before each watch succeeds, and means nothing.
        contact.asked(PATH, stream=False)
        contact.answered(PATH, stream=False, status=200)
        clock.now += CONTACT_SECONDS / 4
    assert not contact.holds
    contact.answered(PATH, stream=True, status=200)
    assert contact.holds


def test_one_namespace_of_two(contact: WatchContact, clock: Clock) -> None:
    contact.asked(PATH.replace("v1alpha1", "v1alpha1/namespaces/b"), stream=True)
    clock.now += CONTACT_SECONDS
    assert not contact.holds


def test_an_outage_is_one_line_and_its_end_another(contact: WatchContact, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for _ in range(2):
        for _ in range(5):
            contact.asked(PATH, stream=True)
            contact.failed("Connection refused")
        contact.answered(PATH, stream=True, status=200)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("ERROR", "the watch of mfapolicies cannot connect: Connection refused"),
        ("INFO", "the watch of mfapolicies is connected again"),
    ] * 2


def test_a_refusal_says_what_the_api_server_says(contact: WatchContact, caplog: pytest.LogCaptureFixture) -> None:
    contact.asked(PATH, stream=True)
    contact.answered(PATH, stream=True, status=403, message='cannot watch resource "mfapolicies"')
    assert [record.getMessage() for record in caplog.records] == [
        'the watch of mfapolicies cannot connect: HTTP status 403: cannot watch resource "mfapolicies"'
    ]


def test_a_token_that_has_run_out_is_no_news(contact: WatchContact, caplog: pytest.LogCaptureFixture) -> None:
    contact.asked(PATH, stream=True)
    contact.answered(PATH, stream=True, status=401)
    assert caplog.records == []
