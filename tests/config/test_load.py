"""Settings are read from main.cf and -o as a Postfix daemon reads them."""

import os
import socket
import subprocess
import sys
import time

import pytest

from postvirt.config.load import LoadError, check, load, parse_override
from postvirt.config.parameter_names import NEWER
from postvirt.config.parameters import PARAMETERS
from postvirt.errors import ConfigError
from postvirt.system import settled_file

BASE = "virtual_mailbox_base = /v\n"


def settings(directory, *overrides):
    return load(
        directory, overrides, process_name="virtual", service_name="name"
    ).settings


def test_values_are_typed_and_expanded(main_cf):
    read = settings(
        main_cf(f"{BASE}max_idle = 2m\nvirtual_uid_maps = static:${{x:5}}\n")
    )
    assert read.max_idle == 120
    assert read.virtual_uid_maps == "static:5"
    assert read.strict_mailbox_ownership is True


def test_reading_twice_gives_equal_settings(main_cf):
    directory = main_cf(BASE)
    assert settings(directory) == settings(directory)


def test_an_override_wins_and_the_last_one_counts(main_cf):
    directory = main_cf(f"{BASE}max_use = 1\nmail_name = $max_use\n")
    read = settings(directory, ("max_use", "2"), ("max_use", "3"))
    assert read.max_use == 3
    assert read.mail_name == "3"


def test_the_process_knows_its_own_names(main_cf):
    read = settings(main_cf(f"{BASE}mail_name = $process_name $service_name\n"))
    assert read.mail_name == "virtual name"
    assert read.process_id == str(os.getpid())


def test_the_service_name_cannot_be_set(main_cf):
    read = settings(main_cf(f"{BASE}service_name = x\nmail_name = $service_name\n"))
    assert read.mail_name == "name"


def test_a_default_read_later_is_not_known_yet(main_cf):
    later = settings(main_cf(f"{BASE}mydestination = <$max_use>\n"))
    assert later.mydestination == "<>"
    earlier = settings(main_cf(f"{BASE}virtual_uid_maps = static:$max_use\n"))
    assert earlier.virtual_uid_maps == "static:100"


def test_the_host_name_gets_a_domain(main_cf, monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "host")
    read = settings(main_cf(BASE))
    assert (read.myhostname, read.mydomain) == ("host.localdomain", "localdomain")
    read = settings(main_cf(f"{BASE}mydomain = ${{x:example}}.com\n"))
    assert (read.myhostname, read.mydomain) == ("host.example.com", "example.com")
    read = settings(main_cf(f"{BASE}myhostname = short\n"))
    assert (read.myhostname, read.mydomain) == ("short", "localdomain")
    monkeypatch.setattr(socket, "gethostname", lambda: "a.b.c")
    read = settings(main_cf(BASE))
    assert (read.myhostname, read.mydomain) == ("a.b.c", "b.c")


@pytest.mark.parametrize(
    ("level", "utf8", "relay"), [("0", False, "x"), ("1", True, "x"), ("2", True, "")]
)
def test_the_compatibility_level_chooses_defaults(level, utf8, relay, main_cf):
    read = settings(
        main_cf(f"{BASE}compatibility_level = {level}\nmydestination = x\n")
    )
    assert read.smtputf8_enable is utf8
    assert (read.relay_domains, read.fast_flush_domains) == (relay, relay)


def test_myorigin_is_read_from_a_file(main_cf, tmp_path):
    (tmp_path / "mailname").write_text("  mail.example \nsecond\n")
    directory = main_cf(f"{BASE}myorigin = {tmp_path}/mailname\n")
    assert settings(directory).myorigin == "mail.example"


def test_what_every_program_reads_is_known(main_cf):
    earlier = settings(
        main_cf(
            f"{BASE}relayhost = <$meta_directory>\n"
            "virtual_uid_maps = static:$mynetworks_style$header_size_limit\n"
        )
    )
    assert earlier.relayhost == "<>"
    assert earlier.virtual_uid_maps == "static:subnet102400"


