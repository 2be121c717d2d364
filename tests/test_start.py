"""What every start pays for: the imports of the drop-in and of quick commands."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

_PACKAGE = Path(__file__).parents[1] / "postvirt"

# Only commands that a person waits for anyway: to make a dataclass takes a millisecond,
# and the module needs `inspect`.
_MAY_HAVE_DATACLASSES = ("inspection", "standin")

# Each costs several milliseconds, or megabytes.
_NOT_AT_START = (
    "asyncio",
    "dataclasses",
    "email",
    "http",
    "inspect",
    "ipaddress",
    "json",
    "lark",
    "logging",
    "pathlib",
    "random",
    "subprocess",
    "tempfile",
    "threading",
    "traceback",
    "unittest",
    "urllib",
)
_NOT_IN_A_COMMAND = (
    "asyncio",
    "dataclasses",
    "inspect",
    "lark",
    "pathlib",
    "subprocess",
)

# What a parser of the command line itself imports: more since Python 3.14.
_PARSER = "import argparse; argparse.ArgumentParser()"

# 212 when this was written.
_MOST_MODULES = 235

_DROP_IN = "import postvirt.server.launcher"
_COMMAND = """
from postvirt.cli import main
try:
    main.main(sys.argv[1:])
except SystemExit:
    pass
"""


def _imported(program: str, *arguments: object) -> set[str]:
    """The modules that a program imports, in an interpreter of its own."""
    code = f"""
import sys
before = set(sys.modules)
{program}
print("", *(set(sys.modules) - before), sep="\\n")
"""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        check=True,
        text=True,
    )
    return set(done.stdout.splitlines())


def _imports_dataclasses(source: str) -> bool:
    return any(
        (isinstance(node, ast.ImportFrom) and node.module == "dataclasses")
        or (isinstance(node, ast.Import) and node.names[0].name == "dataclasses")
        for node in ast.walk(ast.parse(source))
    )


def test_dataclasses_are_only_where_nobody_waits_for_them() -> None:
    found = {
        module.relative_to(_PACKAGE).parts[0]
        for module in _PACKAGE.rglob("*.py")
        if _imports_dataclasses(module.read_text())
    }
    assert found == set(_MAY_HAVE_DATACLASSES)


def test_the_drop_in_imports_little() -> None:
    imported = _imported(_DROP_IN)
    assert "postvirt.server.launcher" in imported
    assert imported & set(_NOT_AT_START) <= _imported("import ctypes")
    assert len(imported) < _MOST_MODULES, sorted(imported)


@pytest.mark.parametrize(
    ("command", "module"),
    [
        ("lookup -c {} static:x key", "postvirt.tables.simple.static"),
        ("explain -c {} bob@example.com", "postvirt.explain.explainer"),
        ("status -c {}", "postvirt.server.service.control_client"),
    ],
)
def test_a_quick_command_imports_little(
    command: str, module: str, tmp_path: Path
) -> None:
    (tmp_path / "main.cf").write_text(
        f"queue_directory = {tmp_path}\n"
        "virtual_mailbox_base = /v\nvirtual_mailbox_maps = static:bob/\n"
        "syslog_name = ${multi_instance_name?{$multi_instance_name}:{postfix}}\n"
    )
    (tmp_path / "master.cf").write_text("virtual unix - n n - - virtual -o max_use=1\n")
    imported = _imported(_COMMAND, *command.format(tmp_path).split())
    assert module in imported
    assert imported & set(_NOT_IN_A_COMMAND) <= _imported(_PARSER)
