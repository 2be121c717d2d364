"""What README says can be done can be done: commands, options, parameters, links."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from postvirt.cli import main
from postvirt.config.parameters import PARAMETERS
from postvirt.tables.table_types import TYPES

ROOT = Path(__file__).parent.parent
TEXTS = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in (ROOT, ROOT / "etc")
    for path in folder.glob("*.md")
)
README = (ROOT / "README.md").read_text()

PARSER, COMMANDS = main.parsers()

_OPTION = re.compile(r"(?<![\w-])--?[a-zA-Z][\w-]*")


def without_comments(text: str) -> str:
    return re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)


def code(text: str) -> list[str]:
    """Everything in backquotes, and every line of a block of code."""
    inline = re.findall(r"(?<!`)`([^`]+)`(?!`)", text)
    fenced = re.findall(r"(?ms)^```sh\n(.*?)^```$", text)
    indented = re.findall(r"(?m)^    (?:# )?(.*)$", text)
    lines = [line for block in fenced for line in block.splitlines()]
    return [" ".join(one.split()) for one in (*inline, *lines, *indented)]


def invocations(text: str) -> list[str]:
    """The command lines that begin with `postvirt`."""
    found = [one.removeprefix("/opt/postvirt/bin/") for one in code(text)]
    return [one for one in found if re.match(r"postvirt (?!: )[-a-z]", one)]


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    return {name for action in parser._actions for name in action.option_strings}


@pytest.mark.parametrize("name", TEXTS)
def test_every_file_that_is_linked_to_exists(name: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", without_comments((ROOT / name).read_text()))
    missing = [
        link for link in links if not (ROOT / name).parent.joinpath(link).exists()
    ]
    assert not missing


@pytest.mark.parametrize("name", TEXTS)
def test_every_script_exists(name: str) -> None:
    text = (ROOT / name).read_text()
    for script in re.findall(r"(?<![\w/])(?:scripts|\.ci)/[\w-]+", text):
        assert (ROOT / script).exists(), script


@pytest.mark.parametrize("name", TEXTS)
def test_every_command_and_its_options_exist(name: str) -> None:
    for line in invocations((ROOT / name).read_text()):
        word, *others = [one.strip("[]") for one in line.split()[1:]]
        if others and f"{word} {others[0]}" in COMMANDS:
            word = f"{word} {others[0]}"
        if word.startswith("-"):
            assert word in options_of(PARSER), line
        elif word != "COMMAND":
            assert word in COMMANDS, line
            given = _OPTION.findall(line.replace("\\", ""))
            assert set(given) <= options_of(COMMANDS[word]), line


def test_what_is_named_alone_is_an_option_of_some_command() -> None:
    known = set().union(*map(options_of, (PARSER, *COMMANDS.values())))
    # Of pip, and of scripts/bench.
    others = {"--upgrade", "--output"}
    named = {one.split()[0] for one in code(README) if one.startswith("--")}
    assert named
    assert named <= known | others


def test_the_table_of_commands_is_complete() -> None:
    table = re.findall(r"(?m)^\| (`postvirt .*?) \|", README.replace("\\|", "/"))
    command = r"`postvirt ([a-z-]+(?: [a-z]+\b)?)"
    named = {word for row in table for word in re.findall(command, row)}
    assert named == set(COMMANDS)
    shown = PARSER.format_help()
    assert all(re.search(rf"(?m)^ +{name}\b", shown) for name in named)


def test_every_parameter_exists() -> None:
    # Our own; those of Postfix may be the queue manager's alone.
    named = set(re.findall(r"\bpostvirt_[a-z_]+", README))
    assert named
    assert named <= PARAMETERS.keys()


def test_every_type_of_table_is_named() -> None:
    (paragraph,) = re.findall(r"(?ms)^Tables: (.*?)\n\n", README)
    named = set(re.findall(r"`([a-z]+):`", paragraph))
    refused = {name for name, type_ in TYPES.items() if type_.name == "unauthorized"}
    assert named == TYPES.keys() - refused


def test_the_extras_are_those_of_the_package() -> None:
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    (named,) = re.findall(r"from `\[([a-z,]+)\]`", README)
    assert named.split(",") == sorted(extras.keys() - {"all"})


@pytest.mark.parametrize("name", ["parts", "terminal"])
def test_a_picture_has_words_for_those_who_do_not_see_it(name: str) -> None:
    from xml.etree import ElementTree

    root = ElementTree.parse(ROOT / "etc" / f"{name}.svg").getroot()
    space = "{http://www.w3.org/2000/svg}"
    assert all(root.findtext(space + name) for name in ("title", "desc"))
    assert re.search(rf"!\[[^\]]{{40,}}\]\(etc/{name}\.svg\)", README)
