"""master.cf is cut into services as Postfix cuts it."""

import subprocess

import pytest

from postvirt.config.master_cf import parse, read_master_cf
from postvirt.errors import ConfigError
from postvirt.model.text import text

GOOD = {
    "empty": b"",
    "comments only": b"# a\n\n  # b\n",
    "plain": b"virtual unix - n n - - virtual\n",
    "no final newline": b"virtual unix - n n - - virtual",
    "many blanks": b"virtual\t unix   -  n n -\t- virtual  \n",
    "carriage return": b"virtual unix - n n - - virtual\r\n",
    "numbers": b"a unix n y y 60 0 virtual\nb fifo y - - 60? 100 virtual\n",
    "types": b"1 inet n - - - - s\n2 pass - - - - - s\n3 unix-dgram n - n - 1 s\n",
    "an address": b"127.0.0.1:10025 inet n n n - - smtpd\n",
    "continued": b"a unix - n n - - virtual\n -v\n# c\n\n\t-o a=b\n",
    "continued before the command": b"a unix - n\n n - - virtual\n",
    "options": b"a unix - n n - - virtual -v -o a=b -o c=d=e -o f=\n",
    "options in braces": b"a unix - n n - - virtual -o { a = b c } -o {d=e}\n",
    "braces in an option": b"a unix - n n - - virtual -o { a = {b c} } -o d={e f}\n",
    "options without a blank": b"a unix - n n - - virtual -oa=b -vo c=d -voe=f\n",
    "attached braces": b"a unix - n n - - virtual -o{ a = b }\n",
    "arguments": b"a unix - n n - - pipe -v flags=R user=x argv=/bin/x -o y=z\n",
    "arguments in braces": b"a unix - n n - - pipe x { a b } {c} d{e f}g\n",
    "end of options": b"a unix - n n - - virtual -v -- -o a=b\n",
    "an option without a value": b"a unix - n n - - virtual -o\n",
    "a hash in a line": b"a unix - n n - - virtual #x -o y=z\n",
    "a comment after a blank": b"a unix - n n - - virtual\n # -o a=b\n -o c=d\n",
    "text before the first entry": b"  -o a=b\nc unix - n n - - virtual\n",
    "a path": b"a unix - n n - - ../x/virtual\n",
    "equal names": b"a unix - n n - - virtual\na unix - n n - - smtp -o b=c\n",
    "not UTF-8": b"\xff unix - n n - - virtual -o a=\xfe\n",
    "NUL ends an entry": b"a unix - n n - - virtual -o a=b\0 -o c=d\n",
    "a lone closing brace": b"a unix - n n - - virtual a}b }\n",
}

# Name, entry, message, column of the caret in the entry.
BAD = [
    ("a unix - n n - -", 'missing "command" field', 16),
    ("a", 'missing "transport type" field', 1),
    ("a unix -\n  n", 'missing "chroot" field', 3),
    ("a tcp - n n - - virtual", "bad transport type: tcp", 2),
    ("a UNIX - n n - - virtual", "bad transport type: UNIX", 2),
    ("a unix yes n n - - virtual", 'field "private": bad value: "yes"', 7),
    ("a unix - 1 n - - virtual", 'field "unprivileged": bad value: "1"', 9),
    ("a unix - n N - - virtual", 'field "chroot": bad value: "N"', 11),
    ("a unix - n n 1m - virtual", 'field "wakeup_time": bad value: "1m"', 13),
    ("a unix - n n -1 - virtual", 'field "wakeup_time": bad value: "-1"', 13),
    ("a unix - n n 5?? - virtual", 'field "wakeup_time": bad value: "5??"', 13),
    ("a unix - n n - ten virtual", 'field "max_proc": bad value: "ten"', 15),
    ("a unix - n n - 5? virtual", 'field "max_proc": bad value: "5?"', 15),
]
# postconf warns about these, or says nothing; the daemon ends.
WORSE_HERE = [
    ("a inet - n n - - virtual", "inet service cannot be private", 7),
    ("a inet y n n - - virtual", "inet service cannot be private", 7),
    ("a unix - n n ? - virtual", 'field "wakeup_time": bad value: "?"', 13),
    (
        "a unix - n n - - virtual -o ab",
        "invalid \"-o ab\" option value: missing '=' after attribute name",
        28,
    ),
    (
        "a unix - n n - - virtual -o {=b}",
        'invalid "-o =b" option value: missing attribute name',
        29,
    ),
    ("a unix - n n - - virtual -o {a=b", "missing '}' in \"{a=b\"", 28),
    ("a unix - n n - - virtual {a b}c", "syntax error after '}' in \"{a b}c\"", 30),
]


