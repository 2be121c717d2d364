"""Values of virtual_mailbox_maps that are not the paths that were meant."""

from __future__ import annotations

import sqlite3

from postvirt.inspection.problem import Severity
from tests.harness.installations import Broken, Change, Installation, Sound

BOB, ANN = "bob@example.com", "ann@example.com"
SOUND_TABLE = {BOB: "example.com/bob/"}


def with_value(value: str, recipient: str = BOB) -> Change:
    """One mailbox, whose path is this value; {mail} is virtual_mailbox_base."""
    return lambda it: it.mailboxes({recipient: value.replace("{mail}", str(it.mail))})


def with_path(it: Installation) -> None:
    it.mailboxes(SOUND_TABLE)


def in_sql(
    *rows: tuple[str, str],
    query: str = "SELECT maildir FROM users WHERE address = '%s'",
    more: str = "",
) -> Change:
    """A database, which keeps values as they are, and more parameters of its table."""

    def change(it: Installation) -> None:
        path = it.etc / "users.sqlite"
        path.unlink(missing_ok=True)
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE users (address TEXT, maildir TEXT)")
            database.executemany("INSERT INTO users VALUES (?, ?)", rows)
        database.close()
        table = it.etc / "users.cf"
        table.write_text(f"dbpath = {path}\nquery = {query}\n{more}\n")
        for one in (path, table):
            one.chmod(0o644)
        it.set(virtual_mailbox_maps=f"sqlite:{table}")

    return change


def below(base: str, value: str) -> Change:
    """A base below the usual one, with a mailbox in it."""

    def change(it: Installation) -> None:
        it.directory(f"{base}/example.com/bob/new", mode=0o700)
        it.set(virtual_mailbox_base=str(it.mail / base))
        it.mailboxes({BOB: value})

    return change


def with_directory(value: str, recipient: str = BOB) -> Change:
    """A maildir where mail is read, and another path in the table."""

    def change(it: Installation) -> None:
        it.directory("example.com/bob/new", mode=0o700)
        it.mailboxes({recipient: value})

    return change


def known_by_a_directory(value: str) -> Change:
    """A user of a domain in a database, who has a mailbox already."""

    def change(it: Installation) -> None:
        in_sql(("bob@example.com", value))(it)
        it.directory("example.com/bob/new", mode=0o700)

    return change


def known_by_an_alias(value: str) -> Change:
    """A user to whom mail for another address goes."""

    def change(it: Installation) -> None:
        in_sql(("carol@example.com", value))(it)
        aliases = {"help@example.com": "ann@example.org, carol@example.com"}
        it.set(virtual_alias_maps=it.table("aliases", aliases))

    return change


def known_by_a_uid(value: str) -> Change:
    """A user with a uid in a text file, and a domain of which nothing else is known."""

    def change(it: Installation) -> None:
        in_sql(("carol@example.com", value))(it)
        it.set(
            virtual_uid_maps=it.table("uids", {"carol@example.com": "5000"}),
            virtual_mailbox_domains="regexp:{{/^example[.]com/ x}}",
        )

    return change


def in_rules(result: str) -> Change:
    """A recipient of whom nothing else is known."""

    def change(it: Installation) -> None:
        rules = it.etc / "rules"
        rules.write_text(f"if /@/\n/^kim[0-9]*@/ {result}\nendif\n")
        rules.chmod(0o644)
        it.set(virtual_mailbox_maps=f"regexp:{rules}")

    return change


def mostly_maildirs(value: str) -> Change:
    """A mailbox beside many maildirs."""

    def change(it: Installation) -> None:
        it.directory("example.com")
        others = {f"u{n}@example.com": f"example.com/u{n}/" for n in range(10)}
        it.mailboxes({BOB: value, **others})

    return change


def users_of_a_local_domain(it: Installation) -> None:
    """Users are looked up without the domain of the machine's own mail."""
    it.mailboxes({"bob": "example.com/bob/", **SOUND_TABLE})
    it.set(myorigin="example.com")


def domains_and_addresses_in_one_table(it: Installation) -> None:
    it.mailboxes({"example.com": "x", **SOUND_TABLE})
    it.set(virtual_mailbox_domains="$virtual_mailbox_maps")


