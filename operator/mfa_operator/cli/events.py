"""`mfa-operator events`: waits for messages of the events queue and prints what the operator would audit for each."""

from __future__ import annotations

import sys
import time
from collections import OrderedDict
from typing import NoReturn

import click

from mfa_operator.api.conversion import rfc3339
from mfa_operator.aws.errors import AwsFailure
from mfa_operator.aws.event_queue import EventQueue
from mfa_operator.cli import options
from mfa_operator.config.queue_url import QueueUrl
from mfa_operator.iam_events.message import Hint, OrganizationChanged, Parsed, Unreadable, parse

EPILOG = """\b
Columns: when it happened at AWS, the event, the account, what is audited.
An operator that reads the same queue takes turns with this command: a message
that the operator gets first is not shown here, and the operator gets them all.

\b
Exit status:
  0  ended by Ctrl-C
  2  the queue cannot be read
  3  the input is bad
"""
VISIBILITY_SECONDS = 5
"""How long a message that was shown is kept from the operator; it is told apart when it comes back."""
REMEMBERED = 10_000
"""Messages that are not shown again when they come back."""
PAUSE_SECONDS = 5.0
CANNOT_READ = 2


@click.command("events", epilog=EPILOG)
@click.option(
    "--queue",
    "url",
    type=options.QueueUrlType(),
    required=True,
    envvar="MFA_OPERATOR_EVENTS_QUEUE",
    metavar="URL",
    help="The SQS queue; else MFA_OPERATOR_EVENTS_QUEUE.",
)
def command(*, url: QueueUrl | None) -> int:
    """Show IAM events from the queue and what each would have audited; delete nothing. Ctrl-C ends it."""
    if url is None:
        raise click.UsageError("missing --queue URL.")
    queue = EventQueue(url)
    try:
        queue.check_reachable()
        click.echo(f"waiting for messages of {url}; Ctrl-C ends", err=True)
        _show(queue)
    except AwsFailure as error:
        click.echo(f"mfa-operator: cannot read the queue: {error}", err=True)
        return CANNOT_READ
    except KeyboardInterrupt:
        return 0
    finally:
        queue.close()


def _show(queue: EventQueue) -> NoReturn:
    """Print messages until somebody interrupts it. Raises AwsFailure where none could ever be read."""
    seen: OrderedDict[str, None] = OrderedDict()
    worked = False
    while True:
        began = time.monotonic()
        try:
            messages = queue.receive(visibility=VISIBILITY_SECONDS)
        except AwsFailure as error:
            if not worked:
                raise
            click.echo(f"mfa-operator: {error}; again in {PAUSE_SECONDS:.0f} s", err=True)
            time.sleep(PAUSE_SECONDS)
            continue
        worked = True
        for message in messages:
            if message.id not in seen:
                click.echo(line(parse(message.body)))
                sys.stdout.flush()
            seen[message.id] = None
        while len(seen) > REMEMBERED:
            seen.popitem(last=False)
        if time.monotonic() - began < 1:
            # Messages that are shown already come back every few seconds.
            time.sleep(0.2)


def line(parsed: Parsed) -> str:
    """One message in one line."""
    when, account, what = "-", "-", "nothing"
    match parsed:
        case Hint():
            when = rfc3339(parsed.time) if parsed.time else "-"
            account, what = parsed.account_id, ", ".join(sorted(parsed.users)) or "the account"
        case OrganizationChanged():
            account, what = parsed.account_id or "-", "the organization's list of accounts"
        case Unreadable():
            what = f"not an event: {parsed.problem}"
    return f"{when:<20}  {parsed.type:<27}  {account:<12}  {what}"
