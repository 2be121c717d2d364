"""Whether the template of warnings about quotas can be used.

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from postvirt.delivery.quota_warnings import read_template
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.system import log

_NAME = "postvirt_quota_warning_template"


def check_warning_template(subject: Subject) -> Iterator[Problem]:
    """It is read as when the process starts."""
    path = subject.settings.postvirt_quota_warning_template
    if not path:
        return
    try:
        read_template(path)
    except (OSError, ValueError) as error:
        why = log.errno_text(error) if isinstance(error, OSError) else error
        yield subject.problem(
            "PV515",
            f"{_NAME} = {path}: {why}",
            _NAME,
            severity="warning",
            remedy="write a file with headers such as Subject:, an empty line, and the"
            " text, in UTF-8",
        )
