"""`postvirt config` lists what postconf lists, or refuses what it refuses."""

import os
import re

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from postvirt.config import compiled_in
from postvirt.config.legacy_tables import SUFFIXES
from tests.config import strategies
from tests.harness.installed_postfix import VERSION

MASTER = "virtual unix - n n - - virtual\nslow inet n n n - - smtp\n"
ASKED = ["relayhost", "mail_spool_directory", "virtual_mailbox_maps", "own", "bb", "a"]

# main.cf, master.cf, arguments
CASES = {
    "nothing set": ("", MASTER, ["-n"]),
    "everything": ("mail_name = x\n", MASTER, []),
    "everything expanded": ("mail_name = x$myhostname\n", MASTER, ["-x"]),
    "everything without names": ("mail_name = x\n", MASTER, ["-h"]),
    "defaults": ("mail_name = x\n", MASTER, ["-d"]),
    "defaults expanded": ("mail_name = x\n", MASTER, ["-d", "-x"]),
    "one default": ("mail_name = x\n", MASTER, ["-d", "mail_name", "mydomain"]),
    "every option": ("mail_name = x$a\na = b\n", MASTER, ["-n", "-x", "-h"]),
    "defaults and set": ("", MASTER, ["-d", "-n"]),
    "defaults and override": ("", MASTER, ["-d", "-o", "a=b"]),
    "unknown names": ("", MASTER, ["nonsense", "mail_name", "", "a b"]),
    "no master.cf": ("mail_name = x\n", None, ["-n"]),
    "overrides": (
        "mail_name = x\n",
        MASTER,
        ["-o", "mail_name=y", "-o", "mail_name = z $w", "-n", "-x"],
    ),
    "override without a value": ("", MASTER, ["-o", "mail_name=", "mail_name"]),
    "bad override": ("", MASTER, ["-o", "mail_name"]),
    "nameless override": ("", MASTER, ["-o", "=x"]),
    "blanks in a value": ("mail_name =  a\t\t b\n   c\v d\n", MASTER, ["-n"]),
    "not UTF-8": (b"mail_name = \xff\xfe\n", MASTER, ["-n", "-x"]),
    "unused names": ("foo = 1\nsmtpd_foo = 2\n", MASTER, ["-n"]),
    "used names": ("foo = 1\nmail_name = $foo\n", MASTER, ["-n"]),
    "a name used in a branch": ("foo = 1\nmail_name = ${x?$foo}\n", MASTER, ["-n"]),
    "a name used by an unused one": ("foo = $bar\nbar = 1\n", MASTER, ["-n"]),
    "a name used as $(...)": ("foo = 1\nbar = $(foo)\n", MASTER, ["-n", "foo"]),
    "undefined names": ("mail_name = $no $no ${also?x}\n", MASTER, ["-n"]),
    "other programs' names": ("smtpd_banner = $myhostname\n", MASTER, ["-n", "-x"]),
    "raw values": ("forward_path = $home/$user\n", MASTER, ["-n", "-x"]),
    "the same, not set": ("", MASTER, ["-x", "virtual_maps", "virtual_alias_maps"]),
    "the directory": ("config_directory = /x\n", MASTER, ["config_directory"]),
    "the host name": ("myhostname = h.example\n", MASTER, ["-x", "-n", "mydomain"]),
    "the domain": ("mydomain = d.example\n", MASTER, ["-x", "myhostname"]),
    "both from each other": ("myhostname = a$mydomain\n", MASTER, ["-x", "mydomain"]),
    "a host name in pieces": ("h = x\nmyhostname = $h.y\n", MASTER, ["-x", "mydomain"]),
    "levels": ("compatibility_level = 3.6\n", MASTER, ["-x", "smtputf8_enable"]),
    "no level": ("compatibility_level = x\n", MASTER, ["-x", "smtputf8_enable"]),
    "transports": (
        "slow_destination_concurrency_limit = 2\n",
        MASTER,
        [
            "slow_destination_concurrency_limit",
            "slow_destination_recipient_limit",
            "slow_time_limit",
            "slow_initial_destination_concurrency",
            "virtual_destination_concurrency_limit",
        ],
    ),
    "transports expanded": ("", MASTER, ["-x", "slow_destination_recipient_limit"]),
    "no transport": ("slow_destination_concurrency_limit = 2\n", "", ["-n"]),
    "commands": (
        "",
        "one unix - n n - - pipe\ntwo unix - n n - 0 spawn user=x\n",
        [
            "one_time_limit",
            "two_time_limit",
            "two_recipient_limit",
            "one_transport_rate_delay",
        ],
    ),
    "options": (
        "foo = 1\nmail_name = $bar\n",
        (
            "v unix - n n - - virtual\n -o bar=$foo -o baz=x\n"
            " -o { mail_name = $qux } -o process_name=z\n"
        ),
        ["-n"],
    ),
    "options of equal services": (
        "",
        "v unix - n n - - virtual -o a=1\nv unix - n n - - virtual -o b=$a\n",
        ["-n"],
    ),
    "restriction classes": (
        "smtpd_restriction_classes = foo, $bar\nfoo = x\nbar = baz\nbaz = y\n",
        "v unix - n n - - virtual -o foo=1 -o smtpd_restriction_classes=q -o q=$r\n",
        ["-n"],
    ),
    "broken classes": ("smtpd_restriction_classes = ${\n", MASTER, ["-n"]),
    "tables set up in main.cf": (
        (
            "virtual_mailbox_maps = proxy:sqlite:s, mysql:m {pgsql:p} x:{ldap:l}\n"
            "s_dbpath = 1\ns_nonsense = 2\nm_user = 3\nm_tls_CAfile = 4\n"
            "p_hosts = 5\nl_bind = 6\nl_dbname = 7\nq_query = 8\n"
        ),
        MASTER,
        ["-n"],
    ),
    "the same in an option": (
        "s_query = 1\nt_domain = 2\n",
        (
            "v unix - n n - - virtual -o virtual_mailbox_maps=sqlite:$service_name\n"
            " -o v_dbpath=1 -o v_nonsense=2 -o virtual_uid_maps=memcache:s\n"
        ),
        ["-n"],
    ),
    "braces in a list of tables": ("relayhost = {a}b, {c, x:{d\n", MASTER, ["-n"]),
    "duplicates": ("mail_name = a\nmail_name = b\n", MASTER, ["-n"]),
    "a line without =": ("mail_name\n", MASTER, ["-n"]),
    "a line without a name": ("= x\n", MASTER, ["-n"]),
    "text before the first name": ("  a = b\nmail_name = x\n", MASTER, ["-n"]),
    "mistake in another value": ("smtpd_banner = ${\n", MASTER, ["mail_name"]),
    "mistake in an unused value": ("foo = ${\n", MASTER, ["mail_name"]),
    "mistake in a used value": ("foo = ${a b}\nbar = $foo\n", MASTER, ["-x", "foo"]),
    "mistake in an option": ("", "v unix - n n - - virtual -o mail_name=$\n", ["-n"]),
    "a loop": ("mail_name = $mail_name\n", MASTER, ["-n"]),
    "nothing to show": ("", MASTER, ["-n", "mail_name"]),
}
if VERSION < (3, 11):
    # Newer ones warn that they will be removed.
    CASES["names of former versions"] = ("virtual_maps = hash:/x\n", MASTER, ["-n"])
    # Newer ones list them.
    read_only = "process_name = x\nservice_name = y\n"
    CASES["read-only names"] = (read_only, MASTER, ["-n"])