@pytest.mark.postfix
def test_unset_parameters_have_the_values_that_postconf_expands(main_cf, postconf):
    directory = main_cf(f"{BASE}compatibility_level = 3.6\n")
    read = settings(directory)
    names = [
        name
        for name, row in PARAMETERS.items()
        if row.kind != "fixed" and name not in NEWER
    ]
    shown = dict(
        line.split(" =", 1) for line in postconf("-c", directory, "-x", *names)
    )
    for name in names:
        value = getattr(read, name)
        if isinstance(value, bool):
            value = "yes" if value else "no"
        elif PARAMETERS[name].kind == "time":
            value = f"{value}s"
        # Since Postfix 3.11, the environment may have one variable more.
        genuine = shown[name].strip().removesuffix(" XDG_RUNTIME_DIR")
        assert (name, genuine) == (name, str(value))


def test_the_directory_comes_from_the_environment(main_cf, monkeypatch):
    directory = main_cf(BASE)
    monkeypatch.setenv("MAIL_CONFIG", directory)
    assert settings(None).config_directory == directory


def test_a_missing_main_cf_is_fatal_with_postfix_words(tmp_path, fatal):
    directory = str(tmp_path)
    assert fatal(directory) == f"open {directory}/main.cf: No such file or directory"
    (tmp_path / "main.cf").mkdir()
    assert fatal(directory) == f"open {directory}/main.cf: Is a directory"


def test_an_unset_mailbox_base_is_fatal_with_postfix_words(main_cf, fatal):
    text = "bad string length 0 < 1: virtual_mailbox_base = "
    assert fatal(main_cf("")) == text


def test_a_file_that_changed_just_now_is_read_again_until_it_settles(
    main_cf, monkeypatch
):
    directory = main_cf(BASE)
    path = f"{directory}/main.cf"
    os.utime(path)
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        with open(path, "a") as file:
            file.write("max_use = 7\n")
        old = time.time() - 100
        os.utime(path, (old, old))

    monkeypatch.setattr("postvirt.system.settled_file.time.sleep", pause)
    assert settings(directory).max_use == 7
    assert pauses == [settled_file.PAUSE_SECONDS]


def test_check_does_not_wait(main_cf, monkeypatch):
    directory = main_cf(BASE)
    os.utime(f"{directory}/main.cf")
    monkeypatch.setattr("postvirt.system.settled_file.time.sleep", None)
    checked = check(directory, process_name="virtual", service_name="name")
    assert checked.problems == ()
    assert checked.settings is not None


def test_check_finds_every_problem_with_its_place(main_cf):
    directory = main_cf(
        "virtual_mailbox_base = /v\n"
        "virtual_minimum_uid = abc\n"
        "max_idle = 5s\n  ${x?{a}b}\n"
        "nothing\n"
        "virtual_mailbox_map = hash:/x\n"
        "mail_name = $mail_owner ${\n"
        "max_use = 1\nmax_use = 2\n"
    )
    checked = check(directory, process_name="virtual", service_name="name")
    found = [(p.severity, p.origin.line, p.origin.column) for p in checked.problems]
    assert sorted(found) == [
        ("error", 2, 22),
        ("error", 4, 9),
        ("error", 5, 7),
        ("error", 7, 26),
        ("warning", 9, 0),
    ]


@pytest.mark.parametrize(
    ("text", "name", "default"),
    [
        ("virtual_minimum_uid = abc\n", "virtual_minimum_uid", 100),
        ("virtual_minimum_uid = ${\n", "virtual_minimum_uid", 100),
        ("bad = ${\nmail_owner = $bad\n", "mail_owner", "postfix"),
        ("a = $b\nb = $a\nmail_owner = $a\n", "mail_owner", "postfix"),
        ("virtual_alias_maps = ${\n", "virtual_alias_domains", ""),
        ("smtputf8_enable = maybe\n", "smtputf8_enable", True),
        ("syslog_facility = none\n", "syslog_facility", "mail"),
        ("myorigin = /nonexistent\n", "myorigin", "host.example.org"),
        (
            "default_destination_concurrency_limit = abc\n",
            "virtual_destination_concurrency_limit",
            20,
        ),
    ],
)
def test_check_uses_the_default_of_a_value_that_cannot_be_used(
    main_cf, text, name, default
):
    known = f"{BASE}compatibility_level = 3.6\nmyhostname = host.example.org\n"
    directory = main_cf(known + text)
    checked = check(directory, process_name="virtual", service_name="name")
    assert name in checked.defaulted
    assert checked.settings is not None
    assert getattr(checked.settings, name) == default
    assert checked.settings.virtual_mailbox_base == "/v"
    with pytest.raises(LoadError):
        load(directory, process_name="virtual", service_name="name")