def to_another(it: Installation) -> None:
    it.mailboxes({BOB: "ann@example.com", ANN: "example.com/ann/"})


def broken(
    name: str,
    code: str,
    breaks: Change,
    *says: str,
    mends: Change = with_path,
    severity: Severity = "error",
) -> Broken:
    return Broken(name, code, breaks, mends, severity, says)


BROKEN = (
    Broken(
        "a database that returns the address",
        "PV220",
        in_sql(
            ("postmaster@example.com", "x"),
            query="SELECT address FROM users WHERE address = '%s'",
        ),
        in_sql(("postmaster@example.com", "example.com/postmaster/")),
        severity="warning",
        says=["returns the address itself", "postmaster@example.com"],
    ),
    Broken(
        "a table of addresses and nothing else",
        "PV221",
        lambda it: it.mailboxes({BOB: BOB, ANN: ANN}),
        lambda it: it.mailboxes({BOB: BOB, ANN: "example.com/ann/"}),
        severity="info",
        says=["2 mailboxes (bob@example.com, ann@example.com), which are mbox files"],
    ),
    broken(
        "a comment behind a value",
        "PV218",
        with_value("example.com/bob/   # Bob"),
        "a comment behind a value is part of the path",
        'mail for 1 recipient (bob@example.com) goes to "{root}/mail/example.com/bob/ ',
    ),
    broken("a name behind a value", "PV218", with_value("example.com/bob/ Bob Smith")),
    broken(
        "an equals sign between key and value",
        "PV218",
        with_value("= example.com/bob/"),
        "write only white space between key and value",
    ),
    broken("quotes around a value", "PV218", with_value('"example.com/bob/"')),
    broken("placeholders of Dovecot", "PV218", with_value("%d/%n/", "@example.com")),
    broken("long placeholders", "PV218", with_value("%{domain}/%{user | lower}/")),
    broken("the home directory", "PV218", with_value("~/Maildir/"), "neither ~ nor"),
    broken("a variable", "PV218", with_value("$HOME/Maildir/")),
    broken(
        "a format of Dovecot",
        "PV218",
        with_value("maildir:{mail}/example.com/bob/"),
        "write the path alone; a slash at its end means a maildir",
    ),
    broken("a transport as a value", "PV218", with_value("lmtp:unix:private/lmtp")),
    broken("a command as a value", "PV218", with_value("|/usr/bin/procmail")),
    broken("no mailbox at all", "PV218", with_value("/dev/null"), "the value discard:"),
    broken("a no-break space", "PV218", with_value("example.com/bob/\u00a0")),
    broken(
        "a blank at the end of a column",
        "PV218",
        in_sql(("postmaster@example.com", "example.com/bob/ ")),
        "white space at the beginning or end of a value",
        mends=in_sql(("postmaster@example.com", "example.com/bob/")),
    ),
    broken(
        "a carriage return in a column",
        "PV218",
        in_sql(("postmaster@example.com", "example.com/bob/\r")),
        "DOS line ends",
        mends=in_sql(("postmaster@example.com", "example.com/bob/")),
    ),
    broken(
        "several rows for one address",
        "PV218",
        in_sql(
            ("postmaster@example.com", "example.com/bob/"),
            ("postmaster@example.com", "example.com/ann/"),
        ),
        "several values of a key are one path",
        mends=in_sql(("postmaster@example.com", "example.com/bob/")),
    ),
    broken(
        "the base twice",
        "PV219",
        with_value("{mail}/example.com/bob/"),
        'goes to "{root}/mail/{root}/mail/example.com/bob/"',
        "write the values without {root}/mail",
        severity="warning",
    ),
    broken(
        "the base twice without its first slash",
        "PV219",
        lambda it: it.mailboxes({BOB: f"{str(it.mail)[1:]}/example.com/bob/"}),
        "write the values without {root}/mail",
        severity="warning",
    ),
    broken(
        "the last part of the base twice",
        "PV219",
        below("vhosts", "vhosts/example.com/bob/"),
        "write the values without vhosts/",
        severity="warning",
    ),
    broken(
        "whole paths",
        "PV219",
        with_value("/var/spool/example.com/bob/"),
        "values that begin with /var, too",
        severity="warning",
    ),
    broken(
        "whole paths that are to stay",
        "PV219",
        with_value("{mail}/example.com/bob/"),
        mends=lambda it: it.set(virtual_mailbox_base="/"),
        severity="warning",
    ),
    broken(
        "a list of recipients",
        "PV220",
        lambda it: it.mailboxes({BOB: "OK", ANN: "OK"}),
        'mail for 2 recipients (bob@example.com, ann@example.com) goes to "{root}/mail',
        'OK"',
    ),
    broken(
        "a query for the existence of a user",
        "PV220",
        in_sql(
            ("postmaster@example.com", "example.com/bob/"),
            query="SELECT 1 FROM users WHERE address = '%s'",
        ),
        '"1" is taken for a path',
        mends=in_sql(("postmaster@example.com", "example.com/bob/")),
    ),
    broken(
        "a query for the existence of a user who is not found",
        "PV220",
        in_sql(query="SELECT 1 FROM users WHERE address = '%s'"),
        "returns 1, which would be the path of an mbox file",
        mends=in_sql(),
        severity="warning",
    ),
    broken(
        "a user of a database with a directory",
        "PV218",
        known_by_a_directory("example.com/bob/ "),
        "mail for 1 recipient (bob@example.com)",
        mends=known_by_a_directory("example.com/bob/"),
    ),
    broken(
        "a user of a database with an alias",
        "PV218",
        known_by_an_alias("'example.com/carol/'"),
        "mail for 1 recipient (carol@example.com)",
        mends=known_by_an_alias("example.com/carol/"),
    ),
    broken(
        "a user of a database with a uid",
        "PV220",
        known_by_a_uid("carol@mail.example.org"),
        "mail for 1 recipient (carol@example.com)",
        mends=known_by_a_uid("example.com/carol/"),
    ),
    broken(
        "a result of a pattern",
        "PV218",
        in_rules("example.com/bob/ # Bob"),
        "mail for 1 recipient (result example.com/bob/ # Bob)",
        mends=in_rules("example.com/bob/"),
    ),
    broken(
        "a result of a pattern without its directory",
        "PV204",
        in_rules("boxes/bob"),
        mends=in_rules("boxes/bob/"),
    ),
    broken(
        "a query without a condition",
        "PV222",
        in_sql(("bob@example.com", "bob/"), query="SELECT maildir FROM users"),
        'every address has the same mailbox, "bob/"',
        mends=in_sql(("bob@example.com", "bob/")),
        severity="warning",
    ),
    broken(
        "a query that compares nothing with the address",
        "PV222",
        in_sql(
            ("bob@example.com", "bob/"),
            query="SELECT maildir FROM users WHERE address = address OR address = '%s'",
        ),
        mends=in_sql(("bob@example.com", "bob/")),
        severity="warning",
    ),
    broken(
        "an mbox file among maildirs",
        "PV221",
        mostly_maildirs("example.com/bob"),
        "1 mailbox (bob@example.com) without a slash at the end",
        mends=mostly_maildirs("example.com/bob/"),
        severity="info",
    ),
    broken(
        "users without a domain",
        "PV115",
        lambda it: it.mailboxes({"bob": "example.com/bob/", "ann": "example.com/ann/"}),
        "never looked up: 2 keys (bob, ann); keys for mail for bob@example.com are bob",
        "write whole addresses, such as bob@example.com",
        severity="warning",
    ),
    broken(
        "the number of a user",
        "PV220",
        with_value("5000"),
        severity="warning",
    ),
    broken(
        "an alias among the mailboxes",
        "PV220",
        to_another,
        "write the address in virtual_alias_maps",
    ),
    broken(
        "an alias of elsewhere among the mailboxes",
        "PV220",
        with_value("bob@mail.example.org"),
    ),
    broken(
        "a maildir without a slash",
        "PV221",
        with_value("example.com/bob/Maildir"),
        "as in example.com/bob/Maildir/",
        mends=with_value("example.com/bob/Maildir/"),
        severity="warning",
    ),
    broken(
        "an address where a path is meant",
        "PV221",
        with_directory(BOB),
        "there are directories such as {root}/mail/example.com/bob",
        mends=with_directory("example.com/bob/"),
        severity="warning",
    ),
    broken(
        "a user where a path is meant",
        "PV221",
        with_directory("bob"),
        mends=with_directory("example.com/bob/"),
        severity="warning",
    ),
)


