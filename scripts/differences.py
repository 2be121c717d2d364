"""etc/differences.md, from the `Differs:` sections of the modules that differ.

Such a section begins with a title, which is unique, and says what differs from
virtual(8) in words that need nothing around them:

    Differs: Durable names. A recipient of a maildir is reported as delivered when ...
        and so on.

It ends at an empty line, or where another section begins.
"""

from __future__ import annotations

import ast
import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILE = ROOT / "etc" / "differences.md"

# What is above this line is written by hand.
_MARK = "<!-- made by scripts/manual from the modules' docstrings -->\n"

_SECTION = re.compile(
    r"^Differs: (?P<title>[^\n]+?)\. (?P<text>.+?)"
    r"(?=\n\n|\n(?:Differs|Parity|Raises|Security|Source): |\Z)",
    re.MULTILINE | re.DOTALL,
)

# Heading, and the modules whose differences are told below it.
_SUBJECTS = {
    "Mailboxes": ("mailbox", "codec.from_lines", "system.locks"),
    "Recipients and owners": ("delivery", "model"),
    "Lookup tables": ("tables",),
    "main.cf, master.cf and the command line": ("config", "cli"),
    "Delivery requests and queue files": ("queuefile", "codec", "server.connection"),
    "Bounces, other notices and the log": ("report", "system"),
    "Processes": ("server", "engine"),
}
# Names of parameters and of files that are set as code.
_CODE = re.compile(
    r"(?<![`\w])(?:[a-z]+(?:_[a-z0-9]+)+|(?:new|pid)/\S*?|/\.\./|\$\{\w+\{\.{3}\}\})"
    r"(?=[\s,;]|\.(?:\s|$))"
)


@dataclass(frozen=True, slots=True)
class Difference:
    """One `Differs:` section. module is its dotted name below postvirt."""

    module: str
    title: str
    text: str


def differences() -> list[Difference]:
    """Every difference on purpose, in the order of the modules."""
    found = []
    for path in sorted((ROOT / "postvirt").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT / "postvirt").with_suffix("").parts)
        docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
        for match in _SECTION.finditer(docstring):
            text = " ".join(match["text"].split())
            found.append(Difference(module, match["title"], text))
    return found


def _package(module: str) -> str:
    """The package of `_SUBJECTS` that names this module most closely."""
    packages = [one for row in _SUBJECTS.values() for one in row]
    return max((one for one in packages if f"{module}.".startswith(f"{one}.")), key=len)


def _lines() -> Iterator[str]:
    told = differences()
    for subject, packages in _SUBJECTS.items():
        yield f"\n## {subject}\n"
        for package in packages:
            for one in told:
                if _package(one.module) == package:
                    yield _entry(one)


def _entry(one: Difference) -> str:
    text = _CODE.sub(r"`\g<0>`", one.text)
    return textwrap.fill(
        f"* **{one.title}.** {text}",
        88,
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def generated(page: str) -> str:
    """The page with its generated part as it should be."""
    by_hand, mark, _ = page.partition(_MARK)
    return by_hand + mark + "\n".join(_lines()) + "\n"


def run(*, only_check: bool) -> int:
    """Write the page, or say whether it would change; the exit status."""
    old = FILE.read_text()
    new = generated(old)
    if new == old:
        return 0
    if only_check:
        print(f"{FILE.name} is not up to date: run scripts/manual")
        return 1
    FILE.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(run(only_check="--check" in sys.argv[1:]))
