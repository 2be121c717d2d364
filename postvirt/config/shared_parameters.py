"""Parameters that every Postfix program reads, but that virtual(8) does not use.

They matter all the same: a bad value ends the process, and once its default has been
read, $name means that default. `parameters.PARAMETERS` contains those that postvirt
uses; here are the others. `parameter_names.builtin_defaults` has their defaults.

Parity: src/global/mail_params.c.
Raises: FileNotFoundError when the package is incomplete.
"""

from __future__ import annotations

from functools import cache

from postvirt.config.parameter_names import builtin_defaults
from postvirt.config.parameters import Kind, Parameter

_MEANING = "Read by every Postfix program."

# The kind and the minimum of the parameters in a group.
_GROUPS: tuple[tuple[Kind, int, str], ...] = (
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


@cache
def shared_parameters() -> dict[str, Parameter]:
    """The parameters by name."""
    defaults = builtin_defaults()
    return {
        name: Parameter(name, kind, defaults[name], minimum, 0, _MEANING)
        for kind, minimum, names in _GROUPS
        for name in names.split()
    }