def readme(it: Installation) -> None:
    """As in Postfix's VIRTUAL_README."""
    it.directory("example.com")
    it.mailboxes(
        {
            "info@example.com": "example.com/info",
            "sales@example.com": "example.com/sales/",
            "@example.com": "example.com/catchall",
        }
    )


def odd_names(it: Installation) -> None:
    """Names that have something of what is a mistake elsewhere."""
    it.directory("example.com")
    values = (
        "example.com/a,b/",
        "example.com/#1/",
        "example.com/c# & more/",
        "example.com/100%/",
        "example.com/j%c3%b6rg/",
        "example.com/cost-$5/",
        'example.com/"bob smith"/',
        "example.com/team:mail/",
        "example.com/b=o=b/",
        "example.com/it's/",
        "example.com/Maildir/",
        "example.com/bob.1",
        "null/",
    )
    it.mailboxes({f"u{n}@example.com": value for n, value in enumerate(values)})


def files_by_address(it: Installation) -> None:
    """Two addresses have one mailbox, and a user is called "ok"."""
    it.mailboxes(
        {
            BOB: BOB,
            ANN: BOB,
            "ok@example.com": "ok",
            "4711@example.com": "4711",
            "root@example.com": "root",
        }
    )


def files_by_user(it: Installation) -> None:
    """Users have one mailbox in all domains."""
    it.set(virtual_mailbox_domains="example.com example.org")
    it.mailboxes({BOB: "bob", "bob@example.org": "bob", ANN: "ann"})


