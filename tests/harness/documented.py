"""Settings for programs that share maildirs, as etc/shared-maildirs.md has them."""

from __future__ import annotations

from pathlib import Path

_DOCUMENT = Path(__file__).parents[2] / "etc" / "shared-maildirs.md"


def documented(section: str) -> str:
    """The settings in this section."""
    text = _DOCUMENT.read_text().partition(f"\n## {section}\n\n")[2]
    lines = text.partition("\n## ")[0].splitlines()
    return "\n".join(line[4:] for line in lines if line.startswith("    "))


def settings(section: str) -> dict[str, str]:
    """Those of main.cf."""
    lines = documented(section).splitlines()
    return {name: value for name, _, value in (one.partition(" = ") for one in lines)}