# Values that were once understood differently.
COUNTEREXAMPLES = [
    "${{y}\t<= {%$(c1?($$))}?x?hash:/x}",
    "${{_x?13.6/}== {} :{?$ay}}",
    "$({}\t<>{}\t?{.}${bb:{}}})",
    "$({1=1x}= {.%$( empty)}=?)",
    "$({$empty}=\t{} :{3.6$compatibility_level$xa?()})",
    "${{} >foo\t{$$}?x}",
    "${{1} <>{${mail_name}}?-}",
    "$({a} <> {b)",
    "$({a} == {b)",
    "$({a",
    "$(a?{b}:{c)",
    "${{$a}==level {3} ?{$}}",
    "${a b} ${c d} $- x",
    "${{$a b} == {$} x}",
    "${{999999999999999999999} == {1}}",
    "${{9223372036854775807} > {9223372036854775806}?{x}}",
    "${{9223372036854775808} > {1}?{x}}",
    "${{1} < {00000000000000000000000000000000000002}?{x}}",
    "${{ 99999999999999999999} >= {x}?{x}}",
    "${{-1} < {0}?{x}}",
    ":{",
    "$compatibility_leve{",
    "${empty?}${?x}${:y}",
    "${ a ?x} ${a\t:x}",
    "$(a?(b)c)",
    "${a?{b}:c}d}",
    "${domain_to_utf8}",
]


@pytest.mark.postfix
@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_listing_is_postconf_s(case, main_cf, both_listings):
    content, master, arguments = case
    directory = main_cf(content)
    os.unlink(f"{directory}/master.cf")
    if master is not None:
        with open(f"{directory}/master.cf", "w") as file:
            file.write(master)
    ((theirs, ours),) = both_listings([directory], arguments)
    assert without_pid(ours) == without_pid(theirs)


