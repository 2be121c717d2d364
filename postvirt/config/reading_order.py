"""The order in which virtual(8) reads its parameters, and checks what it has read.

The order counts. A value can refer to $name when main.cf or -o sets it, or when its
default was read before; else $name expands to nothing. And the first mistake that is
found is the one that Postfix names.

Parity: src/global/mail_params.c, src/virtual/virtual.c (Postfix 3.7, Debian's build).
Raises: FileNotFoundError when the package is incomplete.
"""

from __future__ import annotations

from enum import Enum, auto
from functools import cache

from postvirt.config import rules
from postvirt.config.parameter_names import builtin_defaults
from postvirt.config.parameters import PARAMETERS
from postvirt.config.rows import Kind, Parameter

_MEANING = "Read by every Postfix program."


class Mark(Enum):
    """What happens between two parameters."""

    # The file that myorigin may name is read.
    MYORIGIN_FILE = auto()
    # All that every Postfix program reads has been read.
    SHARED_END = auto()


# Parameters that every Postfix program reads, but that virtual(8) does not use: kind,
# minimum and names. They matter all the same: a bad value ends the process, and once
# its default has been read, $name means that default.
_UNUSED: tuple[tuple[Kind, int, str], ...] = (
    (
        "string",
        1,
        """
        maillog_file_compressor maillog_file_rotate_suffix meta_directory
        shlib_directory process_id_directory mynetworks_style cleanup_service_name
        pickup_service_name queue_service_name showq_service_name error_service_name
        proxywrite_service_name smtputf8_autodetect_classes
        """,
    ),
    (
        "string",
        0,
        """
        dnssec_probe known_tcp_ports alias_database debug_peer_list
        alternate_config_directories internal_mail_filter_classes
        multi_instance_wrapper message_drop_headers
        """,
    ),
    (
        "boolean",
        0,
        """
        dns_ncache_ttl_fix_enable enable_idna2003_compatibility respectful_logging
        disable_dns_lookups strict_8bitmime strict_7bit_headers strict_8bitmime_body
        strict_mime_encoding_domain disable_mime_input_processing
        disable_mime_output_conversion backwards_bounce_logfile_compatibility
        send_cyrus_sasl_authzid enable_long_queue_ids strict_smtputf8
        """,
    ),
    (
        "integer",
        1,
        """
        default_process_limit fork_attempts debug_peer_level
        berkeley_db_create_buffer_size header_size_limit header_address_token_limit
        mime_nesting_limit mime_boundary_length_limit
        """,
    ),
    (
        "integer",
        0,
        """
        dont_remove fault_injection_code tcp_windowsize
        """,
    ),
    (
        "time",
        1,
        """
        application_event_drain_time trigger_timeout fork_delay
        """,
    ),
)

Step = Parameter | rules.Check | Mark

