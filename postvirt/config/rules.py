"""Conditions on values beyond their types, and between values.

`reading_order` says when Postfix makes each check.

Parity: src/global/mail_params.c, maillog_client.c, verp_sender.c, nbdb_util.c (3.11),
src/util/inet_proto.c, pre_init and post_init in src/virtual/virtual.c.
Differs: Mistakes found at start-up. A relative virtual_mailbox_base and a bad
    info_log_address_format end the process when it starts. virtual(8) notices the first
    with the first message; with the second it delivers, ends before the recipient is
    crossed off, and delivers again and again.
Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import cast

from postvirt.config.comparing import compatibility_level, malformed_level
from postvirt.config.hostnames import hostname_problem
from postvirt.config.lists import mailbox_locks, words
from postvirt.config.metrics_address import metrics_address
from postvirt.config.policy_address import policy_address
from postvirt.config.types import Value
from postvirt.config.warning_percents import warning_percents
from postvirt.errors import ConfigError
from postvirt.system import log

_PROTOCOLS = ("all", "ipv6", "ipv4")
_MIGRATION_LEVELS = ("disable", "enable-redirect", "enable-reindex")


class Values:
    """The valid values so far.

    A check that needs another value raises KeyError, and is skipped.
    """

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = values

    def text(self, name: str) -> str:
        """A value of a kind that is text."""
        return cast("str", self._values[name])

    def number(self, name: str) -> int:
        """A value of a kind that is a number."""
        return cast("int", self._values[name])


Check = Callable[[Values], Iterator[ConfigError]]

_wrong = ConfigError.of_value


def _in_file(values: Values, names: str, trouble: str) -> str:
    return f"file {values.text('config_directory')}/main.cf: {names}: {trouble}"


def check_compatibility_level(values: Values) -> Iterator[ConfigError]:
    """compatibility_level is a number such as 3.6."""
    level = values.text("compatibility_level")
    if compatibility_level(level) is None:
        yield _wrong("compatibility_level", malformed_level(level))


def check_syslog_facility(values: Values) -> Iterator[ConfigError]:
    """syslog_facility is one that syslog(3) has."""
    facility = values.text("syslog_facility")
    if not log.is_facility(facility):
        trouble = f"unrecognized value: {facility}"
        text = _in_file(values, "parameter syslog_facility", trouble)
        yield _wrong("syslog_facility", text)


def check_inet_protocols(values: Values) -> Iterator[ConfigError]:
    """inet_protocols names known protocols."""
    protocols = values.text("inet_protocols")
    for word in words(protocols):
        if word not in _PROTOCOLS:
            text = f'unknown inet_protocols value "{word}" in "{protocols}"'
            yield _wrong("inet_protocols", text)


def check_hostnames(values: Values) -> Iterator[ConfigError]:
    """Myhostname and mydomain are valid host names."""
    for name in ("myhostname", "mydomain"):
        value = values.text(name)
        warning = hostname_problem(value)
        if warning:
            trouble = f"bad parameter value: {value}"
            text = _in_file(values, f"parameter {name}", trouble)
            yield _wrong(name, text, warning=warning)


def check_relayhost(values: Values) -> Iterator[ConfigError]:
    """Relayhost is not this host."""
    myhostname = values.text("myhostname")
    if myhostname.lower() == values.text("relayhost").lower():
        text = "myhostname and relayhost parameter settings must not be identical: "
        yield _wrong("relayhost", text + myhostname)


def check_myorigin(values: Values) -> Iterator[ConfigError]:
    """Myorigin is one word."""
    origin = values.text("myorigin")
    if words(origin) != (origin,):
        text = f"myorigin parameter setting must not contain multiple values: {origin}"
        yield _wrong("myorigin", text)


def check_verp_delimiters(values: Values) -> Iterator[ConfigError]:
    """default_verp_delimiters are in verp_delimiter_filter."""
    delimiters = values.text("default_verp_delimiters")
    allowed = values.text("verp_delimiter_filter")
    for place, character in zip(("first", "second"), delimiters, strict=False):
        if character not in allowed:
            names = "parameters default_verp_delimiters and verp_delimiter_filter"
            text = _in_file(values, names, f"bad {place} VERP delimiter character")
            yield _wrong("default_verp_delimiters", text)
            return


def check_maillog_file(values: Values) -> Iterator[ConfigError]:
    """maillog_file begins with one of maillog_file_prefixes."""
    path = values.text("maillog_file")
    if path and not path.startswith(words(values.text("maillog_file_prefixes"))):
        text = f"maillog_file value '{path}' does not match any prefix"
        yield _wrong("maillog_file", f"{text} in maillog_file_prefixes")


def check_mailbox_limit(values: Values) -> Iterator[ConfigError]:
    """The limit of mailbox files is that of the process, so of the queue file too."""
    limit = values.number("virtual_mailbox_limit")
    message_limit = values.number("message_size_limit")
    name = "virtual_mailbox_limit"
    if limit <= 0:
        return
    if message_limit <= 0:
        text = f"{name} is limited but message_size_limit is unlimited"
        yield _wrong(name, f"configuration error: {text}")
    elif limit < message_limit:
        text = f"{name} is smaller than message_size_limit"
        yield _wrong(name, f"configuration error: {text}")


def check_mailbox_lock(values: Values) -> Iterator[ConfigError]:
    """virtual_mailbox_lock names known methods."""
    try:
        mailbox_locks(values.text("virtual_mailbox_lock"))
    except ValueError as error:
        yield _wrong("virtual_mailbox_lock", str(error))


def check_address_format(values: Values) -> Iterator[ConfigError]:
    """info_log_address_format is internal or external."""
    value = values.text("info_log_address_format")
    if value not in ("internal", "external"):
        text = f'invalid parameter setting "info_log_address_format = {value}"'
        yield _wrong("info_log_address_format", text)


def check_mailbox_base(values: Values) -> Iterator[ConfigError]:
    """virtual_mailbox_base is an absolute path."""
    base = values.text("virtual_mailbox_base")
    if not base.startswith("/"):
        text = f"do not specify relative pathname: virtual_mailbox_base = {base}"
        yield _wrong("virtual_mailbox_base", text)


def check_migration_level(values: Values) -> Iterator[ConfigError]:
    """non_bdb_migration_level is a known level."""
    level = values.text("non_bdb_migration_level")
    if level.lower() not in _MIGRATION_LEVELS:
        text = f"invalid non-Berkeley-DB migration level: '{level}'"
        yield _wrong("non_bdb_migration_level", text)


def check_json_log_file(values: Values) -> Iterator[ConfigError]:
    """postvirt_json_log_file is an absolute path."""
    path = values.text("postvirt_json_log_file")
    if path and not path.startswith("/"):
        text = f"do not specify relative pathname: postvirt_json_log_file = {path}"
        yield _wrong("postvirt_json_log_file", text)


def check_metrics_address(values: Values) -> Iterator[ConfigError]:
    """postvirt_metrics_address has the form of an address."""
    value = values.text("postvirt_metrics_address")
    if value:
        try:
            metrics_address(value)
        except ValueError as error:
            text = f'bad postvirt_metrics_address "{value}": {error}'
            yield _wrong("postvirt_metrics_address", text)


def check_mailbox_directories(values: Values) -> Iterator[ConfigError]:
    """postvirt_mailbox_directories contains absolute paths."""
    for path in words(values.text("postvirt_mailbox_directories")):
        if not path.startswith("/"):
            text = (
                "do not specify relative pathname: postvirt_mailbox_directories ="
                f" {path}"
            )
            yield _wrong("postvirt_mailbox_directories", text)


def check_quota_warning_percent(values: Values) -> Iterator[ConfigError]:
    """postvirt_quota_warning_percent contains percentages."""
    name = "postvirt_quota_warning_percent"
    value = values.text(name)
    try:
        warning_percents(value)
    except ValueError as error:
        yield _wrong(name, f'bad {name} "{value}": {error}')


def check_quota_notice_recipient(values: Values) -> Iterator[ConfigError]:
    """postvirt_quota_notice_recipient is one address."""
    name = "postvirt_quota_notice_recipient"
    value = values.text(name)
    if len(words(value)) > 1 or "<" in value:
        yield _wrong(name, f'bad {name} "{value}": it must be one address')


def check_policy_address(values: Values) -> Iterator[ConfigError]:
    """postvirt_quota_policy_address has the form of an address."""
    name = "postvirt_quota_policy_address"
    value = values.text(name)
    if value:
        try:
            policy_address(value)
        except ValueError as error:
            yield _wrong(name, f'bad {name} "{value}": {error}')


def check_maildir_suffix(values: Values) -> Iterator[ConfigError]:
    """virtual_maildir_suffix is a directory below the mailbox's."""
    name = "virtual_maildir_suffix"
    suffix = values.text(name)
    if suffix and (not suffix.endswith("/") or ".." in suffix.split("/")):
        text = f'bad {name} "{suffix}": it must end with / and must not contain ..'
        yield _wrong(name, text)


def check_create_folders(values: Values) -> Iterator[ConfigError]:
    """postvirt_create_folders contains names of folders, but not that of the trash."""
    name = "postvirt_create_folders"
    value = values.text(name)
    trash = values.text("virtual_trash_name")
    if not value:
        return
    from postvirt.config.created_folders import created_folders, is_trash

    try:
        for folder in created_folders(value).names.values():
            if is_trash(folder, trash):
                raise ValueError(f'"{folder}" is the trash folder')
    except ValueError as error:
        yield _wrong(name, f'bad {name} "{value}": {error}')
