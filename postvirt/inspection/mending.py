"""Commands that mend, as a person would type them.

Raises: nothing.
"""

from __future__ import annotations

import shlex

from postvirt.inspection.subject import Subject


def set_parameter(subject: Subject, parameter: str, value: str) -> str:
    """The command that sets a parameter in main.cf."""
    directory = shlex.quote(subject.settings.config_directory)
    return f"postconf -c {directory} -e {shlex.quote(f'{parameter} = {value}')}"
