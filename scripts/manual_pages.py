"""The generated parts of the manual pages, from the one source of each fact.

A page has lines that begin and end such a part:

    .\\" generated: NAME
    .\\" end of NAME

What is between them is written anew: options come from the parsers of the command line,
codes from `inspection.codes`, parameters from their rows in `config.parameters`.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from postvirt.cli import main
from postvirt.config.parameters import PARAMETERS
from postvirt.config.rows import Parameter
from postvirt.inspection.codes import CODES

_PAGES = Path(__file__).parents[1] / "etc"
_WIDTH = 78
_LONG = 40

_PART = re.compile(
    r'(?P<begin>\.\\" generated: (?P<name>.+))\n(?:.*\n)*?'
    r'(?P<end>\.\\" end of (?P=name))$',
    re.MULTILINE,
)

# Names of programs, files and parameters, which keep their small letter.
_NAME = re.compile(r"[\w.-]+\(\d\)|post\w+|systemd\b|\w+_\w|\w+\.cf\b")

# Parameters that people come for; the order is that of the page.
_MAILBOXES = (
    "virtual_mailbox_base",
    "virtual_mailbox_maps",
    "virtual_uid_maps",
    "virtual_gid_maps",
    "virtual_minimum_uid",
    "virtual_mailbox_domains",
    "virtual_transport",
    "virtual_mailbox_limit",
    "recipient_delimiter",
    "owner_request_special",
)
_LOCKING = (
    "virtual_mailbox_lock",
    "strict_mailbox_ownership",
    "deliver_lock_attempts",
    "deliver_lock_delay",
    "stale_lock_time",
)
_OWN = tuple(name for name in PARAMETERS if name.startswith("postvirt_"))


def generated(page: str) -> str:
    """The page with its generated parts as they should be."""

    def part(match: re.Match[str]) -> str:
        lines = "\n".join(_PARTS[match["name"]]())
        return f"{match['begin']}\n{lines}\n{match['end']}"

    return _PART.sub(part, page)


def _escaped(text: str) -> str:
    """Text that troff prints as it is."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"(?<=\w)\\-(?=[a-z])", "-", text)  # a hyphen in a word


def _text(paragraph: str) -> Iterator[str]:
    """Lines of running text, a new one for each sentence."""
    flat = " ".join(paragraph.split())
    flat = re.sub(r"`([^`]*)`", r"\\(oq\1\\(cq", flat.replace("\\", "\\e"))
    for sentence in re.split(r"(?<=[.:?!]) (?=[A-Z0-9\\-])", flat):
        marked = re.sub(r"(?<![\w(])-", r"\\-", sentence).replace("\\--", "\\-\\-")
        lines = textwrap.wrap(
            marked, _WIDTH, break_long_words=False, break_on_hyphens=False
        )
        for line in lines:
            yield f"\\&{line}" if line[0] in ".'" else line


def _sentence(text: str) -> Iterator[str]:
    """Lines of a text that is a sentence but for its capital and its full stop."""
    first = text[0] if _NAME.match(text) else text[0].upper()
    yield from _text(f"{first}{text[1:]}.")


def _description(text: str) -> Iterator[str]:
    """Paragraphs; what is indented is shown as it is."""
    for number, paragraph in enumerate(text.strip("\n").split("\n\n")):
        if paragraph.startswith("    "):
            yield ".Bd -literal -offset indent"
            for line in textwrap.dedent(paragraph).splitlines():
                yield _escaped(line)
            yield ".Ed"
        else:
            if number:
                yield ".Pp"
            yield from _text(paragraph)


def _option(action: argparse.Action) -> str:
    """An option or an argument in macros, as in "Fl c Ar DIR"."""
    if not action.option_strings:
        return f"Ar {action.metavar or action.dest}"
    flags = " , ".join(f"Fl {_escaped(one[1:])}" for one in action.option_strings)
    if action.nargs == 0:
        return flags
    return f"{flags} Ar {_value(action)}"


