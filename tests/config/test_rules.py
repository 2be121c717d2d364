"""Values that Postfix refuses for more than their type."""

import pytest

# name = value lines that a Postfix program refuses.
BAD = [
    "compatibility_level = x",
    "compatibility_level = 3.2000",
    "syslog_facility = nowhere",
    "inet_protocols = ipv4, foo",
    "myhostname =",
    "myhostname = a..b",
    "myhostname = .a",
    "myhostname = -a.b",
    "myhostname = a-.b",
    "myhostname = a_b!c",
    "myhostname = 1.2.3.4",
    "myhostname = " + "x" * 64 + ".b",
    "myhostname = " + ".".join(["x" * 60] * 5),
    "mydomain = a b",
    "myhostname = a.",
    "myhostname = a..b\nmydomain = -",
    "syslog_facility = nowhere\nmaillog_file = ${",
    "inet_protocols = foo\nsmtputf8_enable = perhaps",
    "relayhost = ${a b} $- ${c d}\nmail_name = $",
    "myorigin = a, b\nmax_use = x",
    "maillog_file = /etc/log\nmyorigin = a, b",
    "mydomain = \u00e4.example",
    "myhostname = mail.example\nrelayhost = MAIL.example",
    "myorigin = a, b",
    "myorigin = /nonexistent/mailname",
    "myorigin = /dev/null",
    "default_verp_delimiters = x+",
    "default_verp_delimiters = +x",
    "default_verp_delimiters = +",
    "maillog_file = /etc/log",
    "mail_name =",
    "meta_directory =",
    "known_tcp_ports = ${",
    "mime_nesting_limit = 0",
    "header_size_limit = x\nmax_idle = x",
    "disable_dns_lookups = 1\nsoft_bounce = 1",
    "trigger_timeout = 1y",
    "respectful_logging = x\ninet_protocols = x",
    "dnssec_probe = $\nsyslog_facility = x",
    "mail_name = $mail_name x",
    "mail_name = ${a b} ${x} $- $",
    "mail_name = ${a b} $x $- $",
    "mail_name = a $mail_name b $mail_name c ${mail_name} d",
    "mail_name = ${mail_name?{a $mail_name b} c} d",
    "daemon_table_open_error_is_fatal = perhaps",
    "smtputf8_enable = ${mail_name}",
]

CONFLICT = "configuration error: virtual_mailbox_limit"

GOOD = [
    "myhostname = a_b-c.Example",
    "myhostname = host",
    "mydomain = 1.2.3.x",
    "inet_protocols =",
    "inet_protocols = all ipv4",
    "maillog_file = /var/log/maillog",
    "maillog_file_prefixes = /a /b\nmaillog_file = /b/x",
    "compatibility_level = 3.6",
]


@pytest.mark.postfix
def test_postfix_refuses_the_same_values_with_the_same_words(
    main_cf, complaints, our_complaints
):
    directories = [main_cf(f"{line}\n") for line in BAD]
    for line, directory, theirs in zip(
        BAD, directories, complaints(directories), strict=True
    ):
        if line == "myorigin = /dev/null":
            # Postfix opens it with more care; both refuse.
            assert theirs
            assert our_complaints(directory)
            continue
        assert theirs[-1].startswith("fatal: ")
        assert (line, our_complaints(directory)) == (line, theirs)


@pytest.mark.postfix
def test_postfix_accepts_the_same_values(main_cf, our_complaints, postconf):
    for line in GOOD:
        directory = main_cf(f"{line}\n")
        postconf("-c", directory, "-x", "myhostname")
        assert (line, our_complaints(directory)) == (line, [])


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (
            "virtual_mailbox_limit = 5\nmessage_size_limit = 6\n",
            f"{CONFLICT} is smaller than message_size_limit",
        ),
        (
            "message_size_limit = 0\n",
            f"{CONFLICT} is limited but message_size_limit is unlimited",
        ),
        ("virtual_mailbox_limit = 0\nmessage_size_limit = 0\n", ""),
        ("virtual_mailbox_limit = 6\nmessage_size_limit = 6\n", ""),
    ],
)
def test_the_mailbox_limit_covers_the_message_limit(limits, message, main_cf, fatal):
    directory = main_cf(f"virtual_mailbox_base = /v\n{limits}")
    assert fatal(directory) == message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "virtual_mailbox_lock = fnctl",
            'unknown mailbox_delivery_lock value "fnctl" in "fnctl"',
        ),
        (
            "info_log_address_format = both",
            'invalid parameter setting "info_log_address_format = both"',
        ),
        (
            "virtual_minimum_uid = abc",
            "bad numerical configuration: virtual_minimum_uid = abc",
        ),
        (
            "virtual_minimum_uid = 0",
            "invalid virtual_minimum_uid parameter value 0 < 1",
        ),
        (
            "postvirt_create_folders = a.b",
            'bad postvirt_create_folders "a.b": "a.b" names no folder: it contains .',
        ),
        (
            "postvirt_quota_warning_percent = 0",
            (
                'bad postvirt_quota_warning_percent "0": "0" is not a whole number'
                " from 1 to 100"
            ),
        ),
        (
            "postvirt_quota_notice_recipient = ann, bob",
            'bad postvirt_quota_notice_recipient "ann, bob": it must be one address',
        ),
        (
            "postvirt_quota_notice_recipient = <ann>",
            'bad postvirt_quota_notice_recipient "<ann>": it must be one address',
        ),
        (
            "postvirt_quota_policy_address = unix:/run/quota",
            (
                'bad postvirt_quota_policy_address "unix:/run/quota": expected'
                " unix:private/NAME or inet:ADDRESS:PORT"
            ),
        ),
        (
            "postvirt_create_folders = trash",
            'bad postvirt_create_folders "trash": "trash" is the trash folder',
        ),
    ],
)
def test_what_only_virtual_reads_is_refused(line, message, main_cf, fatal):
    assert fatal(main_cf(f"virtual_mailbox_base = /v\n{line}\n")) == message
