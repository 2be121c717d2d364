"""What only matters to a delivery agent that receives mail.

smtpd(8) also looks recipients up in virtual_mailbox_maps, and trivial-rewrite(8) their
domains, whichever program delivers. The rest is of no consequence as long as no mail is
routed to the agent: those problems become notes.

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from postvirt.config.parameters import PARAMETERS
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject

_ELSEWHERE = "PV012"
_NO_MAIL = "PV306"
_MAIL = "PV307"
ABOUT_RECEIVED_MAIL = (_NO_MAIL, _MAIL, _ELSEWHERE)

# What other programs of Postfix read, too.
_SHARED = frozenset(
    {
        "virtual_alias_domains",
        "virtual_alias_maps",
        "virtual_mailbox_domains",
        "virtual_mailbox_maps",
        "virtual_maps",
        "virtual_transport",
    }
)
_OWN = frozenset(
    name for name in PARAMETERS if name.startswith(("virtual_", "postvirt_"))
)
# Mailboxes and their owners, limits and locks; tables as this agent opens them;
# services, but for files with which others become root.
_ONLY_AGENT = ("PV2", "PV4", "PV50", "PV510")
_ONLY_AGENT_CODES = frozenset(
    {"PV011", "PV019", "PV103", "PV108", "PV111", "PV118", "PV119", "PV125", "PV608"}
)


def weighed(
    general: Sequence[Problem], found: Sequence[tuple[Subject, Sequence[Problem]]]
) -> list[Problem]:
    """All problems; those of agents that receive no mail are notes.

    general   problems of the files, which are those of all agents
    found     the agents, with their own problems
    What is found for agents with the same settings is found for the first of them.
    """
    with_mail = [
        subject.without_names
        for subject, problems in found
        if not any(one.code == _NO_MAIL for one in problems)
    ]
    result = [*general] if with_mail or not found else as_notes(general)
    for subject, problems in found:
        matters = subject.without_names in with_mail
        result += problems if matters else as_notes(problems)
    return result


def worth_showing(problems: Sequence[Problem]) -> list[Problem]:
    """What is shown to somebody who has not asked for notes.

    That no mail is received, or not all, is; which mail is received only together with
    what is wrong there.
    """
    has_mail = any(one.code == _MAIL for one in problems)
    found = [
        one
        for one in problems
        if one.severity != "info"
        or one.code == _ELSEWHERE
        or (one.code == _NO_MAIL and not has_mail)
    ]
    if not found:
        return []
    return [one for one in problems if one.code == _MAIL or one in found]


def as_notes(problems: Iterable[Problem]) -> list[Problem]:
    """The problems, with those that only matter to the agent as notes."""
    return [replace(one, severity="info") if _is_moot(one) else one for one in problems]


def _is_moot(problem: Problem) -> bool:
    return (
        problem.code.startswith(_ONLY_AGENT)
        or problem.code in _ONLY_AGENT_CODES
        or problem.parameter in _OWN - _SHARED
    )