def _value(action: argparse.Action) -> str:
    if action.choices:
        return "|".join(map(str, action.choices))
    return str(action.metavar or action.dest.upper())


def _in_synopsis(action: argparse.Action) -> str:
    macros = _option(action)
    if action.option_strings and action.required:
        return f".{macros}"
    if action.option_strings:
        return f".Op {macros}"
    if action.nargs in ("*", "+"):
        return f".Op {macros} ..." if action.nargs == "*" else f".{macros} ..."
    return f".{macros}"


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """All but --help, which every command has."""
    actions = parser._actions  # noqa: SLF001 - argparse has no other way
    return [one for one in actions if "--help" not in one.option_strings]


def _synopsis() -> Iterator[str]:
    parser, subparsers = main.parsers()
    for action in _actions(parser):
        if action.option_strings:
            yield ".Nm"
            yield f".{_option(action)}"
    for name, command in subparsers.items():
        yield ".Nm"
        yield f".Cm {name}"
        yield from map(_in_synopsis, _actions(command))


def _commands() -> Iterator[str]:
    _, subparsers = main.parsers()
    for name, command in subparsers.items():
        yield f".Ss postvirt {name}"
        yield from _description(command.description or "")
        options = _actions(command)
        if not options or all(not one.help for one in options):
            continue
        yield ".Bl -tag -width Ds"
        for action in options:
            if action.help:
                yield f".It {_option(action)}"
                yield from _sentence(action.help)
        yield ".El"


def _codes() -> Iterator[str]:
    yield ".Bl -tag -width PV000"
    for code, why in CODES.items():
        yield f".It {code}"
        yield from _sentence(why)
    yield ".El"


def _parameters(names: Iterable[str]) -> Callable[[], Iterator[str]]:
    rows = [PARAMETERS[name] for name in names]

    def lines() -> Iterator[str]:
        yield ".Bl -tag -width Ds"
        for row in rows:
            default = _default(row)
            is_long = len(default) > _LONG
            yield f".It Va {row.name}" + ("" if is_long else f" Pq {default}")
            yield from _text(row.meaning)
            if is_long:
                # So that lines can be broken.
                yield from _text(f"The default is {row.default.replace(',', ', ')}")
            yield from _bounds(row)
        yield ".El"

    return lines


def _default(row: Parameter) -> str:
    if row.kind in ("computed", "fixed"):
        return "made by the process"
    if not row.default:
        return "empty"
    return f'"{_escaped(row.default)}"'


def _bounds(row: Parameter) -> Iterator[str]:
    if row.kind == "string" and row.minimum and not row.default:
        yield "It must be set."
    if row.kind in ("integer", "long") and (row.minimum or row.maximum):
        least = f"at least {row.minimum}" if row.minimum else ""
        most = f"at most {row.maximum}" if row.maximum else ""
        bounds = " and ".join(filter(None, (least, most)))
        yield f"It is {bounds}."


def _others() -> Iterator[str]:
    named = {*_MAILBOXES, *_LOCKING, *_OWN}
    names = [
        name
        for name, row in PARAMETERS.items()
        if name not in named and row.kind != "fixed"
    ]
    return _parameters(sorted(names))()


_PARTS: dict[str, Callable[[], Iterator[str]]] = {
    "synopsis": _synopsis,
    "commands": _commands,
    "codes": _codes,
    "parameters of mailboxes": _parameters(_MAILBOXES),
    "parameters of locks": _parameters(_LOCKING),
    "parameters of postvirt": _parameters(_OWN),
    "other parameters": _others,
}


def run(*, only_check: bool) -> int:
    """Write the pages, or say which would change; the exit status."""
    status = 0
    for path in sorted(_PAGES.glob("*.[0-9]")):
        old = path.read_text("ascii")
        new = generated(old)
        if new == old:
            continue
        if only_check:
            print(f"{path.name} is not up to date: run scripts/manual")
            status = 1
        else:
            path.write_text(new, "ascii")
    return status


if __name__ == "__main__":
    sys.exit(run(only_check="--check" in sys.argv[1:]))
