"""CONTRIBUTING leads to files that exist, and the texts keep to its words."""

from __future__ import annotations

import ast
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
_SOURCES = sorted((ROOT / "postvirt").rglob("*.py"))


def _section(heading: str) -> str:
    (found,) = re.findall(rf"(?ms)^## {heading}\n(.*?)(?=^## |\Z)", CONTRIBUTING)
    return str(found)


def _rows(heading: str) -> list[tuple[str, str]]:
    """The first two columns of a section's table, without its head."""
    rows = re.findall(r"(?m)^\| (.+?) \| (.+?) \|$", _section(heading))
    return rows[1:]


def _paths(text: str) -> list[str]:
    """What is in backquotes and looks like a path."""
    return re.findall(r"`([^`\s]+\.(?:py|txt|md|toml|lark)|[\w./-]+/)`", text)


def _exists(path: str) -> bool:
    return any((folder / path).exists() for folder in (ROOT, ROOT / "postvirt"))


def test_every_path_exists() -> None:
    paths = _paths(CONTRIBUTING)
    assert len(paths) > 40
    assert [one for one in paths if not _exists(one)] == []


def test_every_script_is_told() -> None:
    files = [path for path in (ROOT / "scripts").iterdir() if path.is_file()]
    names = [f"scripts/{path.name}" for path in files if os.access(path, os.X_OK)]
    assert len(names) > 5
    assert [name for name in names if name not in CONTRIBUTING] == []


def test_every_package_has_its_row_on_its_floor() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    (layers, *_) = contracts["importlinter"]["contracts"]
    floors = [set(floor.split(" | ")) for floor in layers["layers"]]
    rows = [re.findall(r"`(\w+)`", row) for row, _ in _rows("Where everything belongs")]
    named = [name for row in rows for name in row]
    assert set(named) == set().union(*floors)
    order = [
        number
        for name in named
        for number in range(len(floors))
        if name in floors[number]
    ]
    assert order == sorted(order)


def _touches_the_machine(path: Path) -> bool:
    text = path.read_text()
    modules = re.findall(r"(?m)^ *(?:import|from) (\w+)", text)
    opens = re.search(r"(?<!\w)open\(|posix_spawn\(", text) is not None
    return opens or bool({"grp", "pwd", "socket", "subprocess"} & set(modules))


def test_what_touches_the_machine_in_config_is_named() -> None:
    (row,) = [
        row for name, row in _rows("Where everything belongs") if "`config`" in name
    ]
    _, _, named = row.rpartition(" | ")
    modules = sorted((ROOT / "postvirt" / "config").glob("*.py"))
    touching = [f"config/{path.name}" for path in modules if _touches_the_machine(path)]
    assert touching == sorted(_paths(named))


@pytest.mark.parametrize(
    ("heading", "most"), [("Follow one message", 8), ("Follow one reload", 6)]
)
def test_a_walk_is_short(heading: str, most: int) -> None:
    steps = re.findall(r"(?m)^\d+\. (.*(?:\n   .*)*)", _section(heading))
    assert 4 < len(steps) <= most
    assert all(_paths(step) for step in steps)


def test_the_usual_changes_have_their_file() -> None:
    rows = _rows("Which file to change")
    assert len(rows) == 6
    assert [what for what, where in rows if not _paths(where)] == []


# Texts that people read.


def _documents() -> Iterator[tuple[str, str]]:
    for folder, kinds in (ROOT, ("*.md",)), (ROOT / "etc", ("*.md", "*.[18cs]*")):
        for kind in kinds:
            for path in sorted(folder.glob(kind)):
                yield path.name, path.read_text().replace(_section("Words"), "")


def _texts(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def _calls() -> Iterator[tuple[str, ast.Call]]:
    for path in _SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                yield path.name, node


def _is_told(call: ast.Call) -> bool:
    """Whether it logs, raises, prints, or makes a problem of check-config."""
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else ""
    name = function.id if isinstance(function, ast.Name) else name
    first = " ".join(_texts(call.args[0])) if call.args else ""
    return (
        name in ("info", "warning", "error", "fatal", "print", "Complaint")
        or name.endswith("Error")
        or re.fullmatch(r"PV\d{3}", first) is not None
        or any(keyword.arg == "remedy" for keyword in call.keywords)
    )


def _messages() -> Iterator[tuple[str, str]]:
    """Log lines, errors, and what check-config says."""
    for name, call in _calls():
        if _is_told(call):
            for argument in (*call.args, *(one.value for one in call.keywords)):
                yield name, " ".join(_texts(argument))


TEXTS = [*_documents(), *_messages()]
# Where such a word is right after all.
_ALLOWED = {
    ("identity.py", "nobody"),  # a user
    ("postvirt-virtual.8", "his"),  # VDA's virtual_maildir_limit_message
}


def _forbidden() -> list[str]:
    columns = (words for _, words in _rows("Words"))
    return [word for words in columns for word in words.split(", ")]


def test_the_texts_are_found() -> None:
    names = {name for name, _ in TEXTS}
    assert names > {
        "README.md",
        "postvirt.1",
        "main.cf",
        "postvirt.service",
        "reach.py",
        "json_log.py",
    }


@pytest.mark.parametrize("word", _forbidden())
def test_the_texts_keep_to_our_words(word: str) -> None:
    pattern = re.compile(rf"(?i)(?<![\w\"/-]){re.escape(word)}(?![\w-])")
    found = [
        f"{name}: ...{flat[max(0, match.start() - 30) : match.end() + 30]}..."
        for name, text in TEXTS
        for flat in [" ".join(text.split())]
        for match in pattern.finditer(flat)
        if (name, word) not in _ALLOWED
    ]
    assert found == []
