"""What a value must be beyond its type, and which values must fit together.

Parity: src/global/mail_params.c, src/util/valid_hostname.c, pre_init and post_init in
src/virtual/virtual.c.
Raises: ValueError with the text that Postfix calls fatal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from postvirt.config.expansion import compatibility_level, malformed_level
from postvirt.config.lists import mailbox_locks, words
from postvirt.config.parameters import Settings
from postvirt.model.text import wire
from postvirt.system import log

_MAX_LABEL_BYTES = 63
_MAX_HOSTNAME_BYTES = 255
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?")
_NOT_IN_HOSTNAME = re.compile(rb"[^A-Za-z0-9_.-]")
_PROTOCOLS = ("all", "ipv6", "ipv4")


def check_value(name: str, value: str, config_directory: str) -> None:
    """Check one value as soon as it is known.

    Raises: ValueError.
    """
    check = _CHECKS.get(name)
    if check:
        check(name, value, config_directory)


def conflicts(settings: Settings) -> Iterator[tuple[str, str]]:
    """The values that do not go together: (parameter to blame, Postfix's text)."""
    if settings.myhostname.lower() == settings.relayhost.lower():
        text = "myhostname and relayhost parameter settings must not be identical: "
        yield "relayhost", text + settings.myhostname
    if words(settings.myorigin) != (settings.myorigin,):
        text = "myorigin parameter setting must not contain multiple values: "
        yield "myorigin", text + settings.myorigin
    bad_delimiter = _bad_verp_delimiter(settings)
    if bad_delimiter:
        text = (
            f"file {settings.config_directory}/main.cf: parameters"
            " default_verp_delimiters and verp_delimiter_filter:"
            f" bad {bad_delimiter} VERP delimiter character"
        )
        yield "default_verp_delimiters", text
    if settings.maillog_file and not settings.maillog_file.startswith(
        words(settings.maillog_file_prefixes)
    ):
        text = f"maillog_file value '{settings.maillog_file}' does not match any prefix"
        yield "maillog_file", f"{text} in maillog_file_prefixes"
    yield from _limit_conflicts(settings)


def _bad_verp_delimiter(settings: Settings) -> str:
    for place, character in zip(
        ("first", "second"), settings.default_verp_delimiters, strict=False
    ):
        if character not in settings.verp_delimiter_filter:
            return place
    return ""


def _limit_conflicts(settings: Settings) -> Iterator[tuple[str, str]]:
    """The mailbox limit is the process's file limit and so the queue file's too."""
    if settings.virtual_mailbox_limit <= 0:
        return
    if settings.message_size_limit <= 0:
        text = "virtual_mailbox_limit is limited but message_size_limit is unlimited"
    elif settings.virtual_mailbox_limit < settings.message_size_limit:
        text = "virtual_mailbox_limit is smaller than message_size_limit"
    else:
        return
    yield "virtual_mailbox_limit", f"configuration error: {text}"


def hostname_problem(name: str) -> str:
    """Postfix's warning about a host name, "" when it is a good one."""
    if not name:
        return "valid_hostname: empty hostname"
    strange = _NOT_IN_HOSTNAME.search(wire(name))
    if strange:
        code = strange[0][0]
        return f"valid_hostname: invalid character {code}(decimal): {name:.100}"
    for label in name.split("."):
        if not label:
            return f"valid_hostname: misplaced delimiter: {name:.100}"
        if len(label) > _MAX_LABEL_BYTES:
            return f"valid_hostname: hostname label too long: {name:.100}"
        if not _LABEL.fullmatch(label):
            return f"valid_hostname: misplaced hyphen: {name:.100}"
    if re.fullmatch("[0-9.]+", name):
        return f"valid_hostname: numeric hostname: {name:.100}"
    if len(name) > _MAX_HOSTNAME_BYTES:
        return f"valid_hostname: bad length {len(name)} for {name:.100}..."
    return ""


def _level(_name: str, value: str, _directory: str) -> None:
    if compatibility_level(value) is None:
        raise ValueError(malformed_level(value))


def _hostname(name: str, value: str, directory: str) -> None:
    if hostname_problem(value):
        raise ValueError(
            f"file {directory}/main.cf: parameter {name}: bad parameter value: {value}"
        )


def _facility(name: str, value: str, directory: str) -> None:
    if not log.is_facility(value):
        raise ValueError(
            f"file {directory}/main.cf: parameter {name}: unrecognized value: {value}"
        )


def _protocols(name: str, value: str, _directory: str) -> None:
    for word in words(value):
        if word not in _PROTOCOLS:
            raise ValueError(f'unknown {name} value "{word}" in "{value}"')


def _address_format(name: str, value: str, _directory: str) -> None:
    if value not in ("internal", "external"):
        raise ValueError(f'invalid parameter setting "{name} = {value}"')


def _locks(_name: str, value: str, _directory: str) -> None:
    mailbox_locks(value)


def _absolute(name: str, value: str, config_directory: str) -> None:  # noqa: ARG001
    # virtual(8) finds out at the first delivery, and ends.
    if not value.startswith("/"):
        raise ValueError(f"do not specify relative pathname: {name} = {value}")


_CHECKS: dict[str, Callable[[str, str, str], None]] = {
    "compatibility_level": _level,
    "syslog_facility": _facility,
    "inet_protocols": _protocols,
    "myhostname": _hostname,
    "mydomain": _hostname,
    "info_log_address_format": _address_format,
    "virtual_mailbox_base": _absolute,
    "virtual_mailbox_lock": _locks,
}