def shown(service):
    """The fields as `postconf -M` shows them."""
    flags = {True: "y", False: "n", None: "-"}
    wakeup = "-" if service.wakeup_seconds is None else str(service.wakeup_seconds)
    limit = "-" if service.process_limit is None else str(service.process_limit)
    fields = [service.name, service.type, flags[service.private]]
    fields += [flags[service.unprivileged], flags[service.chroot]]
    fields += [wakeup + "?" * service.wakes_if_used, limit, service.command]
    arguments = [
        f"{{{one}}}" if set(one) & set(" \t") else one for one in service.arguments
    ]
    return " ".join([*fields, *arguments])


@pytest.mark.postfix
@pytest.mark.parametrize("content", GOOD.values(), ids=list(GOOD))
def test_postconf_shows_the_same_services_and_options(content, main_cf, postconf):
    directory = main_cf("")
    with open(f"{directory}/master.cf", "wb") as file:
        file.write(content)
    parsed = parse(text(content), "master.cf")
    assert [problem.severity for problem in parsed.problems] in ([], ["warning"])
    theirs = [" ".join(line.split()) for line in postconf("-c", directory, "-M")]
    assert [" ".join(shown(one).split()) for one in parsed.services] == theirs
    options: dict[str, dict[str, str]] = {}
    for service in parsed.services:
        if service.overrides:
            label = f"{service.name}/{service.type}"
            options.setdefault(label, {}).update(service.overrides)
    ours = [
        f"{label}/{name} = {value}".rstrip()
        for label, values in options.items()
        for name, value in sorted(values.items())
    ]
    assert sorted(ours) == sorted(set(postconf("-c", directory, "-P")))


@pytest.mark.postfix
def test_postconf_refuses_the_same_entries(main_cf):
    directories = [main_cf("") for _ in BAD]
    for directory, (entry, _, _) in zip(directories, BAD, strict=True):
        with open(f"{directory}/master.cf", "w") as file:
            file.write(f"good unix - n n - - virtual\n{entry}\n")
    programs = [
        subprocess.Popen(
            ["postconf", "-c", directory, "-M"], stdout=subprocess.DEVNULL, stderr=-1
        )
        for directory in directories
    ]
    for (entry, _, _), program in zip(BAD, programs, strict=True):
        assert b"fatal" in program.communicate()[1], entry


@pytest.mark.parametrize(("entry", "message", "column"), BAD + WORSE_HERE)
def test_a_bad_entry_is_reported_with_master_s_words_and_its_place(
    entry, message, column
):
    parsed = parse(f"# comment\n{entry}\ngood unix - n n - - virtual\n", "/p/master.cf")
    (problem,) = parsed.problems
    assert problem.text == f"/p/master.cf: line 2: {message}"
    assert problem.severity == "error"
    assert problem.origin.column == column
    assert problem.origin.line == 2 + entry.count("\n")
    assert problem.origin.source == entry.split("\n")[-1]
    assert problem.remedy or "missing attribute name" in message
    assert [service.name for service in parsed.services] == ["good"]


def test_fields_are_typed():
    (service,) = parse("a unix n - y 60? 0 virtual -o b=c d\n", "m").services
    assert (service.private, service.unprivileged, service.chroot) == (
        False,
        None,
        True,
    )
    assert (service.wakeup_seconds, service.wakes_if_used) == (60, True)
    assert service.process_limit == 0
    assert service.arguments == ("-o", "b=c", "d")
    assert service.overrides == (("b", "c"),)


def test_a_transport_is_a_service_that_the_queue_manager_can_connect_to():
    master_cf = parse(
        "virtual inet n n n - - virtual\n"
        "virtual unix - n n - - smtp\n"
        "mine unix - n n - - /usr/libexec/postfix/virtual\n"
        "ours unix - n n - - postvirt-virtual\n",
        "m",
    )
    entry = master_cf.entry("virtual")
    assert entry is not None
    assert (entry.type, entry.program, entry.is_delivery_agent) == (
        "unix",
        "smtp",
        False,
    )
    assert master_cf.entry("absent") is None
    agents = [(one.type, one.name) for one in master_cf.delivery_agents()]
    assert agents == [("inet", "virtual"), ("unix", "mine"), ("unix", "ours")]


@pytest.mark.parametrize(
    "entry",
    [
        "a unix - n n - - virtual -o x=value",
        "a unix - n n - - virtual -ox=value",
        "a unix - n n - - virtual\n# c\n  -o { x = value }",
        "a unix - n n - - virtual -o {x= \tvalue}",
    ],
)
def test_the_value_of_an_option_has_a_place(entry):
    (service,) = parse(f"\n{entry}\n", "m").services
    place = service.options[0].origin
    assert place.source[place.column :].startswith("value")
    assert place.source == f"\n{entry}".split("\n")[place.line - 1]


def test_the_file_is_read_from_the_directory(tmp_path):
    with pytest.raises(ConfigError) as caught:
        read_master_cf(str(tmp_path))
    path = tmp_path / "master.cf"
    assert caught.value.text == f"open {path}: No such file or directory"
    path.write_text("a unix - n n - - virtual\n")
    assert [one.name for one in read_master_cf(str(tmp_path)).services] == ["a"]