def first_part_of_the_base(it: Installation) -> None:
    """A directory below the base has a part of its name, too."""
    it.directory("mail/example.com/bob/new", mode=0o700)
    it.mailboxes({BOB: "mail/example.com/bob/"})


def for_dovecot(it: Installation) -> None:
    """The table says who exists, and another program delivers the mail."""
    in_sql(
        ("postmaster@example.com", ""),
        query="SELECT 1 FROM users WHERE address = '%s' OR 1",
    )(it)
    it.master_cf("virtual unix - n n - - virtual\nlmtp unix - - n - - lmtp\n")
    it.set(virtual_transport="lmtp:unix:private/dovecot-lmtp")


def for_dovecot_and_unknown(it: Installation) -> None:
    """No address of the database is known."""
    in_sql(query="SELECT 1 FROM users WHERE address = '%s'")(it)
    it.set(virtual_transport="lmtp:unix:private/dovecot-lmtp")


SOUND = (
    Sound("a list of recipients for another program", for_dovecot),
    Sound("a list of unknown recipients for another program", for_dovecot_and_unknown),
    Sound("the mailboxes of VIRTUAL_README", readme),
    Sound("users of a local domain", users_of_a_local_domain),
    Sound("domains among the mailboxes", domains_and_addresses_in_one_table),
    Sound("values with odd names", odd_names),
    Sound("values that are addresses", files_by_address),
    Sound("values that are users", files_by_user),
    Sound("values with a slash at the beginning", with_value("/example.com/bob/")),
    Sound("the name of the base below the base", first_part_of_the_base),
    Sound(
        "whole paths below the root directory",
        lambda it: (
            with_value("{mail}/example.com/bob/")(it),
            it.set(virtual_mailbox_base="/"),
        ),
    ),
    Sound("a user of a database", known_by_a_uid("example.com/carol/")),
    Sound(
        "a database with a mailbox for all of a domain",
        in_sql(("@example.com", "example.com/bob/")),
    ),
    Sound(
        "a query with a mailbox for all of a domain",
        in_sql(
            ("example.com", "example.com/bob/"),
            query="SELECT maildir FROM users WHERE address = '%d'",
        ),
    ),
    Sound(
        "a database that makes paths from addresses",
        in_sql(
            ("postmaster@example.com", ""),
            query="SELECT address FROM users WHERE address = '%s'",
            more="result_format = %d/%u/",
        ),
    ),
    Sound(
        "a query that makes a path for any address",
        in_sql(query="SELECT '%d/%u/'"),
    ),
    Sound(
        "a query for addresses without a path",
        in_sql(query="SELECT address FROM users WHERE address = '%s'"),
    ),
    Sound(
        "a database with paths", in_sql(("postmaster@example.com", "example.com/bob/"))
    ),
)
