"""The `sentinel` command: one group, to which every part of the project adds its commands."""

import sys
from pathlib import Path

import click

from sentinel_api.errors import Invalid, SentinelError
from sentinel_cli.lazy import DISTRIBUTION, LazyGroup

EXIT_FAILED = 1
EXIT_INVALID = 2  # as click's own for a wrong command line: the user must change something


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name=DISTRIBUTION, message="%(version)s")
def sentinel() -> None:
    """Predictive buffers for Kubernetes: room for a burst before it arrives.

    \b
    Examples:
      sentinel doctor             what this machine can do, and what is missing
      sentinel doctor --json      the same for a program
      sudo sentinel demo          bursts through one real node, in namespaces of its own
      sentinel COMMAND --help     what a command does, with examples
    """


def main() -> None:
    """Errors that the user can act on are one sentence; anything else is a bug and keeps its traceback."""
    program = "kubectl sentinel" if Path(sys.argv[0]).name.startswith("kubectl-") else "sentinel"
    try:
        sys.exit(sentinel.main(prog_name=program, standalone_mode=False))
    except SentinelError as error:
        click.echo(f"{program}: {error}", err=True)
        sys.exit(EXIT_INVALID if isinstance(error, Invalid) else EXIT_FAILED)
    except click.ClickException as error:
        if isinstance(error, click.UsageError) and not isinstance(error, click.exceptions.NoArgsIsHelpError):
            click.echo(f"{program}: {error.format_message()}{_where(error)}", err=True)
        else:
            error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        click.echo("Aborted!", err=True)
        sys.exit(EXIT_FAILED)


def _where(error: click.UsageError) -> str:
    if error.ctx is None or "--help" in error.message:
        return ""
    return f" `{error.ctx.command_path} --help` says what there is."


if __name__ == "__main__":
    main()
