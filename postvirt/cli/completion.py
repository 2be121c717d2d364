"""Completion scripts for shells, made from the parsers of the command line.

shtab turns argparse's parsers into a script. It is imported only to print the script,
never when a command runs; the script itself needs neither postvirt nor Python. What the
parsers do not know is added here: table types, parameters, services of master.cf.

Raises: ConfigError when shtab is not installed.
"""

from __future__ import annotations

import argparse
from typing import Any, Literal

from postvirt.errors import ConfigError

Shell = Literal["bash", "zsh"]
SHELLS: tuple[Shell, ...] = ("bash", "zsh")

_FUNCTIONS = {
    "overrides": "_postvirt_settings",
    "names": "_postvirt_parameters",
    "table": "_postvirt_tables",
    "service": "_postvirt_services",
    "like": "_postvirt_services",
}

# For both shells: the services of master.cf that run virtual, under any name.
_SERVICES = (
    "awk '$8 ~ /virtual$/ { print $1 }'"
    ' "${MAIL_CONFIG:-/etc/postfix}/master.cf" 2>/dev/null'
)

# Some versions of shtab (1.7, Debian 13) call them with another IFS.
_BASH = """\
_postvirt_words() { local IFS=$' \\n'; compgen -W "$1" -- "$2"; }
_postvirt_settings() { _postvirt_words '@SETTINGS@' "$1"; }
_postvirt_parameters() { _postvirt_words '@PARAMETERS@' "$1"; }
_postvirt_tables() { _postvirt_words '@TABLES@' "$1"; }
_postvirt_services() { _postvirt_words "$(@SERVICES@)" "$1"; }
"""

# What ends with "=" or ":" is not complete yet, so no blank follows it.
_BASH_END = """
_postvirt() {
  _shtab_postvirt
  if [[ ${#COMPREPLY[@]} = 1 && ${COMPREPLY[0]} = *[=:] ]]; then
    compopt -o nospace 2>/dev/null
  fi
}
complete -o bashdefault -o default -F _postvirt postvirt
"""

# Before 1.7 (Debian 12), shtab offers only the first of several choices, and takes
# words with blanks between them for one.
_BEFORE_1_7 = {
    '{current_action}_choices"': '{current_action}_choices[@]"',
    "local IFS=$'\\n'\n    COMPREPLY=( $(compgen -W": (
        "local IFS=$' \\n'\n    COMPREPLY=( $(compgen -W"
    ),
}

_ZSH = """\
_postvirt_settings() { compadd -S '' -- @SETTINGS@ }
_postvirt_parameters() { compadd -- @PARAMETERS@ }
_postvirt_tables() { compadd -S '' -- @TABLES@ }
_postvirt_services() { compadd -- ${(f)"$(@SERVICES@)"} }
"""


def completion(
    parser: argparse.ArgumentParser,
    subparsers: dict[str, Any],
    shell: Shell,
) -> str:
    """The script for a shell."""
    try:
        import shtab
    except ImportError:
        raise ConfigError(
            "completion scripts require the Python package shtab",
            remedy="pip install 'postvirt[cli]'",
        ) from None
    for command in subparsers.values():
        for action in command._actions:  # noqa: SLF001 - argparse has no other way
            if action.dest == "config_directory":
                action.complete = shtab.DIRECTORY
            elif action.dest in _FUNCTIONS:
                action.complete = dict.fromkeys(SHELLS, _FUNCTIONS[action.dest])
    _nest(parser)
    preamble = _with_words(_BASH if shell == "bash" else _ZSH)
    script: str = shtab.complete(parser, shell=shell, preamble=preamble)
    for old, new in _BEFORE_1_7.items():
        script = script.replace(old, new)
    return script + (_BASH_END if shell == "bash" else "")


def _nest(parser: argparse.ArgumentParser) -> None:
    """Make "quota report" a subcommand of "quota", as shells see the words."""
    (commands,) = (
        one
        for one in parser._actions  # noqa: SLF001
        if isinstance(one, argparse._SubParsersAction)  # noqa: SLF001
    )
    shown = commands._choices_actions  # noqa: SLF001
    nested: dict[str, Any] = {}
    for name, command in [*commands.choices.items()]:
        first, _, second = name.partition(" ")
        if not second:
            continue
        if first not in nested:
            outer = commands.choices[first]
            nested[first] = outer.add_subparsers()
            # Their names come before other words.
            outer._actions.insert(0, outer._actions.pop())  # noqa: SLF001
        help_ = next(one.help for one in shown if one.dest == name)
        nested[first].add_parser(second, parents=[command], add_help=False, help=help_)
        shown[:] = [one for one in shown if one.dest != name]
        del commands.choices[name]


def _with_words(template: str) -> str:
    from postvirt.config.parameter_names import builtin_defaults
    from postvirt.tables.table_types import TYPES

    parameters = sorted(builtin_defaults())
    words = {
        "@SETTINGS@": " ".join(f"{name}=" for name in parameters),
        "@PARAMETERS@": " ".join(parameters),
        "@TABLES@": " ".join(f"{name}:" for name in sorted(TYPES)),
        "@SERVICES@": _SERVICES,
    }
    for mark, text in words.items():
        template = template.replace(mark, text)
    return template
