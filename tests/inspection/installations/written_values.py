"""How values are written: with comments behind them, or characters nobody sees."""

from __future__ import annotations

import sqlite3

from tests.harness.installations import Broken, Change, Installation, Sound

VIRTUAL = "virtual unix - n n - - virtual"
SMTP = "smtp inet n - n - - smtpd"


def commented(**values: str) -> Broken:
    """A value with a comment behind it."""
    ((name, value),) = values.items()
    return Broken(
        f"a comment behind the value of {name}",
        "PV015",
        lambda it: it.set(**values),
        severity="error" if name in STOPPING else "warning",
        says=[f'"{value[value.rindex("#") :]}" is not a comment', "postconf"],
        needs="postfix",
    )


STOPPING = ("virtual_minimum_uid", "virtual_mailbox_maps", "soft_bounce")


def lines(text: str) -> Change:
    """Add lines to a main.cf that has no others but its own, as they are."""

    def change(it: Installation) -> None:
        it.set()  # without what was added before
        with (it.etc / "main.cf").open("a") as file:
            file.write(text)

    return change


def without_a_newline(name: str, text: str) -> Change:
    """Have a file end with a line that has no end."""

    def change(it: Installation) -> None:
        it.master_cf(f"{VIRTUAL}\n" if text != VIRTUAL else "")
        path = it.etc / name
        path.write_text(path.read_text() + text)

    return change


def rewritten(old: str, new: str, name: str = "main.cf") -> Change:
    """Replace a text in a file, as an editor would."""

    def change(it: Installation) -> None:
        path = it.etc / name
        content = path.read_bytes()
        assert old.encode() in content
        path.write_bytes(content.replace(old.encode(), new.encode()))

    return change


def beginning(text: str, name: str = "main.cf") -> Change:
    """Have a file begin with a text."""

    def change(it: Installation) -> None:
        it.master_cf(f"{VIRTUAL}\n")
        path = it.etc / name
        path.write_text(text + path.read_text())

    return change


def database(parameters: str, *, beginning: str = "") -> Change:
    """An sqlite: table with these parameters beside the usual ones."""

    def change(it: Installation) -> None:
        path = it.etc / "users.db"
        with sqlite3.connect(path) as made:
            made.execute("CREATE TABLE IF NOT EXISTS users (address TEXT, path TEXT)")
            made.execute("INSERT INTO users VALUES ('bob@example.com', 'b/')")
        made.close()
        path.chmod(0o644)
        setup = it.etc / "users.cf"
        if "query =" not in parameters:
            query = "query = SELECT path FROM users WHERE address = '%s'\n"
        else:
            query = ""
        text = f"{beginning}dbpath = {path}\n{query}{parameters}"
        setup.write_bytes(text.encode())
        setup.chmod(0o644)
        it.set(virtual_mailbox_maps=f"sqlite:{setup}")

    return change


LIST = """smtpd_recipient_restrictions =
    permit_mynetworks, # our networks
    # a comment
    reject_unauth_destination
"""