# Names of parameters, with the checks that Postfix makes once it has read them.
_ORDER: tuple[str | rules.Check | Mark, ...] = (
    "process_name process_id service_name config_directory compatibility_level",
    rules.check_compatibility_level,
    """
    mail_version syslog_facility inet_protocols multi_instance_directories
    multi_instance_group multi_instance_name maillog_file maillog_file_prefixes
    maillog_file_compressor maillog_file_rotate_suffix postlog_service_name
    dnssec_probe known_tcp_ports
    """,
    rules.check_syslog_facility,
    """
    daemon_table_open_error_is_fatal dns_ncache_ttl_fix_enable smtputf8_enable
    enable_idna2003_compatibility respectful_logging
    """,
    rules.check_inet_protocols,
    "myhostname mydomain",
    rules.check_hostnames,
    """
    mail_name syslog_name mail_owner setgid_group mydestination myorigin
    relayhost daemon_directory data_directory command_directory meta_directory
    queue_directory shlib_directory process_id_directory inet_interfaces
    proxy_interfaces double_bounce_sender default_privs alias_database
    mail_release_date default_database_type hash_queue_names recipient_delimiter
    relay_domains fast_flush_domains export_environment import_environment
    mynetworks_style debug_peer_list default_verp_delimiters
    verp_delimiter_filter parent_domain_matches_subdomains
    alternate_config_directories bounce_service_name cleanup_service_name
    defer_service_name pickup_service_name queue_service_name
    rewrite_service_name showq_service_name error_service_name
    flush_service_name address_verify_service_name trace_service_name
    proxymap_service_name proxywrite_service_name internal_mail_filter_classes
    multi_instance_wrapper default_delivery_status_filter
    smtputf8_autodetect_classes message_drop_headers info_log_address_format
    """,
    Mark.MYORIGIN_FILE,
    """
    default_process_limit max_use dont_remove line_length_limit hash_queue_depth
    fork_attempts deliver_lock_attempts debug_peer_level fault_injection_code
    berkeley_db_create_buffer_size berkeley_db_read_buffer_size
    header_size_limit header_address_token_limit mime_nesting_limit
    mime_boundary_length_limit delay_logging_resolution_limit tcp_windowsize
    message_size_limit lmdb_map_size disable_dns_lookups soft_bounce
    owner_request_special strict_8bitmime strict_7bit_headers
    strict_8bitmime_body strict_mime_encoding_domain
    disable_mime_input_processing disable_mime_output_conversion
    address_verify_negative_cache backwards_bounce_logfile_compatibility
    helpful_warnings send_cyrus_sasl_authzid multi_instance_enable
    enable_long_queue_ids strict_smtputf8 enable_original_recipient
    application_event_drain_time max_idle ipc_timeout ipc_idle ipc_ttl
    trigger_timeout fork_delay deliver_lock_delay stale_lock_time daemon_timeout
    in_flow_delay
    """,
    rules.check_relayhost,
    rules.check_myorigin,
    rules.check_verp_delimiters,
    rules.check_maillog_file,
    Mark.SHARED_END,
    """
    debugger_command virtual_minimum_uid virtual_mailbox_limit
    mail_spool_directory virtual_mailbox_maps virtual_uid_maps virtual_gid_maps
    virtual_mailbox_base virtual_mailbox_lock virtual_delivery_status_filter
    strict_mailbox_ownership
    """,
    rules.check_mailbox_limit,
    rules.check_mailbox_lock,
    rules.check_address_format,
    rules.check_mailbox_base,
    """
    default_cache_db_type non_bdb_migration_level non_bdb_custom_mapping
    non_bdb_migration_log_redirect
    """,
    rules.check_migration_level,
    "postvirt_client_limit postvirt_workers postvirt_json_log_file",
    rules.check_json_log_file,
    "postvirt_metrics_address",
    rules.check_metrics_address,
    "postvirt_mailbox_directories",
    rules.check_mailbox_directories,
    """
    virtual_mailbox_limit_maps virtual_mailbox_limit_override
    virtual_mailbox_limit_inbox virtual_maildir_extended virtual_create_maildirsize
    virtual_overquota_bounce virtual_maildir_limit_message
    virtual_maildir_limit_message_maps virtual_maildir_suffix virtual_trash_count
    virtual_trash_name postvirt_mailbox_message_limit postvirt_maildir_virtual_size
    postvirt_quota_count_deleted postvirt_quota_warning_percent
    postvirt_quota_warning_template postvirt_quota_notice_recipient
    postvirt_quota_policy_address
    """,
    rules.check_quota_warning_percent,
    rules.check_quota_notice_recipient,
    rules.check_policy_address,
    rules.check_maildir_suffix,
    "postvirt_folders postvirt_create_folders",
    rules.check_create_folders,
    """
    mailbox_delivery_lock virtual_maps virtual_alias_maps virtual_alias_domains
    virtual_mailbox_domains virtual_transport
    default_destination_concurrency_limit default_destination_recipient_limit
    virtual_destination_concurrency_limit virtual_destination_recipient_limit
    """,
)


@cache
def reading_order() -> tuple[Step, ...]:
    """The steps, in their order."""
    defaults = builtin_defaults()
    rows = dict(PARAMETERS)
    for kind, minimum, names in _UNUSED:
        for name in names.split():
            rows[name] = Parameter(name, kind, defaults[name], minimum, 0, _MEANING)
    steps: list[Step] = []
    for step in _ORDER:
        if isinstance(step, str):
            steps += [rows[name] for name in step.split()]
        else:
            steps.append(step)
    return tuple(steps)


@cache
def parameters_read() -> dict[str, Parameter]:
    """Every parameter that virtual(8) reads, by name, in its order."""
    return {one.name: one for one in reading_order() if isinstance(one, Parameter)}
