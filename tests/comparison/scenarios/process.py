"""The process: its options, its life, and a configuration that it cannot use."""

from __future__ import annotations

from tests.harness.scenario import BOB, MBOX, NOBODY, Mail, Scenario


def _options(name: str, *options: str, **parameters: str) -> Scenario:
    """The standard arguments and more of them."""
    return Scenario(name=name, options=options, parameters=parameters)


def _arguments(name: str, *arguments: str) -> Scenario:
    """These arguments and no others."""
    return Scenario(name=name, arguments=arguments)


def _stray(name: str, *options: str) -> Scenario:
    """An argument that belongs to no option."""
    return Scenario(
        name=name,
        options=options,
        differs="Arguments of the daemon",
        expected={"processes": ("reports nothing; exit 1",)},
    )


_OPTIONS = (
    _options("option-u", "-u"),
    _options("option-unknown", "-Q"),
    _options("option-l", "-l"),
    _options("option-z", "-z"),
    _options("option-d", "-d"),
    _options("option-r", "-r", "60"),
    _options("option-r-zero", "-r", "0"),
    _options("option-r-negative", "-r", "-5"),
    _options("option-r-text", "-r", "soon"),
    _options("option-r-missing", "-r"),
    _options("option-s", "-s", "1"),
    _options("option-s-zero", "-s", "0"),
    _options("option-i-and-m", "-i", "10s", "-m", "5"),
    _options("option-o", "-o", "virtual_mailbox_base=@mail@/by/option"),
    _options(
        "option-o-twice",
        "-o",
        "virtual_mailbox_base=@mail@/first",
        "-ovirtual_mailbox_base=@mail@/second",
    ),
    _options("option-o-with-blanks", "-o", " virtual_mailbox_base = @mail@/blank "),
    _options("option-o-in-braces", "-o", "{ virtual_mailbox_base = @mail@/brace }"),
    _options("option-o-without-value", "-o", "virtual_mailbox_base"),
    _options("option-o-without-name", "-o", "=value"),
    _options(
        "option-o-macro", "-o", "virtual_mailbox_base=$my_base", my_base="@mail@/macro"
    ),
    _options("option-o-missing", "-o"),
    _stray("argument", "stray"),
    _stray("argument-after-dashes", "--", "stray"),
    _arguments("no-transport", "-n", "virtual"),
    _arguments("transport-inet", "-n", "virtual", "-t", "inet"),
    _arguments("transport-unknown", "-n", "virtual", "-t", "pigeon"),
    _arguments("no-service-name", "-t", "unix"),
    _arguments("options-together", "-lzn", "virtual", "-tunix"),
    Scenario(
        name="option-S",
        options=("-S",),
        on_stdin=True,
        mails=(Mail(recipients=(BOB, NOBODY)),),
    ),
    Scenario(
        name="option-S-alone",
        arguments=("-S",),
        on_stdin=True,
    ),
)

_ONE_PROCESS = "Workers"

_LIFE = (
    Scenario(
        name="several-requests",
        mails=(Mail(), Mail(recipients=(MBOX,)), Mail(recipients=(NOBODY,)), Mail()),
    ),
    Scenario(
        name="max-use-1",
        parameters={"max_use": "1"},
        mails=(Mail(), Mail()),
        differs=_ONE_PROCESS,
        expected={"processes": ("reports 0 1; exit 0",)},
    ),
    Scenario(
        name="max-use-2",
        options=("-m", "2"),
        mails=(Mail(), Mail(), Mail()),
        differs=_ONE_PROCESS,
        expected={"processes": ("reports 0 1; exit 0",)},
    ),
)


def _config(name: str, **parameters: str) -> Scenario:
    """One message, with these parameters."""
    return Scenario(name=name, parameters=parameters)


_CONFIGURATION = (
    _config("bad-boolean", strict_mailbox_ownership="perhaps"),
    _config("bad-minimum-uid", virtual_minimum_uid="abc"),
    _config("minimum-uid-zero", virtual_minimum_uid="0"),
    _config("bad-time", max_idle="soon"),
    _config("bad-lock-attempts", deliver_lock_attempts="0"),
    _config("bad-mail-owner", mail_owner="no-such-user"),
    _config("bad-macro", virtual_mailbox_base="${unclosed"),
    _config("macro-recursion", virtual_mailbox_base="$my_a", my_a="$my_a"),
    _config("long-queue-ids", enable_long_queue_ids="yes"),
    _config("compatibility-level-0", compatibility_level="0"),
)

SCENARIOS = (*_OPTIONS, *_LIFE, *_CONFIGURATION)