BROKEN = (
    commented(virtual_minimum_uid="100 # lowest"),
    commented(soft_bounce="no   #"),
    commented(virtual_mailbox_domains="example.com # ours"),
    commented(virtual_mailbox_maps="static:example.com/bob/ # all mail"),
    commented(virtual_transport="virtual # local"),
    commented(virtual_mailbox_base="/ # all"),
    commented(relayhost="# none"),
    commented(mynetworks="127.0.0.0/8 [::1]/128 #local"),
    commented(smtpd_client_restrictions="check_client_access inline:{a={# b}} # c"),
    Broken(
        "a comment in the middle of a list",
        "PV015",
        lines(LIST),
        lines(LIST.replace("# our networks", "")),
        severity="warning",
        says=['smtpd_recipient_restrictions: "# our networks"', "a line of its own"],
    ),
    Broken(
        "a comment behind a value of the user's own",
        "PV015",
        lambda it: it.set(domains="example.com # ours", relay_domains="$domains"),
        severity="warning",
        needs="postfix",
    ),
    Broken(
        "a comment behind an option",
        "PV015",
        lambda it: it.master_cf(
            f"{VIRTUAL}\n{SMTP} -o smtpd_tls_wrappermode=yes # TLS\n"
        ),
        lambda it: it.master_cf(f"{VIRTUAL}\n{SMTP} -o smtpd_tls_wrappermode=yes\n"),
        severity="warning",
        says=['smtp: "# TLS" is not a comment'],
    ),
    Broken(
        "a comment behind the delivery agent",
        "PV015",
        lambda it: it.master_cf(f"{VIRTUAL} # agent\n"),
        lambda it: it.master_cf(f"{VIRTUAL}\n# agent\n"),
        severity="warning",
        says=['virtual: "# agent" is not a comment'],
    ),
    Broken(
        "a comment in braces in master.cf",
        "PV015",
        lambda it: it.master_cf(
            f"{VIRTUAL}\n  -o {{ virtual_mailbox_lock = fcntl # as Dovecot }}\n"
        ),
        lambda it: it.master_cf(
            f"{VIRTUAL}\n  -o {{ virtual_mailbox_lock = fcntl }}\n"
        ),
        says=['virtual: virtual_mailbox_lock: "# as Dovecot" is not a comment'],
    ),
    Broken(
        "a byte order mark before a comment",
        "PV016",
        beginning("\ufeff# comment\n"),
        says=["sed"],
    ),
    Broken(
        "a byte order mark before a parameter",
        "PV016",
        beginning("\ufeffsoft_bounce = no\n"),
        severity="warning",
    ),
    Broken(
        "a byte order mark in master.cf",
        "PV016",
        beginning("\ufeff# comment\n", "master.cf"),
    ),
    Broken(
        "a byte order mark in the file of a database",
        "PV124",
        database("", beginning="\ufeff"),
        says=["sqlite:{root}/etc/users.cf", "sed"],
    ),
    Broken(
        "a comment behind a value in the file of a database",
        "PV015",
        database("expansion_limit = 1 # one\n"),
        database("expansion_limit = 1\n# one\n"),
        says=["expansion_limit"],
    ),
    Broken(
        "a misspelled parameter of a database",
        "PV123",
        database("result_formt = %s\n"),
        database("result_format = %s\n"),
        severity="warning",
        says=["did you mean result_format?"],
    ),
    Broken(
        "an unknown parameter of a database",
        "PV123",
        database("frobnicate = yes\n"),
        database(""),
        severity="info",
        says=["frobnicate"],
    ),
    Broken(
        "a last line of main.cf without its end",
        "PV018",
        without_a_newline("main.cf", "biff = no"),
        severity="warning",
        says=["sed -i"],
    ),
    Broken(
        "a last comment of master.cf without its end",
        "PV018",
        without_a_newline("master.cf", "# the end"),
        severity="warning",
    ),
    Broken(
        "a no-break space before a value",
        "PV017",
        rewritten("virtual_mailbox_base = ", "virtual_mailbox_base =\u00a0"),
        says=["U+00A0"],
    ),
    Broken(
        "a narrow no-break space in a list",
        "PV017",
        lambda it: it.set(virtual_mailbox_domains="example.com\u202fexample.org"),
    ),
    Broken(
        "an invisible character in a name",
        "PV017",
        lines("soft\u200b_bounce = no\n"),
        severity="warning",
        says=["U+200B"],
    ),
    Broken(
        "a no-break space that indents a line",
        "PV017",
        lines("mynetworks = 127.0.0.0/8\n\u00a0 [::1]/128\n"),
        lines("mynetworks = 127.0.0.0/8\n  [::1]/128\n"),
        says=["an ordinary space"],
    ),
    Broken(
        "a no-break space in master.cf",
        "PV017",
        lambda it: it.master_cf(f"{VIRTUAL}\u00a0-v\n"),
        severity="warning",
    ),
)


def number_signs(it: Installation) -> None:
    """Where "#" is what it seems."""
    (it.etc / "a#b").touch()
    it.master_cf(
        f"# the agent # here\n{VIRTUAL}\n# and\n  -o soft_bounce=no\n  # one # more\n"
        f"{SMTP} -o smtpd_banner=a#b -o {{ smtpd_reject_footer = call # 5 }}\n"
        "vac unix - n n - - pipe user=nobody argv=/bin/true a#b\n"
    )
    it.set(
        virtual_mailbox_base=str(it.directory("a#b")),
        smtpd_banner="$myhostname ESMTP # 1 mail server",
        smtpd_reject_footer="$contact",
        contact="call us: # 555",
        recipient_delimiter="#",
        queue_run_delay="5m # works, because Postfix reads no further than the unit",
        smtpd_helo_restrictions="check_helo_access pcre:{ { /^a # b/ REJECT # c } }",
        canonical_maps=f"regexp:{it.etc}/a#b, inline:{{ {{ a = # b }} }}",
        header_checks="pcre:{{/x # y/ IGNORE}}",
        mydestination="\n    # a list # of\n    $myhostname\n    # nothing else\n   ",
        relocated_maps="sqlite:routes",
        routes_dbpath="/none",
        routes_query="SELECT 1 # one",
    )


def line_ends_of_windows(it: Installation) -> None:
    """CR LF, which Postfix reads as white space."""
    it.master_cf(f"{VIRTUAL}\r\n  -o soft_bounce=no\r\n\r\n# comment\r\n")
    query = "SELECT path FROM users\r\n  WHERE address = '%s'"
    database(f"query = {query}\r\n")(it)
    rewritten("\n", "\r\n")(it)


def words_for_people(it: Installation) -> None:
    it.set(
        smtpd_banner="$myhostname ESMTP\u00a0Willkommen",
        smtpd_reject_footer="Ruft\u00a0uns\u202fan: $contact",
        contact="+49\u00a0555",
    )
    lines("# ein\u00a0Kommentar\n  # noch\u00a0einer\n")(it)


SOUND = (
    Sound(
        "a last entry of master.cf without its end",
        without_a_newline("master.cf", VIRTUAL),
    ),
    Sound("the line ends of Windows", line_ends_of_windows),
    Sound(
        "number signs in a query",
        database("query = SELECT path FROM users WHERE address IN ('%s', ' # x')\n"),
        silent=["PV015", "PV123"],
    ),
    Sound("no-break spaces for people", words_for_people),
    Sound(
        "number signs that begin no comment",
        number_signs,
        silent=["PV015"],
    ),
)
