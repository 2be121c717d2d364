"""Whether smtpd(8) asks about quotas, and whether anything answers.

    PV512  another service has the socket of postvirt_quota_policy_address
    PV513  smtpd(8) does not ask there
    PV514  nothing listens there, because this is the drop-in; or the command that
           answers cannot look into the mailboxes
    PV516  spawn(8) does not run the command that answers

Raises: nothing.
"""

from __future__ import annotations

import pwd
import re
from collections.abc import Iterator

from postvirt.config.master_cf import Service
from postvirt.config.metrics_address import LoopbackAddress
from postvirt.config.policy_address import asking, policy_address
from postvirt.inspection.commands import assign
from postvirt.inspection.problem import Problem
from postvirt.inspection.services.transport import leads_to_own_service
from postvirt.inspection.subject import Subject

_NAME = "postvirt_quota_policy_address"
_USER = "user="
_STATIC = re.compile(r"static:([0-9]+)", re.ASCII)
_HOW_TO_ASK = "add {} at the end of smtpd_recipient_restrictions"


def check_policy_requests(subject: Subject) -> Iterator[Problem]:
    """The address, and who uses it."""
    yield from _spawned(subject)
    value = subject.settings.postvirt_quota_policy_address
    if not value:
        return
    yield from _taken(subject, value)
    if subject.process.entry is not None and not leads_to_own_service(subject):
        yield subject.problem(
            "PV514",
            f"{_NAME} = {value}: only `postvirt start` listens there, and"
            f" {subject.process.service} is a service of master.cf",
            _NAME,
            severity="warning",
            remedy="have spawn(8) run `postvirt policy`, as etc/master.cf shows",
        )
    elif not _is_asked(subject, value):
        yield subject.problem(
            "PV513",
            f"{_NAME} = {value}: smtpd(8) does not ask there",
            _NAME,
            severity="warning",
            remedy=_HOW_TO_ASK.format(asking(value)),
        )


def _taken(subject: Subject, value: str) -> Iterator[Problem]:
    name = policy_address(value)
    if isinstance(name, LoopbackAddress):
        yield from _taken_port(subject, value, name)
        return
    services = {subject.process.service}
    if subject.master_cf is not None:
        services |= {one.name for one in subject.master_cf.services}
    if name in services:
        yield subject.problem(
            "PV512",
            f"{_NAME} = {value}: this is the socket of service {name}",
            _NAME,
            remedy="choose another name",
            commands=assign(subject.settings, _NAME, f"unix:private/{name}-quota"),
        )


def _taken_port(
    subject: Subject, value: str, address: LoopbackAddress
) -> Iterator[Problem]:
    for service in () if subject.master_cf is None else subject.master_cf.services:
        host, _, port = service.name.rpartition(":")
        has_host = host.strip("[]") in ("", address.host)
        if service.type == "inet" and has_host and port == str(address.port):
            yield subject.problem(
                "PV512",
                f"{_NAME} = {value}: service {service.name} of master.cf listens there",
                _NAME,
                remedy="choose another port",
            )
            return


def _spawned(subject: Subject) -> Iterator[Problem]:
    """The commands that spawn(8) runs to answer smtpd(8)."""
    for service in () if subject.master_cf is None else subject.master_cf.services:
        if service.program == "spawn" and "policy" in service.arguments:
            yield from _of_command(subject, service)


def _of_command(subject: Subject, service: Service) -> Iterator[Problem]:
    users = [one for one in service.arguments if one.startswith(_USER)]
    user = users[0].removeprefix(_USER).partition(":")[0] if users else ""
    owner = _STATIC.fullmatch(subject.settings.virtual_uid_maps.strip())
    if why := _refusal(user):
        yield Problem(
            "PV516",
            f"service {service.name} does not start: {why}",
            origin=service.origin,
            remedy=f"write {_USER} and the name of the account that owns the"
            " mailboxes; if they belong to a number without one, create it",
        )
    elif owner is not None and int(owner[1]) != pwd.getpwnam(user).pw_uid:
        yield Problem(
            "PV514",
            f"service {service.name} runs as {user}, and cannot look into mailboxes of"
            f" uid {owner[1]}",
            "warning",
            origin=service.origin,
            remedy=f"write {_USER} and the name of the account with that number",
        )
    socket = "public" if service.private is False else "private"
    address = f"unix:{socket}/{service.name}"
    if service.type == "unix" and not _is_asked(subject, address):
        yield Problem(
            "PV513",
            f"smtpd(8) does not ask service {service.name}, which answers about quotas",
            "warning",
            origin=service.origin,
            remedy=_HOW_TO_ASK.format(asking(address)),
        )


def _refusal(user: str) -> str:
    """Why spawn(8) runs no command as this user; "" if it does."""
    if not user:
        return f"{_USER} is missing"
    try:
        uid = pwd.getpwnam(user).pw_uid
    except KeyError:
        return f"there is no user {user}"
    return "" if uid else f"spawn(8) runs no command as {user}"


def _is_asked(subject: Subject, value: str) -> bool:
    """Whether the address is in any other value, or in an option of a service."""
    texts = [text for name, text in subject.texts.unexpanded.items() if name != _NAME]
    if subject.master_cf is not None:
        for service in subject.master_cf.services:
            texts += [value for _, value in service.overrides]
    named = re.compile(rf"(?<![^\s,{{]){re.escape(value)}(?![^\s,}}])")
    by_name = (f"${_NAME}", f"${{{_NAME}}}", f"$({_NAME})")
    return any(
        named.search(text) or any(one in text for one in by_name) for text in texts
    )
