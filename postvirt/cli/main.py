"""postvirt: the command line.

Each subcommand is a module with `add_arguments(parser)` and `run(arguments)`, which
returns the exit status. Modules other than argparse are imported in `run`.

Raises: nothing; users never see a traceback.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn, Protocol

from postvirt import __version__
from postvirt.cli import (
    check_config,
    config,
    deliver,
    demo,
    explain,
    install,
    lookup,
    policy,
    quota_recalc,
    quota_report,
    quota_usage,
    reload,
    restart,
    start,
    status,
    stop,
    uninstall,
)
from postvirt.config.excerpt import render
from postvirt.errors import ConfigError
from postvirt.system.form import FORM
from postvirt.system.isolation import isolate


class _Command(Protocol):
    """What every subcommand's module has."""

    SUMMARY: str
    DESCRIPTION: str
    CANNOT_RUN: int  # the exit status if it could not even try

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, arguments: argparse.Namespace) -> int: ...


_COMMANDS: dict[str, _Command] = {
    "check-config": check_config,
    "config": config,
    "deliver": deliver,
    "demo": demo,
    "explain": explain,
    "install": install,
    "lookup": lookup,
    "policy": policy,
    "quota": quota_usage,
    "quota recalc": quota_recalc,
    "quota report": quota_report,
    "reload": reload,
    "restart": restart,
    "start": start,
    "status": status,
    "stop": stop,
    "uninstall": uninstall,
}

_EX_USAGE = 64  # sysexits(3)

_DESCRIPTION = """\
A drop-in replacement for Postfix's virtual(8) delivery agent. Where to start:

    postvirt demo               see it work, without changing anything on this machine
    postvirt check-config       check Postfix's configuration
    postvirt explain ADDRESS    see where mail for ADDRESS would go, and why
    postvirt install            replace virtual(8); `postvirt uninstall` restores it

For details of a command, see `postvirt COMMAND --help`; for all of them, postvirt(1).
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; its exit status."""
    if argv is None:
        isolate()
    parser, subparsers = parsers()
    arguments, unknown = parser.parse_known_args(_joined(argv))
    if unknown:
        subparsers[arguments.command].error(
            f"unrecognized arguments: {' '.join(unknown)}"
        )
    command = _COMMANDS[arguments.command]
    try:
        return command.run(arguments)
    except ConfigError as error:
        print(f"postvirt: {render(error)}", file=sys.stderr)
        return command.CANNOT_RUN
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has seen enough; keep Python from complaining.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return command.CANNOT_RUN
    except OSError as error:
        print(f"postvirt: {error}", file=sys.stderr)
        return command.CANNOT_RUN
    except Exception as error:
        print(
            f"postvirt: unexpected {type(error).__name__}: {error}; please report",
            file=sys.stderr,
        )
        return command.CANNOT_RUN


def _joined(argv: Sequence[str] | None) -> list[str]:
    """The arguments; a subcommand of two words is one of them."""
    words = list(sys.argv[1:] if argv is None else argv)
    command = " ".join(words[:2])
    return [command, *words[2:]] if command in _COMMANDS else words


class _Parser(argparse.ArgumentParser):
    """Exits with the subcommand's own status if the command line is wrong.

    That matters where a mail system runs the command: for a pipe(8) transport,
    argparse's 2 means "bounce the message".
    """

    usage_status = _EX_USAGE

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(self.usage_status, f"{self.prog}: {message}\n")


class _PrintCompletion(argparse.Action):
    """Prints and exits, as --version does, without a command."""

    def __call__(
        self, parser: argparse.ArgumentParser, _: object, shell: Any, *__: object
    ) -> NoReturn:
        from postvirt.cli.completion import completion

        try:
            print(completion(*parsers(), shell))
        except ConfigError as error:
            parser.exit(1, f"postvirt: {render(error)}\n")
        parser.exit(0)


def parsers() -> tuple[_Parser, dict[str, _Parser]]:
    """The parser of the whole command line, and those of the subcommands by name."""
    parser = _Parser(
        prog="postvirt",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"postvirt {__version__} ({FORM})"
    )
    parser.add_argument(
        "--print-completion",
        action=_PrintCompletion,
        choices=("bash", "zsh"),
        help="print a script that completes command lines in this shell",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in _COMMANDS.items():
        command = commands.add_parser(
            name,
            help=module.SUMMARY,
            description=module.DESCRIPTION,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            conflict_handler="resolve",  # a subcommand may have its own -h
        )
        command.usage_status = module.CANNOT_RUN
        module.add_arguments(command)
    return parser, commands.choices