def test_check_reports_no_default_that_another_mistake_spoils(main_cf):
    """myorigin is $myhostname, and there is no other mistake in it."""
    directory = main_cf(f"{BASE}myhostname = $NOT_FILLED_IN\n")
    found = check(directory, process_name="virtual", service_name="virtual")
    assert [one.text for one in found.problems] == [
        "bad string length 0 < 1: myhostname = "
    ]


def test_check_has_an_empty_base_for_none(main_cf):
    checked = check(main_cf(""), process_name="virtual", service_name="name")
    assert checked.settings is not None
    assert checked.settings.virtual_mailbox_base == ""
    assert "virtual_mailbox_base" in checked.defaulted


def test_a_mistake_is_reported_once_however_often_it_is_used(main_cf):
    directory = main_cf(f"{BASE}bad = $\nmail_name = $bad\nsyslog_name = $bad\n")
    checked = check(directory, process_name="virtual", service_name="name")
    assert [p.origin.line for p in checked.problems] == [2]


def test_a_mistake_in_an_override_has_no_place_in_the_file(main_cf):
    directory = main_cf(f"{BASE}max_use = 1\n")
    checked = check(
        directory, [("max_use", "x")], process_name="virtual", service_name="name"
    )
    assert [(p.origin.file, p.origin.line) for p in checked.problems] == [("", 0)]


@pytest.mark.parametrize(
    ("lines", "syslog_facility", "prefix"),
    [
        ("nothing\nsyslog_facility = local1\nmax_use = x", "mail", None),
        ("syslog_facility = nowhere", "nowhere", None),
        ("syslog_facility = local1\nmax_use = x", "local1", None),
        ("syslog_name = a\nsyslog_facility = local1", "local1", "a"),
    ],
)
def test_the_first_mistake_says_where_it_can_be_logged(
    lines, syslog_facility, prefix, main_cf
):
    """With the settings for logs only once all that every program reads is correct."""
    directory = main_cf(f"virtual_minimum_uid = x\n{lines}\n")
    with pytest.raises(LoadError) as caught:
        load(directory, process_name="virtual", service_name="virtual")
    error = caught.value
    assert error.syslog_facility == syslog_facility
    found = error.log_settings
    assert (found.syslog_name if found else None) == prefix


def test_an_override_is_split():
    assert parse_override("max_use = 5") == ("max_use", "5")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("a", "invalid \"-o a\" option value: missing '=' after attribute name"),
        ("=b", 'invalid "-o =b" option value: missing attribute name'),
    ],
)
def test_a_bad_override_is_refused_with_postfix_words(option, message):
    with pytest.raises(ConfigError) as caught:
        parse_override(option)
    assert caught.value.text == message


@pytest.mark.timed
def test_a_file_of_5000_lines_is_read_quickly(main_cf):
    """In 0.2 s on an ordinary machine, start of Python included."""
    names = [
        f"name{n} = value, ${{name{n - 1}?{{x}}:{{y}}}}\n# comment\n"
        for n in range(2500)
    ]
    directory = main_cf(BASE + "".join(names))
    program = (
        "from postvirt.config.load import load\n"
        f"load({directory!r}, process_name='virtual', service_name='virtual')\n"
    )
    seconds = []
    for _ in range(3):
        began = sum(os.times()[2:4])  # of the children, so that others do not count
        subprocess.run([sys.executable, "-c", program], check=True)
        seconds.append(sum(os.times()[2:4]) - began)
    assert min(seconds) < 1
