"""Parameters that every Postfix program reads, and virtual(8) makes no use of.

They count all the same: a bad value ends the process, and after its default was read,
$name means that default. `parameters.PARAMETERS` has those that postvirt uses; here are
the others, by the one after which they are read. Their defaults are with all the other
defaults (`names.builtin_defaults`).

Parity: src/global/mail_params.c.
Raises: FileNotFoundError when the package is incomplete.
"""

from __future__ import annotations

from functools import cache

from postvirt.config.parameter_names import builtin_defaults
from postvirt.config.parameters import PARAMETERS, Kind, Parameter

_MEANING = "Read by every Postfix program."

# After which parameter: the kind, the minimum, and the names.
_GROUPS: tuple[tuple[str, Kind, int, str], ...] = (
    (
        "maillog_file_prefixes",
        "string",
        1,
        "maillog_file_compressor maillog_file_rotate_suffix",
    ),
    ("postlog_service_name", "string", 0, "dnssec_probe known_tcp_ports"),
    (
        "daemon_table_open_error_is_fatal",
        "boolean",
        0,
        "dns_ncache_ttl_fix_enable",
    ),
    (
        "smtputf8_enable",
        "boolean",
        0,
        "enable_idna2003_compatibility respectful_logging",
    ),
    ("command_directory", "string", 1, "meta_directory"),
    ("queue_directory", "string", 1, "shlib_directory process_id_directory"),
    ("default_privs", "string", 0, "alias_database"),
    ("import_environment", "string", 1, "mynetworks_style"),
    ("import_environment", "string", 0, "debug_peer_list"),
    (
        "parent_domain_matches_subdomains",
        "string",
        0,
        "alternate_config_directories",
    ),
    ("bounce_service_name", "string", 1, "cleanup_service_name"),
    (
        "defer_service_name",
        "string",
        1,
        "pickup_service_name queue_service_name",
    ),
    (
        "rewrite_service_name",
        "string",
        1,
        "showq_service_name error_service_name",
    ),
    ("proxymap_service_name", "string", 1, "proxywrite_service_name"),
    (
        "proxymap_service_name",
        "string",
        0,
        "internal_mail_filter_classes multi_instance_wrapper",
    ),
    (
        "default_delivery_status_filter",
        "string",
        1,
        "smtputf8_autodetect_classes",
    ),
    ("default_delivery_status_filter", "string", 0, "message_drop_headers"),
    ("info_log_address_format", "integer", 1, "default_process_limit"),
    ("max_use", "integer", 0, "dont_remove"),
    ("hash_queue_depth", "integer", 1, "fork_attempts"),
    ("deliver_lock_attempts", "integer", 1, "debug_peer_level"),
    ("deliver_lock_attempts", "integer", 0, "fault_injection_code"),
    ("deliver_lock_attempts", "integer", 1, "berkeley_db_create_buffer_size"),
    (
        "berkeley_db_read_buffer_size",
        "integer",
        1,
        "header_size_limit header_address_token_limit mime_nesting_limit",
    ),
    (
        "berkeley_db_read_buffer_size",
        "integer",
        1,
        "mime_boundary_length_limit",
    ),
    ("delay_logging_resolution_limit", "integer", 0, "tcp_windowsize"),
    ("lmdb_map_size", "boolean", 0, "disable_dns_lookups"),
    (
        "owner_request_special",
        "boolean",
        0,
        "strict_8bitmime strict_7bit_headers strict_8bitmime_body",
    ),
    (
        "owner_request_special",
        "boolean",
        0,
        "strict_mime_encoding_domain disable_mime_input_processing",
    ),
    ("owner_request_special", "boolean", 0, "disable_mime_output_conversion"),
    (
        "address_verify_negative_cache",
        "boolean",
        0,
        "backwards_bounce_logfile_compatibility",
    ),
    ("helpful_warnings", "boolean", 0, "send_cyrus_sasl_authzid"),
    (
        "multi_instance_enable",
        "boolean",
        0,
        "enable_long_queue_ids strict_smtputf8",
    ),
    ("enable_original_recipient", "time", 1, "application_event_drain_time"),
    ("ipc_ttl", "time", 1, "trigger_timeout fork_delay"),
)


@cache
def reading_order() -> dict[str, Parameter]:
    """Every parameter that virtual(8) reads, by name, in its order."""
    order = {}
    defaults = builtin_defaults()
    for row in PARAMETERS.values():
        order[row.name] = row
        for after, kind, minimum, names in _GROUPS:
            if after == row.name:
                for name in names.split():
                    order[name] = Parameter(
                        name, kind, defaults[name], minimum, 0, _MEANING
                    )
    return order
