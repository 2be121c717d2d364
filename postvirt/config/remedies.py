"""What to write instead of a value that cannot be used.

Raises: nothing.
"""

from __future__ import annotations

from postvirt.config.reading_order import parameters_read

# Whatever is wrong with such a name, also with how it is written.
OF_NAMES = {
    "myhostname": "write the name of this host, such as mail.example.org",
    "mydomain": "write a domain, such as example.org",
}
_OF_PARAMETERS = {
    **OF_NAMES,
    "virtual_mailbox_base": (
        "set virtual_mailbox_base to the directory that contains the mailboxes"
    ),
    "virtual_mailbox_limit": (
        "write a whole number that is not below message_size_limit, or 0 for no limit"
    ),
    "virtual_mailbox_lock": "choose from fcntl, flock, dotlock",
    "non_bdb_migration_level": "choose from disable, enable-redirect, enable-reindex",
    "postvirt_json_log_file": (
        "write a path that begins with /, such as /var/log/postvirt.json"
    ),
    "postvirt_mailbox_directories": (
        "write paths that begin with /, such as $virtual_mailbox_base"
    ),
    "postvirt_metrics_address": (
        "write 127.0.0.1:9154, [::1]:9154, or unix:/run/postvirt-metrics"
    ),
    "postvirt_quota_notice_recipient": "write an address such as postmaster",
    "postvirt_quota_warning_percent": "write percentages such as 80, 95",
    "postvirt_quota_policy_address": (
        "write unix:private/postvirt-quota or inet:127.0.0.1:10031"
    ),
}


def remedy(parameter: str) -> str:
    """One sentence, or "" when there is nothing helpful to say."""
    if parameter in _OF_PARAMETERS:
        return _OF_PARAMETERS[parameter]
    row = parameters_read()[parameter]
    if "$" in row.default:
        return ""
    return {
        "boolean": "write yes or no",
        "integer": f"write a whole number such as {row.default}",
        "long": f"write a whole number such as {row.default}",
        "time": f"write a number and one of s, m, h, d, w, such as {row.default}",
    }.get(row.kind, "")
