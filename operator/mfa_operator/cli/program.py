"""The commands, imported when they are used: `audit` need not wait for the libraries of `run`."""

from __future__ import annotations

import difflib
import importlib
import os
import signal
import sys
import traceback
from typing import Any, NoReturn

import click

from mfa_operator import __version__
from mfa_operator.api.text import error_text
from mfa_operator.cli import INTERRUPTED, interrupts_raise, output, say_interrupted
from mfa_operator.config.settings import SettingsError

NOT_WRITTEN = 2
"""The output cannot be written: to whoever reads it nothing was audited."""
BAD_INPUT = 3
INTERNAL_ERROR = 70
"""EX_SOFTWARE of sysexits.h: a bug in the operator must not end with the 1 of `audit`, which means violations."""

COMMANDS = {
    "run": "Run the operator: watch MfaPolicy objects and audit their accounts.",
    "audit": "Audit AWS accounts once, without a cluster, and never change anything.",
    "accounts": "Show which accounts a policy covers: from where, by which role, and which are skipped and why.",
    "plan": "Show what a pass would do now about each user, or why it would do nothing.",
    "release": "Lift quarantines by hand, in one account or of one policy: detach the quarantine policies from the "
    "users, and nothing else.",
    "enroll": "Enable a virtual MFA device for an IAM user, step by step.",
    "events": "Show IAM events from the queue and what each would have audited; delete nothing.",
    "demo": "Try the operator on an embedded AWS and Kubernetes: no account, no cluster, nothing left behind.",
}
"""Each is the object `command` of the module of its name; the summaries stand here so that --help imports none."""


class Interrupted(BaseException):
    """Ctrl-C, under a name that click does not know: it would print an empty line."""


class LazyGroup(click.Group):
    """A group whose commands are imported one by one."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise Interrupted from error

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            meant = difflib.get_close_matches(args[0], self.list_commands(ctx), 1)
            if not meant:
                raise
            raise click.UsageError(f"{error.message} Did you mean '{meant[0]}'?", ctx) from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        command = importlib.import_module(f"mfa_operator.cli.{cmd_name}").command
        assert isinstance(command, click.Command)  # noqa: S101 - for the type checker
        interrupts_raise()
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        summaries = {name: command.get_short_help_str(formatter.width) for name, command in self.commands.items()}
        with formatter.section("Commands"):
            formatter.write_dl(list((COMMANDS | summaries).items()))


EPILOG = """\b
Try it without a cluster or an AWS account:
  mfa-operator demo

`mfa-operator COMMAND --help` shows a command's options. For bad input every
command ends with status 3 and one message on stderr.
"""


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(version)s")
def cli() -> None:
    """Find IAM users who can sign in to the AWS console without MFA, report them, and take console access away."""


@cli.command("version")
def version() -> None:
    """Print the version."""
    click.echo(__version__)


def run() -> NoReturn:
    """Run the command: what is wrong with the input becomes one message on stderr and exit status 3."""
    output.protect()
    try:
        try:
            status = cli.main(prog_name="mfa-operator", standalone_mode=False)
        except SystemExit as ending:
            status = ending.code
        output.finish()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        status = BAD_INPUT
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "mfa-operator"
        status = _refuse(f"{_lower_first(error.format_message())} See '{path} --help'.")
    except click.ClickException as error:
        status = _refuse(error.format_message())
    except SettingsError as error:
        status = _refuse(str(error))
    except (click.Abort, KeyboardInterrupt, Interrupted):
        say_interrupted()
        # Not sys.exit: it would wait for threads in calls to AWS, which cannot be cancelled.
        os._exit(INTERRUPTED)
    except output.OutputFailed as error:
        output.discard()
        if error.unread:
            status = 128 + signal.SIGPIPE
        else:
            _say(str(error))
            status = NOT_WRITTEN
    except Exception:  # noqa: BLE001 - the last one there is: shown whole, and a status of its own
        traceback.print_exc()
        status = INTERNAL_ERROR
    sys.exit(status or 0)


def _refuse(message: str) -> int:
    _say(message)
    return BAD_INPUT


def _say(message: str) -> None:
    click.echo(f"mfa-operator: {error_text(message)}", err=True)


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
