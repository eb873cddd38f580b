"""The signals that end a sitting, each of them, in this very process; at a terminal: test_enroll_prompts.py."""

from __future__ import annotations

import signal

import pytest

from mfa_operator.enroll.interrupts import Interrupted, Interrupts

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


@pytest.mark.parametrize("one", ENDING)
def test_a_signal_ends_it_where_that_is_allowed(one: signal.Signals) -> None:
    with Interrupts() as interrupts, pytest.raises(Interrupted, match=one.name) as ended, interrupts.allowed():
        signal.raise_signal(one)
    assert ended.value.status == 128 + one


@pytest.mark.parametrize("one", ENDING)
def test_elsewhere_it_waits_until_it_is_allowed(one: signal.Signals) -> None:
    with Interrupts() as interrupts:
        signal.raise_signal(one)
        signal.raise_signal(signal.SIGTERM)  # the first one counts
        with pytest.raises(Interrupted) as ended, interrupts.allowed():
            pytest.fail("the sitting went on")
        assert ended.value.status == 128 + one
        signal.raise_signal(one)  # while cleaning up


def test_it_can_go_on_where_no_signal_came() -> None:
    with Interrupts() as interrupts:
        with interrupts.allowed():
            pass
        signal.raise_signal(signal.SIGINT)


def test_ctrl_z_is_ignored_until_the_command_ends() -> None:
    """Stopped, the process would leave the seed standing on the screen."""
    concerned = (*ENDING, signal.SIGTSTP)
    before = [signal.getsignal(one) for one in concerned]
    with Interrupts():
        assert signal.getsignal(signal.SIGTSTP) is signal.SIG_IGN
        signal.raise_signal(signal.SIGTSTP)
    assert [signal.getsignal(one) for one in concerned] == before
