"""main.cf is cut into assignments as Postfix cuts it."""

import pytest

from postvirt.config.main_cf import parse, split_nameval
from postvirt.model.text import text
from tests.harness.installed_postfix import without_new

# Every file assigns at most relayhost and mail_name.
GOOD = {
    "empty": b"",
    "only a comment": b"# relayhost = x",
    "only blanks": b" \t\n\n  ",
    "plain": b"relayhost = host\n",
    "no final newline": b"relayhost = host",
    "no blanks": b"relayhost=host\n",
    "many blanks": b"relayhost \t = \t host \t \n",
    "empty value": b"relayhost =\nmail_name = x\n",
    "value with equals signs": b"relayhost == a = b\n",
    "continued": b"relayhost = a\n b\n\tc\n",
    "blank and comment lines inside": b"relayhost = a\n\n# c\n \n  # d\n b\n",
    "comment lines before the next": b"relayhost = a\n# b\n\n# c\nmail_name = d\n",
    "continued after nothing": b"relayhost =\n\n  a\n",
    "equals sign on the next line": b"relayhost\n  = a\n",
    "equals sign after comments": b"relayhost\n# c\n\n   \n = a\n",
    "comment in a value is text": b"relayhost = a # b\n",
    "backslash means nothing": b"relayhost = a \\\n b\n",
    "duplicate": b"relayhost = a\nrelayhost = b\n",
    "equal duplicate": b"relayhost = a\nrelayhost = a\n",
    "three of a kind": b"relayhost = a\nrelayhost = b\nrelayhost = a\n",
    "orphan": b"  relayhost = a\nmail_name = b\n",
    "orphan with continuation": b"# c\n  relayhost = a\n  b\n# d\n e\nmail_name = f\n",
    "long orphan": b" " + b"x" * 100 + b"\nmail_name = f\n",
    "carriage returns": b"relayhost = a\r\nmail_name = b\r\n",
    "carriage return line": b"relayhost = a\n\r\n b\n",
    "form feed continues": b"relayhost = a\n\fb\n",
    "vertical tab ends a name": b"relayhost\v=\va\v\n",
    "not UTF-8": b"relayhost = \xff\xfe\n",
    "no-break space is no blank": b"relayhost = \xc2\xa0a\xc2\xa0\n",
    "NUL ends a value": b"relayhost = a\0b\nmail_name = x\n",
    "hash in a name": b"a#b = c\nrelayhost = d\n",
    "long line": b"relayhost = " + b"x" * 50000 + b"\n",
    "next line separator is no newline": b"relayhost = a\xc2\x85b\xe2\x80\xa8c\n",
    "file separator is no blank": b"relayhost = a\x1c\nmail_name = b\x1d\n",
}

BAD = {
    "no equals sign": b"relayhost\n",
    "blank in the name": b"relay host = a\n",
    "no name": b"= a\n",
    "NUL in the name": b"relay\0host = a\n",
    "NUL first": b"\0relayhost = a\n",
    "continued without equals sign": b"# c\nrelayhost\n# d\n\n  a\n",
    "in the third line": b"mail_name = a\n\nrelayhost a\n",
    "name on two lines": b"relay\n host = a\n",
    "warning first": b"  x\nmail_name = a\nmail_name = b\nrelayhost\n",
}


def values(content):
    parsed = parse(text(content), "main.cf", {})
    return {a.name: a.value for a in parsed.assignments}


@pytest.mark.postfix
@pytest.mark.parametrize("content", GOOD.values(), ids=list(GOOD))
def test_postconf_reads_the_same_values(content, main_cf, postconf):
    directory = main_cf(content)
    shown = postconf("-c", directory, "-n")
    ours = values(content)
    expected = []
    for name in sorted(ours.keys() & {"relayhost", "mail_name"}):
        # postconf shows runs of these as one space.
        value = ours[name].translate(str.maketrans("\t\r\n", "   "))
        words = " ".join(word for word in value.split(" ") if word)
        expected.append(f"{name} = {words}".rstrip(" "))
    assert [line for line in shown if not line.startswith("config_dir")] == expected


@pytest.mark.postfix
def test_postfix_warns_about_the_same_lines(main_cf, complaints, our_complaints):
    cases = [name for name in GOOD if name != "NUL ends a value"]
    directories = [main_cf(GOOD[name]) for name in cases]
    for name, directory, theirs in zip(
        cases, directories, complaints(directories), strict=True
    ):
        assert (name, our_complaints(directory)) == (name, theirs)


@pytest.mark.postfix
def test_postfix_refuses_the_same_lines(main_cf, complaints, our_complaints):
    directories = [main_cf(content) for content in BAD.values()]
    for name, directory, theirs in zip(
        BAD, directories, complaints(directories), strict=True
    ):
        assert theirs[-1].startswith("fatal: ")
        assert (name, our_complaints(directory)) == (name, without_new(theirs))


@pytest.mark.parametrize("content", GOOD.values(), ids=list(GOOD))
def test_every_character_of_a_value_is_found_in_the_file(content):
    parsed = parse(text(content), "main.cf", {})
    for assignment in parsed.assignments:
        for offset, character in enumerate(assignment.value[:1000]):
            place = parsed.value_origin(assignment, offset)
            assert place.source[place.column] == character
            assert place.source == parsed.text.split("\n")[place.line - 1]


def test_a_bad_line_is_reported_with_its_place():
    (problem,) = parse("a = b\n\nmail name = x\n", "/p/main.cf", {}).problems
    assert (problem.origin.line, problem.origin.column) == (3, 5)
    assert problem.origin.source == "mail name = x"
    assert problem.remedy


def test_what_is_set_before_main_cf_counts_as_an_earlier_entry():
    (problem,) = parse("a = b\n", "main.cf", {"a": "c"}).problems
    assert problem.text == "main.cf, line 1: overriding earlier entry: a=c"
    assert problem.severity == "warning"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a=b", ("a", "b")),
        (" a = b c ", ("a", "b c")),
        ("a=", ("a", "")),
        ("a==", ("a", "=")),
        ("", "missing attribute name"),
        (" = b", "missing attribute name"),
        ("a", "missing '=' after attribute name"),
        ("a b = c", "missing '=' after attribute name"),
    ],
)
def test_name_and_value_are_split(line, expected):
    assert split_nameval(line) == expected
