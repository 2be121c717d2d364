"""The table of parameters: names, types, defaults, bounds and meanings.

Every attribute of `Settings` is one row, here and in `shared_parameters`;
`reading_order` says when each is read. A default is text as Postfix writes it, not yet
expanded; some depend on how Postfix was built (`compiled_in`). A bound of 0 means no
bound.

Parity: src/global/mail_params.c, src/virtual/virtual.c (Postfix 3.7, Debian's build).
Raises: nothing.
"""

from __future__ import annotations

from typing import Final, Self

from postvirt.config.rows import Parameter, boolean, integer, long, string
from postvirt.config.shared_parameters import SharedParameters

# The default directory of main.cf and master.cf.
DEFAULT_DIRECTORY = "/etc/postfix"


class Settings(SharedParameters):
    """Everything that main.cf, -o and the defaults say, typed and checked."""

    def __init__(self, **values: str | int | bool) -> None:
        if values.keys() != PARAMETERS.keys():
            raise TypeError(f"not the parameters: {values.keys() ^ PARAMETERS.keys()}")
        vars(self).update(values)

    def __eq__(self, other: object) -> bool:
        """Whether all values are the same."""
        return isinstance(other, Settings) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(frozenset(vars(self).items()))

    def changed(self, **values: str | int | bool) -> Self:
        """The same settings, but these."""
        return type(self)(**vars(self) | values)

    # virtual(8)'s own.
    debugger_command: Final = string(
        "", meaning="The debugger command of the -D option."
    )
    virtual_minimum_uid: Final = integer(
        "100", minimum=1, meaning="The smallest uid that a mailbox may have."
    )
    virtual_mailbox_limit: Final = long(
        "51200000", meaning="Largest mailbox file, in bytes; 0 means no limit."
    )
    mail_spool_directory: Final = string(
        "/var/mail", meaning="The directory of local mailboxes."
    )
    virtual_mailbox_maps: Final = string(
        "", meaning="Tables with each recipient's path in virtual_mailbox_base."
    )
    virtual_uid_maps: Final = string("", meaning="Tables with each recipient's uid.")
    virtual_gid_maps: Final = string("", meaning="Tables with each recipient's gid.")
    virtual_mailbox_base: Final = string(
        "", minimum=1, meaning="The prefix of all mailbox paths."
    )
    virtual_mailbox_lock: Final = string(
        "fcntl, dotlock", minimum=1, meaning="How to lock a mailbox file."
    )
    virtual_delivery_status_filter: Final = string(
        "$default_delivery_status_filter",
        meaning="As default_delivery_status_filter, for virtual(8) only.",
    )
    strict_mailbox_ownership: Final = boolean(
        "yes", meaning="Defer when the recipient does not own the mailbox file."
    )

    # Of Postfix 3.11 (names.NEWER).
    default_cache_db_type: Final = string(
        "btree", minimum=1, meaning="The default table type of daemons."
    )
    non_bdb_migration_level: Final = string(
        "disable", minimum=1, meaning="Open hash and btree tables as other types."
    )
    non_bdb_custom_mapping: Final = string(
        "", meaning="The table from hash or btree, or hash:name, to another type."
    )
    non_bdb_migration_log_redirect: Final = boolean(
        "yes", meaning="Log which tables are opened as other types."
    )

    # postvirt's own.
    postvirt_client_limit: Final = integer(
        "100", minimum=1, meaning="Number of clients per worker."
    )
    postvirt_workers: Final = integer(
        "0", maximum=100, meaning="Most workers at a time; 0: one per processor."
    )
    postvirt_json_log_file: Final = string(
        "", meaning="The file of a log in JSON, in addition to Postfix's log."
    )
    postvirt_metrics_address: Final = string(
        "", meaning="Where to serve metrics: loopback or a unix socket."
    )
    postvirt_mailbox_directories: Final = string(
        "", meaning="The only directories with mailboxes (Landlock); empty for any."
    )

    # Quotas: as the VDA patch named its parameters, and postvirt's own (names.NEWER).
    virtual_mailbox_limit_maps: Final = string(
        "", meaning="Tables with the limit of each recipient's mailbox."
    )
    virtual_mailbox_limit_override: Final = boolean(
        "no", meaning="Allow mailbox limits below message_size_limit."
    )
    virtual_mailbox_limit_inbox: Final = boolean(
        "no", meaning="Count only the INBOX, without folders."
    )
    virtual_maildir_extended: Final = boolean(
        "no", meaning="Put the size into the names of maildir files: ,S=."
    )
    virtual_create_maildirsize: Final = boolean(
        "$virtual_maildir_extended", meaning="Keep a maildir's use in maildirsize."
    )
    virtual_overquota_bounce: Final = boolean(
        "no", meaning="Bounce mail over quota, instead of deferring it."
    )
    virtual_maildir_limit_message: Final = string(
        "Sorry, the user's maildir has overdrawn his diskspace quota, please try again"
        " later.",
        minimum=1,
        meaning="The reason that the sender of mail over quota reads.",
    )
    virtual_maildir_limit_message_maps: Final = string(
        "", meaning="Tables with that reason for each recipient."
    )
    virtual_maildir_suffix: Final = string(
        "", meaning="Appended to the path of each maildir."
    )
    virtual_trash_count: Final = boolean("no", meaning="Count the trash folder, too.")
    virtual_trash_name: Final = string(
        ".Trash", minimum=1, meaning="The directory of the trash folder."
    )
    postvirt_mailbox_message_limit: Final = integer(
        "0", minimum=0, meaning="Most messages in a mailbox; 0 means no limit."
    )
    postvirt_maildir_virtual_size: Final = boolean(
        "no", meaning="Put the size with CRLF into maildir names, too: ,W=."
    )
    postvirt_quota_count_deleted: Final = boolean(
        "yes", meaning="Count messages that are marked as deleted."
    )
    postvirt_quota_warning_percent: Final = string(
        "", meaning="Uses at which the user gets a warning, in percent: 80, 95."
    )
    postvirt_quota_warning_template: Final = string(
        "", meaning="The file with that warning, instead of the built-in text."
    )
    postvirt_quota_notice_recipient: Final = string(
        "", meaning="Whom to notify when a user gets a warning, too."
    )
    postvirt_quota_policy_address: Final = string(
        "", meaning="Where smtpd(8) asks the service about quotas."
    )

    # Folders.
    postvirt_folders: Final = boolean(
        "no", meaning="Deliver to user+folder into that folder of the maildir."
    )
    postvirt_create_folders: Final = string(
        "", meaning="The folders that such mail may create; * means all."
    )

    # Used by other programs: known here, so that they can be shown and checked.
    mailbox_delivery_lock: Final = string(
        "fcntl, dotlock", minimum=1, meaning="How local(8) locks a mailbox file."
    )
    virtual_maps: Final = string("", meaning="The old name of virtual_alias_maps.")
    virtual_alias_maps: Final = string(
        "$virtual_maps", meaning="Tables from an address to other addresses."
    )
    virtual_alias_domains: Final = string(
        "$virtual_alias_maps", meaning="The domains whose addresses are all aliases."
    )
    virtual_mailbox_domains: Final = string(
        "$virtual_mailbox_maps", meaning="The domains sent to virtual_transport."
    )
    virtual_transport: Final = string(
        "virtual", minimum=1, meaning="The transport of virtual_mailbox_domains."
    )
    default_destination_concurrency_limit: Final = integer(
        "20", meaning="Maximum number of deliveries to one destination."
    )
    default_destination_recipient_limit: Final = integer(
        "50", meaning="Maximum number of recipients per delivery."
    )
    virtual_destination_concurrency_limit: Final = integer(
        "$default_destination_concurrency_limit",
        meaning="The same for the virtual transport.",
    )
    virtual_destination_recipient_limit: Final = integer(
        "$default_destination_recipient_limit",
        meaning="The same for the virtual transport.",
    )


PARAMETERS: dict[str, Parameter] = {
    name: row._replace(name=name)
    for rows in (SharedParameters, Settings)
    for name, row in vars(rows).items()
    if isinstance(row, Parameter)
}

# Nobody should find a row where a value belongs.
for _rows in (SharedParameters, Settings):
    for _name in PARAMETERS.keys() & vars(_rows).keys():
        delattr(_rows, _name)
