"""Lists of domains, against the genuine program."""

from __future__ import annotations

import pytest

from postvirt.errors import ConfigError, TableError
from postvirt.tables.match_list import DomainList, MatchList, patterns, table_names
from tests.harness.effort import steps_of
from tests.harness.installed_postfix import in_our_words
from tests.harness.tables import open_tables

DOMAINS = [
    b"example.com",
    b"EXAMPLE.com",
    b"sub.example.com",
    b"a.sub.example.com",
    b"xexample.com",
    b".example.com",
    b"com",
    b"example.org",
    "é.example.org".encode(),
    "É.example.org".encode(),
    b"[1.2.3.4]",
    b"",
]
LISTS = (
    "",
    "example.com",
    ".example.com",
    "Example.COM, example.org",
    "!sub.example.com, example.com",
    "!!example.com",
    "example.com !example.com",
    "inline:{example.com=x}",
    "inline:{{.example.com=x}}",
    "!inline:{sub.example.com=x} static:all",
    "É.example.org",
    "[1.2.3.4]",
    "com # comment",
    "FILE",
    "!FILE com",
    "/nonexistent/file com",
    "com /nonexistent/file",
    "hash:/nonexistent/table com",
)


@pytest.mark.postfix
@pytest.mark.parametrize("parents", ["", "fast_flush_domains", "static:x"])
@pytest.mark.parametrize("value", LISTS)
def test_a_domain_list_matches_as_in_postfix(
    postfix, logged, text_table, value, parents
):
    file = text_table(b"# comment\nexample.com, !example.org\n  com\n")
    value = value.replace("FILE", file)
    postfix.configure(
        fast_flush_domains=value, parent_domain_matches_subdomains=parents
    )
    expected, lines = postfix.ask("domain", DOMAINS)
    domains = DomainList(
        "fast_flush_domains",
        value,
        parent_domain_matches_subdomains=parents,
        utf8=True,
        opened=open_tables(),
    )

    def matches(domain):
        try:
            return domains.matches(domain)
        except TableError:
            return False  # as the caller in Postfix takes it

    ours = [matches(domain) for domain in DOMAINS]
    assert ours == [bool(result) for result in expected]
    assert logged.take() == [in_our_words(line) for line in lines]


def test_a_failing_table_fails_the_match(logged):
    names = MatchList("title", "hash:/none", utf8=True, opened=open_tables())
    with pytest.raises(TableError):
        names.contains(b"a")
    assert logged.take()[-1] == "warning: title: hash:/none: table lookup problem"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("hash:/none", "open database /none.db: No such file or directory"),
        ("a /none/list", "open file /none/list: No such file or directory"),
        (
            "unionmap:{static:a, hash:/none}",
            "open database /none.db: No such file or directory",
        ),
    ],
)
def test_a_table_may_have_to_open(logged, value, problem):
    """daemon_table_open_error_is_fatal."""
    with pytest.raises(ConfigError) as error:
        MatchList("title", value, utf8=True, opened=open_tables(all_must_open=True))
    assert error.value.text == problem
    assert logged.take() == []


def test_an_exclamation_mark_needs_a_pattern():
    with pytest.raises(ConfigError, match="title: no pattern after '!'"):
        MatchList("title", "a, !", utf8=True, opened=open_tables())


def test_a_file_that_includes_itself_is_refused(tmp_path):
    path = tmp_path / "list"
    path.write_text(f"a\n{path}\n")
    with pytest.raises(ConfigError, match="includes itself"):
        MatchList("title", str(path), utf8=True, opened=open_tables())


def test_the_tables_of_a_list_are_known_without_opening_them(text_table, logged):
    path = text_table(b"hash:/in/file\nplain\n")
    value = f"plain, !btree:/a, [::1], {path}, /nonexistent, inline:{{a=b, c=d}}"
    names = ["btree:/a", "hash:/in/file", "inline:{a=b, c=d}"]
    assert table_names("title", f"{value} # end") == names
    assert logged.take() == []


def test_what_puts_a_domain_into_a_list(text_table):
    file = text_table(b"# comment\nexample.edu, !example.net\n!!hash:/x\n")
    value = f"Example.com !example.org !static:x static:y {file} /none # comment"
    assert patterns("mydestination", value) == [
        b"Example.com",
        "static:y",
        b"example.edu",
        "hash:/x",
    ]


def test_a_domain_among_many_costs_what_one_among_few_does():
    def lines(count, style):
        names = ", ".join(f"a{number}.example" for number in range(count))
        domains = DomainList(
            "fast_flush_domains",
            names,
            parent_domain_matches_subdomains=style,
            utf8=True,
            opened=open_tables(),
        )
        return [
            steps_of(lambda: domains.matches(b"x.y.example")),
            steps_of(lambda: domains.matches(b"sub.a1.example")),
        ]

    for style in ("", "fast_flush_domains"):
        assert lines(10_000, style) == lines(10, style)


def test_a_long_domain_costs_no_more_than_its_longest_pattern():
    domains = DomainList(
        "fast_flush_domains",
        "a.example",
        parent_domain_matches_subdomains="fast_flush_domains",
        utf8=True,
        opened=open_tables(),
    )
    long = steps_of(lambda: domains.matches(b"." * 60_000))
    assert long == steps_of(lambda: domains.matches(b"." * 60))
