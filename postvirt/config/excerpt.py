"""A configuration error for people to read: place, line, caret, remedy.

Raises: nothing.
"""

from __future__ import annotations

from postvirt.errors import ConfigError
from postvirt.model.origin import Origin

# Of a longer line, a part that begins some characters before the mistake is shown.
_MAX_WIDTH = 100
_LEAD = 40


def render(error: ConfigError) -> str:
    """The lines to print, without a newline at the end."""
    prefix = "warning: " if error.severity == "warning" else ""
    text = error.warnings[-1] if error.warnings else error.text
    lines = [f"{error.origin.prefix}{prefix}{text}"]
    lines += excerpt(error.origin)
    if error.remedy:
        lines.append(f"    fix: {error.remedy}")
    return "\n".join(lines)


def excerpt(origin: Origin) -> list[str]:
    """The line of a file and a caret below the column, if they are known."""
    source, column = origin.source, origin.column
    if not source:
        return []
    begin = max(0, column - _LEAD) if len(source) > _MAX_WIDTH else 0
    # As wide as it is, so that the caret stands below its character.
    visible = "".join(c if c.isprintable() or c == "\t" else "?" for c in source)
    lines = ["    " + visible[begin : begin + _MAX_WIDTH]]
    if column >= 0:
        # Tabs stay tabs, so that the caret stands below its character.
        before = source[begin:column]
        blank = "".join("\t" if c == "\t" else " " for c in before)
        lines.append(f"    {blank}^")
    return lines