def test_a_newer_parameter_is_listed_if_it_is_set_or_asked_for(
    main_cf, our_listing, monkeypatch
):
    monkeypatch.setattr(compiled_in, "_USUAL", ())
    level = "non_bdb_migration_level"
    unset, is_set = main_cf(""), main_cf(f"{level} = enable-redirect\n")
    asked: tuple[int, str, list[str]] = (0, f"{level} = disable\n", [])
    assert our_listing(["-c", unset, level]) == asked
    assert our_listing(["-d", level]) == asked
    for options in ([], ["-n"]):
        assert level not in our_listing(["-c", unset, *options])[1]
        status, output, complaints = our_listing(["-c", is_set, *options])
        assert f"\n{level} = enable-redirect\n" in output
        assert (status, complaints) == (0, [])


def test_names_and_defaults_are_those_of_the_installed_postfix(
    main_cf, our_listing, tmp_path
):
    program = tmp_path / "postconf"
    defaults = {
        "bb": "1",
        "inet_interfaces": "all",
        "inet_protocols": "ipv4",
        "mynetworks_style": "host",
        "non_bdb_migration_level": "disable",
    }
    said = "\n".join(f"{name} = {value}" for name, value in defaults.items())
    program.write_text(
        f"#!/bin/sh\n[ \"$*\" != '-c / -d' ] || exec echo '{said}'\n"
        "echo config_directory = /opt\n"
    )
    program.chmod(0o755)
    directory = main_cf(f"command_directory = {tmp_path}\n")
    status, output, complaints = our_listing(["-c", directory, "-h", "bb", "a"])
    assert (status, output) == (0, "1\n")
    assert "a: unknown parameter" in complaints[-1]
    names = [
        line.split(" =")[0] for line in our_listing(["-c", directory])[1].split("\n")
    ]
    assert {"bb", "config_directory", "non_bdb_migration_level"} < {*names}
    assert not {"smtpd_banner", "postvirt_workers"} & {*names}


def without_pid(listing):
    status, output, complaints = listing
    # Since Postfix 3.11, what is no service is called "amnesiac".
    output = re.sub(
        "^(process_id = [0-9]+|service_name =( amnesiac)?)$",
        "",
        output,
        flags=re.MULTILINE,
    )
    output = re.sub("^([0-9]+|amnesiac)$", "", output, flags=re.MULTILINE)
    # Since Postfix 3.11, there is a comma in "specify one of -d, -n".
    return status, output, [line.replace("of -d, ", "of -d ") for line in complaints]


@pytest.mark.postfix
@pytest.mark.parametrize("type_", list(SUFFIXES))
def test_the_parameters_of_tables_are_known(type_, main_cf, both_listings):
    suffixes = set().union(*SUFFIXES.values())
    content = f"virtual_mailbox_maps = {type_}:x\n"
    content += "".join(f"x_{suffix} = 1\n" for suffix in sorted(suffixes))
    ((theirs, ours),) = both_listings([main_cf(content)], ["-n"])
    assert ours == theirs


@pytest.mark.postfix
def test_the_file_of_a_table_is_looked_at(main_cf, both_listings, tmp_path):
    files = {
        "good": b"dbpath = /x\nquery = y\n",
        "odd": b"dbpath = /x\nnonsense = $y\ndbpath = z\n",
        "bad": b"dbpath\n",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "directory").mkdir()
    directories = [
        main_cf(f"virtual_mailbox_maps = sqlite:{tmp_path}/{name}\n")
        for name in (*files, "directory", "missing")
    ]
    for theirs, ours in both_listings(directories, ["-n"]):
        assert ours == theirs


@pytest.mark.postfix
def test_values_that_were_once_wrong(main_cf, both_listings):
    directories = [
        main_cf(f"a = A\nempty =\nbb = $a b\nc1 = 12\nrelayhost = {value}\n")
        for value in COUNTEREXAMPLES
    ]
    pairs = both_listings(directories, ["-x", *ASKED])
    for value, (theirs, ours) in zip(COUNTEREXAMPLES, pairs, strict=True):
        assert (value, ours) == (value, theirs)


def comparable(listing):
    status, output, complaints = listing
    if VERSION >= (3, 10):
        # It finds the end of some references that Postfix 3.7 calls truncated.
        complaints = [one for one in complaints if "truncated macro" not in one]
    return status, output, complaints


@pytest.mark.postfix
@settings(
    max_examples=4,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(contents=st.lists(strategies.main_cf(), min_size=80, max_size=80))
def test_generated_configurations_are_listed_alike(contents, main_cf, both_listings):
    directories = [main_cf(content) for content in contents]
    ended = 0
    for content, (theirs, ours) in zip(
        contents, both_listings(directories, ["-x", *ASKED]), strict=True
    ):
        if theirs is None:  # postconf crashed or did not end
            assert ours[0] == 1
            continue
        ended += 1
        assert (content, comparable(ours)) == (content, comparable(theirs))
    assert ended >= len(contents) * 0.9
