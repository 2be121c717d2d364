"""Every parameter name that Postfix has, with its default.

`parameters.PARAMETERS` has what virtual(8) uses. Here are the others, and the names
that depend on master.cf: NAME_destination_recipient_limit and the like, for each NAME
of a transport. Only tools use them: `postvirt config`, and the search for misspelled
names, which knows the names of other versions, too (`elsewhere_parameters.txt`).

Parity: src/postconf/postconf_builtin.c, postconf_service.c, postconf_dbms.c.
Raises: FileNotFoundError when the package is incomplete.
"""

from __future__ import annotations

import os
from functools import cache

from postvirt.config.parameters import DEFAULT_DIRECTORY, PARAMETERS

_OTHERS = "other_parameters.txt"
_ELSEWHERE = "elsewhere_parameters.txt"

# Their defaults depend on the machine.
MACHINE_MADE = frozenset({"myhostname", "mydomain", "mynetworks"})

# main.cf cannot set them.
READ_ONLY = frozenset({"process_id", "process_name", "service_name"})

# In their values, "$" is for the program that uses them.
RAW = frozenset(
    {
        "command_execution_directory",
        "default_rbl_reply",
        "forward_path",
        "luser_relay",
        "mailbox_command",
        "postscreen_expansion_filter",
        "postscreen_reject_footer",
        "smtpd_expansion_filter",
        "smtpd_reject_footer",
    }
)

# Names from earlier versions, which other defaults still refer to. They have no value
# of their own.
LEGACY = frozenset(
    {
        "authorized_verp_clients",
        "fallback_relay",
        "lmtp_per_record_deadline",
        "postscreen_blacklist_action",
        "postscreen_dnsbl_ttl",
        "postscreen_dnsbl_whitelist_threshold",
        "postscreen_whitelist_interfaces",
        "smtp_per_record_deadline",
        "smtpd_client_connection_limit_exceptions",
        "smtpd_per_record_deadline",
        "tlsproxy_client_level",
        "tlsproxy_client_policy",
        "virtual_maps",
    }
)

# Names from Postfix 3.11, those of the VDA patch, and postvirt's own: Postfix 3.7,
# which postvirt follows otherwise, does not have them.
NEWER = frozenset(
    {
        "virtual_create_maildirsize",
        "virtual_mailbox_limit_inbox",
        "virtual_mailbox_limit_maps",
        "virtual_mailbox_limit_override",
        "virtual_maildir_extended",
        "virtual_maildir_limit_message",
        "virtual_maildir_limit_message_maps",
        "virtual_maildir_suffix",
        "virtual_overquota_bounce",
        "virtual_trash_count",
        "virtual_trash_name",
        "postvirt_client_limit",
        "postvirt_create_folders",
        "postvirt_folders",
        "postvirt_json_log_file",
        "postvirt_mailbox_directories",
        "postvirt_mailbox_message_limit",
        "postvirt_maildir_virtual_size",
        "postvirt_metrics_address",
        "postvirt_quota_count_deleted",
        "postvirt_quota_notice_recipient",
        "postvirt_quota_policy_address",
        "postvirt_quota_warning_percent",
        "postvirt_quota_warning_template",
        "postvirt_workers",
        "default_cache_db_type",
        "non_bdb_custom_mapping",
        "non_bdb_migration_level",
        "non_bdb_migration_log_redirect",
    }
)

_TRANSPORT_SUFFIXES = (
    "_delivery_slot_cost",
    "_delivery_slot_discount",
    "_delivery_slot_loan",
    "_destination_concurrency_failed_cohort_limit",
    "_destination_concurrency_limit",
    "_destination_concurrency_negative_feedback",
    "_destination_concurrency_positive_feedback",
    "_destination_rate_delay",
    "_destination_recipient_limit",
    "_extra_recipient_limit",
    "_initial_destination_concurrency",
    "_minimum_delivery_slots",
    "_recipient_limit",
    "_recipient_refill_delay",
    "_recipient_refill_limit",
    "_transport_rate_delay",
)
# Defaults that are not "default" and the suffix.
_OTHER_DEFAULTS = {
    "_initial_destination_concurrency": "initial_destination_concurrency",
    "_time_limit": "command_time_limit",
}
# By program; postvirt-virtual is this project's name for virtual.
_SUFFIXES = {
    **dict.fromkeys(
        ("error", "lmtp", "local", "postvirt-virtual", "smtp", "virtual"),
        _TRANSPORT_SUFFIXES,
    ),
    "pipe": ("_time_limit", *_TRANSPORT_SUFFIXES),
    "spawn": ("_time_limit",),
}


def service_defaults(service: str, command: str) -> dict[str, str]:
    """The parameters that a service in master.cf adds, and their defaults."""
    return {
        service + suffix: f"${_OTHER_DEFAULTS.get(suffix, 'default' + suffix)}"
        for suffix in _SUFFIXES.get(command, ())
    }


@cache
def builtin_defaults() -> dict[str, str]:
    """Every other parameter by name, except those of `MACHINE_MADE` and `READ_ONLY`."""
    defaults = dict.fromkeys(LEGACY, "")
    for line in _lines(_OTHERS):
        name, _, default = line.partition(" =")
        defaults[name] = default.strip(" ")
    per_service = service_defaults("virtual", "virtual")
    for row in PARAMETERS.values():
        if row.name not in MACHINE_MADE | READ_ONLY | per_service.keys():
            defaults[row.name] = row.default
    defaults["config_directory"] = DEFAULT_DIRECTORY
    return defaults


@cache
def names_elsewhere() -> frozenset[str]:
    """Names that another version of Postfix has, or a well-known add-on."""
    return frozenset(_lines(_ELSEWHERE))


def _lines(file_name: str) -> list[str]:
    """The lines of a file of this package, without comments."""
    path = os.path.join(os.path.dirname(__file__), file_name)
    with open(path, encoding="ascii") as file:
        lines = file.read().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def transport_of(name: str) -> str:
    """The transport that a parameter is named after, "" for others."""
    for suffix in sorted(_SUFFIXES["pipe"], key=len, reverse=True):
        if name.endswith(suffix) and name != suffix:
            return name.removesuffix(suffix)
    return ""
