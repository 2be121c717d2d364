"""Rows of the table of parameters: what every Postfix program reads, in its order.

`parameters` has the others. Nothing but that module needs these.

Parity: src/global/mail_params.c (Postfix 3.7, Debian's build).
Raises: nothing.
"""

from __future__ import annotations

from typing import Final

from postvirt.config.rows import (
    boolean,
    computed,
    fixed,
    integer,
    long,
    seconds,
    string,
)


class SharedParameters:
    """The first part of `parameters.Settings`."""

    # What the process knows about itself.
    process_name: Final = fixed(meaning="The name of the program.")
    process_id: Final = fixed(meaning="The process ID.")
    service_name: Final = fixed(meaning="The name of the service in master.cf.")
    config_directory: Final = fixed(meaning="The directory with main.cf and master.cf.")

    # Read first: other defaults depend on these.
    compatibility_level: Final = string(
        "0", meaning="The Postfix version whose defaults apply."
    )
    mail_version: Final = string("3.7.11", minimum=1, meaning="The version of Postfix.")
    syslog_facility: Final = string(
        "mail", minimum=1, meaning="The syslog facility of the mail log."
    )
    inet_protocols: Final = string("all", meaning="The network protocols in use.")
    multi_instance_directories: Final = string(
        "", meaning="The configuration directories of other instances."
    )
    multi_instance_group: Final = string("", meaning="The group of this instance.")
    multi_instance_name: Final = string("", meaning="The name of this instance.")
    maillog_file: Final = string(
        "", meaning="The log file of postlogd(8), instead of syslog."
    )
    maillog_file_prefixes: Final = string(
        "/var, /dev/stdout", minimum=1, meaning="Allowed prefixes of maillog_file."
    )
    postlog_service_name: Final = string(
        "postlog", minimum=1, meaning="The service that writes to maillog_file."
    )
    daemon_table_open_error_is_fatal: Final = boolean(
        "no", meaning="End the process if a table cannot be opened."
    )
    smtputf8_enable: Final = boolean(
        "${{$compatibility_level} <level {1} ? {no} : {yes}}",
        meaning="Accept UTF-8 in addresses, and fold keys by Unicode.",
    )

    # Defaults made from the name of the machine.
    myhostname: Final = computed(meaning="The host name of this mail system.")
    mydomain: Final = computed(meaning="The domain name of this mail system.")

    # What nearly every Postfix program uses.
    mail_name: Final = string("Postfix", minimum=1, meaning="The name of the software.")
    syslog_name: Final = string(
        "${multi_instance_name?{$multi_instance_name}:{postfix}}",
        minimum=1,
        meaning="The first part of the tag in log lines.",
    )
    mail_owner: Final = string(
        "postfix", minimum=1, meaning="The user that owns the queue and runs daemons."
    )
    setgid_group: Final = string(
        "postdrop", minimum=1, meaning="The group of the mail submission commands."
    )
    mydestination: Final = string(
        "$myhostname, localhost.$mydomain, localhost",
        meaning="The domains delivered by the local transport.",
    )
    myorigin: Final = string(
        "$myhostname",
        minimum=1,
        meaning="The domain of addresses without one, or a /file that names it.",
    )
    relayhost: Final = string("", meaning="The next hop of mail to other domains.")
    daemon_directory: Final = string(
        "/usr/lib/postfix/sbin", minimum=1, meaning="Directory of the daemon programs."
    )
    data_directory: Final = string(
        "/var/lib/postfix", minimum=1, meaning="Directory of the daemons' own files."
    )
    command_directory: Final = string(
        "/usr/sbin", minimum=1, meaning="The directory of the commands."
    )
    queue_directory: Final = string(
        "/var/spool/postfix", minimum=1, meaning="The directory of the mail queue."
    )
    inet_interfaces: Final = string(
        "all", meaning="The network addresses that receive mail."
    )
    proxy_interfaces: Final = string(
        "", meaning="The addresses of proxies that forward mail to this host."
    )
    double_bounce_sender: Final = string(
        "double-bounce", minimum=1, meaning="The sender of notices about bounces."
    )
    default_privs: Final = string(
        "nobody", minimum=1, meaning="The default user of commands."
    )
    mail_release_date: Final = string(
        "20240304", minimum=1, meaning="The release date of Postfix."
    )
    default_database_type: Final = string(
        "hash", minimum=1, meaning="The default table type of postmap(1)."
    )
    hash_queue_names: Final = string(
        "deferred, defer", minimum=1, meaning="The queues that have subdirectories."
    )
    recipient_delimiter: Final = string(
        "", meaning="The characters that begin an address extension."
    )
    relay_domains: Final = string(
        "${{$compatibility_level} <level {2} ? {$mydestination} : {}}",
        meaning="The domains that this system relays mail to.",
    )
    fast_flush_domains: Final = string(
        "$relay_domains", meaning="The domains with a fast flush logfile."
    )
    export_environment: Final = string(
        "TZ MAIL_CONFIG LANG", meaning="The environment passed to commands."
    )
    import_environment: Final = string(
        "MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ XAUTHORITY DISPLAY LANG=C"
        " POSTLOG_SERVICE POSTLOG_HOSTNAME",
        meaning="The environment that Postfix programs keep.",
    )
    default_verp_delimiters: Final = string(
        "+=", minimum=2, maximum=2, meaning="The two characters of a VERP address."
    )
    verp_delimiter_filter: Final = string(
        "-=+", minimum=1, meaning="The characters allowed as VERP delimiters."
    )
    parent_domain_matches_subdomains: Final = string(
        "debug_peer_list,fast_flush_domains,mynetworks,permit_mx_backup_networks,"
        "qmqpd_authorized_clients,relay_domains,smtpd_access_maps",
        meaning="The lists where example.com also matches its subdomains.",
    )
    bounce_service_name: Final = string(
        "bounce", minimum=1, meaning="The service that returns mail."
    )
    defer_service_name: Final = string(
        "defer", minimum=1, meaning="The service that records why mail is deferred."
    )
    rewrite_service_name: Final = string(
        "rewrite", minimum=1, meaning="The service that rewrites addresses."
    )
    flush_service_name: Final = string(
        "flush", minimum=1, meaning="The service that records mail by destination."
    )
    address_verify_service_name: Final = string(
        "verify", minimum=1, meaning="The service that keeps address probe results."
    )
    trace_service_name: Final = string(
        "trace", minimum=1, meaning="The service that reports deliveries."
    )
    proxymap_service_name: Final = string(
        "proxymap", minimum=1, meaning="The service that looks up shared tables."
    )
    default_delivery_status_filter: Final = string(
        "", meaning="The tables that change delivery status codes and texts."
    )
    info_log_address_format: Final = string(
        "external", minimum=1, meaning="Whether logged addresses are quoted."
    )
    max_use: Final = integer(
        "100", minimum=1, meaning="The number of clients that a process serves."
    )
    line_length_limit: Final = integer(
        "2048", minimum=512, meaning="Longest line in one piece, in bytes."
    )
    hash_queue_depth: Final = integer(
        "1", minimum=1, meaning="The number of subdirectory levels."
    )
    deliver_lock_attempts: Final = integer(
        "20", minimum=1, meaning="Number of attempts to lock a mailbox."
    )
    berkeley_db_read_buffer_size: Final = integer(
        "131072", minimum=1, meaning="Cache of a hash or btree table, in bytes."
    )
    delay_logging_resolution_limit: Final = integer(
        "2", minimum=0, maximum=6, meaning="Maximum decimals of logged delays."
    )
    message_size_limit: Final = long(
        "10240000", meaning="Largest message, in bytes; 0 means no limit."
    )
    lmdb_map_size: Final = long(
        "16777216", minimum=1, meaning="Initial size of an lmdb table, in bytes."
    )
    soft_bounce: Final = boolean("no", meaning="Defer mail that would bounce.")
    owner_request_special: Final = boolean(
        "yes", meaning="Keep owner-list and list-request addresses in one piece."
    )
    address_verify_negative_cache: Final = boolean(
        "yes", meaning="Remember failed address probes."
    )
    helpful_warnings: Final = boolean(
        "yes", meaning="Log warnings about questionable settings."
    )
    multi_instance_enable: Final = boolean(
        "no", meaning="Let postmulti(1) start this instance."
    )
    enable_original_recipient: Final = boolean(
        "yes", meaning="Add X-Original-To, and keep duplicate recipients."
    )
    max_idle: Final = seconds(
        "100s", minimum=1, meaning="Time limit for waiting for a client."
    )
    ipc_timeout: Final = seconds(
        "3600s", minimum=1, meaning="Time limit for input from or output to a service."
    )
    ipc_idle: Final = seconds(
        "5s", minimum=1, meaning="Time limit for idle connections."
    )
    ipc_ttl: Final = seconds(
        "1000s", minimum=1, meaning="Time limit for using a client connection."
    )
    deliver_lock_delay: Final = seconds(
        "1s", minimum=1, meaning="Time between attempts to lock a mailbox."
    )
    stale_lock_time: Final = seconds(
        "500s", minimum=1, meaning="The age at which a lock file is removed."
    )
    daemon_timeout: Final = seconds(
        "18000s", minimum=1, meaning="Time limit for handling a request."
    )
    in_flow_delay: Final = seconds(
        "1s", maximum=10, meaning="Pause when mail arrives faster than it leaves."
    )
