from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from postvirt.config.daemon_options import Options, parse_options
from postvirt.errors import ConfigError
from postvirt.standin.instance import Instance

GENUINE = "/usr/lib/postfix/sbin/virtual"
NORMAL = ("-n", "virtual", "-t", "unix")


def parsed(*arguments: str, **environment: str) -> Options:
    return parse_options(("/usr/lib/postfix/sbin/virtual", *arguments), environment)


def test_what_master_usually_says() -> None:
    assert parsed(*NORMAL, GENERATION="17") == Options(
        process_name="virtual",
        service_name="virtual",
        transport="unix",
        overrides=(),
        socket_count=1,
        serves_stdin=False,
        wants_chroot=False,
        wants_debugger=False,
        by_hand=False,
        verbose=0,
        logs_to_stderr=False,
        arguments=(),
        generation=0o17,
    )


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        (("-c",), "wants_chroot", True),
        (("-d",), "by_hand", True),
        (("-D",), "wants_debugger", True),
        (("-i", "5s"), "overrides", (("max_idle", "5s"),)),
        (("-m", "7"), "overrides", (("max_use", "7"),)),
        (("-o", "a=b"), "overrides", (("a", "b"),)),
        (("-o", " a = b c "), "overrides", (("a", "b c"),)),
        (("-o", "a=b=c"), "overrides", (("a", "b=c"),)),
        (("-o", "a="), "overrides", (("a", ""),)),
        (
            ("-m", "1", "-o", "max_use=2", "-i", "3"),
            "overrides",
            (("max_use", "1"), ("max_use", "2"), ("max_idle", "3")),
        ),
        (("-n", "other"), "service_name", "other"),
        (("-nother",), "service_name", "other"),
        (("-s", "3"), "socket_count", 3),
        (("-s", " 3x"), "socket_count", 3),
        (("-S",), "serves_stdin", True),
        (("-t", "inet"), "transport", "inet"),
        (("-t", "PASS"), "transport", "PASS"),
        (("-v",), "verbose", 1),
        (("-vvv", "-v"), "verbose", 4),
        (("-V",), "logs_to_stderr", True),
        (("word", "-v"), "arguments", ("word", "-v")),
        (("--", "-v"), "arguments", ("-v",)),
        (("-",), "arguments", ("-",)),
    ],
)
def test_each_letter_says_its_own(
    arguments: tuple[str, ...], name: str, value: object
) -> None:
    assert getattr(parsed(*NORMAL, *arguments), name) == value


@pytest.mark.parametrize("letters", [("-l",), ("-z",), ("-r", "5"), ("-lz",)])
def test_some_letters_mean_nothing_to_virtual(letters: tuple[str, ...]) -> None:
    assert parsed(*NORMAL, *letters) == parsed(*NORMAL)


def test_the_service_is_called_as_the_program_without_a_name() -> None:
    assert parsed("-t", "unix").service_name == "virtual"


def test_standard_input_needs_no_transport() -> None:
    assert parsed("-S").transport == ""


def test_the_environment_asks_for_more() -> None:
    options = parsed(*NORMAL, "-v", MAIL_VERBOSE="", MAIL_DEBUG="", GENERATION="0")
    assert options.verbose == 2
    assert options.wants_debugger


@pytest.mark.parametrize(
    ("text", "generation"),
    [("0", 0), ("7", 7), ("10", 8), ("0010", 8), ("37777777777", 2**32 - 1)],
)
def test_the_generation_is_octal(text: str, generation: int) -> None:
    assert parsed(*NORMAL, GENERATION=text).generation == generation


def test_without_a_generation_it_is_zero() -> None:
    assert parsed(*NORMAL).generation == 0


ERRORS: dict[tuple[str, ...], str] = {
    ("-Q",): "invalid option: Q",
    ("-vQ",): "invalid option: Q",
    ("-n",): "invalid option: n",
    ("-t",): "invalid option: t",
    ("-o",): "invalid option: o",
    (
        "-o",
        "x",
    ): "invalid \"-o x\" option value: missing '=' after attribute name",
    ("-o", "=y"): 'invalid "-o =y" option value: missing attribute name',
    (
        "-o",
        "a b=c",
    ): "invalid \"-o a b=c\" option value: missing '=' after attribute name",
    ("-ooo",): "invalid \"-o oo\" option value: missing '=' after attribute name",
    ("-r", "0"): "invalid retirement time: 0",
    ("-r", "-1"): "invalid retirement time: -1",
    ("-r", "x"): "invalid retirement time: x",
    ("-r", ""): "invalid retirement time: ",
    ("-s", "0"): "invalid socket_count: 0",
    ("-s", "x"): "invalid socket_count: x",
    ("-u", *NORMAL): "service virtual requires privileged operation",
    ("-u",): "service virtual requires privileged operation",
    ("-tunix", "-nfoo", "-u"): "service foo requires privileged operation",
    ("-S", "-u"): "service virtual requires privileged operation",
    (): "no transport type specified",
    ("-n", "virtual"): "no transport type specified",
    ("-r", "5x"): "no transport type specified",
    ("-r", " 5"): "no transport type specified",
    ("--",): "no transport type specified",
    ("-", "-t", "unix"): "no transport type specified",
    ("-r", "+5"): "no transport type specified",
    ("-s", "+1"): "no transport type specified",
    ("--foo",): "invalid option: -",
    ("-r", "0", "-Q"): "invalid retirement time: 0",
    ("-s", "0", "-s", "1"): "invalid socket_count: 0",
    ("-t", "fifo"): "unsupported transport type: fifo",
    ("-t", ""): "unsupported transport type: ",
}
GENERATIONS = ("x", "", " 1", "-1", "1x", "+1")


def test_a_number_without_end_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="invalid socket_count: 999"):
        parse_options(("virtual", "-t", "unix", "-s", "9" * 5000), {})


@pytest.mark.parametrize("arguments", ERRORS)
def test_a_mistake_has_postfixs_words(arguments: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        parsed(*arguments)
    assert caught.value.text == ERRORS[arguments]


@pytest.mark.parametrize("text", GENERATIONS)
def test_a_bad_generation_has_postfixs_words(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parsed(*NORMAL, GENERATION=text)
    assert caught.value.text == f"bad generation: {text}"


@pytest.fixture
def complaints(instance: Instance) -> Callable[..., list[str]]:
    """What the genuine program says before it ends.

    All command lines at once, because it waits for a second before it ends.
    """

    def run(cases: list[tuple[tuple[str, ...], dict[str, str]]]) -> list[str]:
        programs = [
            subprocess.Popen(
                (GENUINE, "-V", *arguments),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={"MAIL_CONFIG": str(instance.etc), "LANG": "C", **environment},
                cwd=instance.spool,
            )
            for arguments, environment in cases
        ]
        return [program.communicate()[1].decode() for program in programs]

    return run


@pytest.mark.postfix
def test_the_genuine_program_has_the_same_words(
    complaints: Callable[..., list[str]],
) -> None:
    cases: list[tuple[tuple[str, ...], dict[str, str]]] = [
        (arguments, {}) for arguments in ERRORS
    ]
    cases += [(NORMAL, {"GENERATION": text}) for text in GENERATIONS]
    expected = [*ERRORS.values(), *(f"bad generation: {text}" for text in GENERATIONS)]
    for (arguments, _), said, text in zip(
        cases, complaints(cases), expected, strict=True
    ):
        assert said == f"postfix/virtual: fatal: {text}\n", arguments
