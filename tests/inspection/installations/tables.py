"""Tables that are not there, cannot be read, do not answer, or say nothing."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

from tests.harness.installations import Broken, Change, Installation, Sound
from tests.harness.ports import free_port

BOB = {"bob@example.com": "example.com/bob/"}
SECRET = "s3cret"
TYPES = "cidr environ fail inline pcre pipemap proxy regexp sqlite static texthash"


def text(it: Installation, content: str | bytes, *, kind: str = "texthash") -> Path:
    """A table of mailboxes with this text."""
    path = it.etc / "mailboxes"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(0o644)
    it.set(virtual_mailbox_maps=f"{kind}:{path}")
    return path


def texthash(content: str | bytes, *, kind: str = "texthash") -> Change:
    return lambda it: text(it, content, kind=kind)


def indexed(content: str) -> Change:
    """A text, and an index that was made of something better."""

    def change(it: Installation) -> None:
        it.mailboxes(BOB, kind="hash")
        path = text(it, content, kind="hash")
        past = time.time() - 1000
        os.utime(path, (past, past))

    return change


def without_index(it: Installation) -> None:
    it.mailboxes(BOB, kind="hash")
    (it.etc / "mailboxes.db").unlink()


def with_another_index(it: Installation) -> None:
    it.mailboxes(BOB, kind="lmdb")
    it.set(virtual_mailbox_maps=f"hash:{it.etc}/mailboxes")


def edited(ago: float, *, indexed: float) -> Change:
    """A text that was edited and an index that was made so many seconds ago."""

    def change(it: Installation) -> None:
        it.mailboxes(BOB, kind="hash")
        now = time.time()
        os.utime(it.etc / "mailboxes", (now - ago, now - ago))
        os.utime(it.etc / "mailboxes.db", (now - indexed, now - indexed))

    return change


MASTER_CF = "virtual unix - n n - - virtual\nsmtp inet n - n - - smtpd\n"


def of_another_program(
    parameter: str, form: str = "{}", *, destination: str = ""
) -> Change:
    """A table that only other programs read, without its index."""

    def change(it: Installation) -> None:
        it.master_cf(MASTER_CF)
        path = it.etc / parameter
        path.write_text("root: bob\n" if parameter == "alias_maps" else "a@b c@d\n")
        path.chmod(0o644)
        value = form.format(f"hash:{path}")
        it.set(**{parameter: value, "mydestination": destination})

    return change


def not_indexed_again(it: Installation) -> None:
    of_another_program("virtual_alias_maps")(it)
    it.table("virtual_alias_maps", {"a@b": "c@d"}, kind="hash")
    now = time.time()
    os.utime(it.etc / "virtual_alias_maps.db", (now - 60, now - 60))


def made_by_programs(it: Installation) -> None:
    """Tables that need not be there, and those that no program reads."""
    it.master_cf(MASTER_CF)
    it.set(
        smtp_tls_session_cache_database=f"btree:{it.etc}/smtp_scache",
        postscreen_cache_map=f"btree:{it.etc}/postscreen",
        address_verify_map=f"btree:{it.etc}/verify",
        alias_database=f"hash:{it.etc}/aliases",
        alias_maps=f"hash:{it.etc}/aliases",
        mydestination="",
        transport_maps=it.table("transport", {"example.org": "smtp:"}, kind="hash"),
        smtpd_restriction_classes="ours",
        ours="check_client_access inline:{a=OK}, { check_helo_access regexp:{} }",
    )


def database_of_domains(*, indexed: bool) -> Change:
    """An sqlite: table for the domains of a table that has no index, or an old one."""

    def change(it: Installation) -> None:
        setup = database(it)
        domains = it.table("domains", {"example.com": "x"}, kind="hash")
        index, now = it.etc / "domains.db", time.time()
        if indexed:
            os.utime(index, (now - 60, now - 60))
        else:
            index.unlink()
        setup.write_text(f"{setup.read_text()}domain = example.org, {domains}\n")

    return change


def kerberos(cache: str) -> Change:
    """A directory that is asked with credentials from this cache."""

    def change(it: Installation) -> None:
        path = it.etc / "people.cf"
        path.write_text(
            f"server_host = ldap://127.0.0.1:{free_port()}\nversion = 3\n"
            "search_base = dc=example,dc=com\nbind = sasl\nsasl_mechs = GSSAPI\n"
        )
        path.chmod(0o644)
        environment = f"MAIL_CONFIG, LANG=C {{ KRB5CCNAME = {cache} }}"
        it.set(virtual_mailbox_maps=f"ldap:{path}", import_environment=environment)

    return change


def database(it: Installation, query: str = "SELECT path FROM users") -> Path:
    """An sqlite: table; the file that sets it up."""
    path = it.etc / "users.db"
    with sqlite3.connect(path) as made:
        made.execute("CREATE TABLE IF NOT EXISTS users (address TEXT, path TEXT)")
        made.execute("INSERT INTO users VALUES ('bob@example.com', 'example.com/bob/')")
    made.close()
    path.chmod(0o644)
    setup = it.etc / "users.cf"
    setup.write_text(f"dbpath = {path}\nquery = {query} WHERE address = '%s'\n")
    setup.chmod(0o644)
    it.set(virtual_mailbox_maps=f"sqlite:{setup}")
    return setup


def server(it: Installation) -> None:
    """A mysql: table at a port where nobody listens."""
    setup = it.etc / "mysql.cf"
    setup.write_text(
        f"hosts = 127.0.0.1:{free_port()}\nuser = mail\npassword = {SECRET}\n"
        "dbname = mail\nquery = SELECT path FROM users WHERE address = '%s'\n"
    )
    setup.chmod(0o644)
    it.set(virtual_mailbox_maps=f"mysql:{setup}")


def asked_in_a_jail(kind: str, hosts: str, chroot: str = "y") -> Change:
    """Aliases in a database, for a cleanup(8) in a chroot jail."""

    def change(it: Installation) -> None:
        it.master_cf(
            f"virtual unix - n n - - virtual\ncleanup unix n - {chroot} - 0 cleanup\n"
        )
        setup = it.etc / "aliases.cf"
        setup.write_text(
            f"hosts = {hosts}\nuser = mail\npassword = {SECRET}\n"
            "dbname = mail\nquery = SELECT goto FROM aliases WHERE address = '%s'\n"
        )
        setup.chmod(0o644)
        it.set(virtual_alias_maps=f"static:none, {kind}:{setup}")

    return change


def hidden(it: Installation) -> None:
    """Below a directory that only root may enter."""
    directory = it.etc / "secret"
    directory.mkdir(mode=0o700)
    (it.etc / "mailboxes").rename(directory / "mailboxes")
    it.set(virtual_mailbox_maps=f"texthash:{directory}/mailboxes")


def linked(it: Installation) -> None:
    """The same, through a symbolic link."""
    hidden(it)
    (it.etc / "table").symlink_to(it.etc / "secret/mailboxes")
    it.set(virtual_mailbox_maps=f"texthash:{it.etc}/table")


def postfix_with(types: str) -> Change:
    """Have the installed Postfix know these types and no others."""

    def change(it: Installation) -> None:
        commands = it.root / "commands"
        commands.mkdir(exist_ok=True)
        postconf = commands / "postconf"
        postconf.write_text(
            '#!/bin/sh\ncase " $*" in *" -e "*) exec /usr/sbin/postconf "$@" ;; esac\n'
            f"printf '%s\\n' {types}\n"
        )
        postconf.chmod(0o755)
        it.set(command_directory=str(commands))

    return change


def no_lmdb(it: Installation) -> None:
    it.mailboxes(BOB, kind="lmdb")
    postfix_with(f"{TYPES} hash")(it)


def no_berkeley_db(it: Installation) -> None:
    it.mailboxes(BOB, kind="hash")
    postfix_with(f"{TYPES} lmdb cdb")(it)


def proxied(it: Installation) -> None:
    it.set(
        virtual_mailbox_maps=f"proxy:texthash:{it.etc}/mailboxes",
        proxy_read_maps="$local_recipient_maps $alias_maps",
    )


def shared_directory(it: Installation) -> None:
    directory = it.etc / "shared"
    directory.mkdir()
    (it.etc / "mailboxes").rename(directory / "mailboxes")
    it.set(virtual_mailbox_maps=f"texthash:{directory}/mailboxes")
    os.chown(directory, 0, it.recipient_owner.gid)
    directory.chmod(0o775)


def shared_directory_of_another(it: Installation) -> None:
    """Two directories that others control, one below the other."""
    theirs = it.etc / "theirs"
    (theirs / "shared").mkdir(parents=True)
    (it.etc / "mailboxes").rename(theirs / "shared/mailboxes")
    it.set(virtual_mailbox_maps=f"texthash:{theirs}/shared/mailboxes")
    (theirs / "shared").chmod(0o777)
    it.give(theirs)


def link_of_another(it: Installation) -> None:
    """Their link, to their own choice of what root should not own."""
    theirs, elsewhere = it.etc / "theirs", it.root / "elsewhere"
    theirs.mkdir()
    elsewhere.mkdir()
    it.give(elsewhere)
    (it.etc / "mailboxes").rename(elsewhere / "mailboxes")
    (theirs / "table").symlink_to(elsewhere / "mailboxes")
    it.give(theirs / "table")
    it.give(theirs)
    it.set(virtual_mailbox_maps=f"texthash:{theirs}/table")


def link_of_another_to_what_is_hidden(it: Installation) -> None:
    link_of_another(it)
    it.give(it.root / "elsewhere", (0, 0))
    (it.root / "elsewhere").chmod(0o700)


def the_file_itself(it: Installation) -> None:
    (it.root / "elsewhere/mailboxes").rename(it.etc / "mailboxes")
    it.set(virtual_mailbox_maps=f"texthash:{it.etc}/mailboxes")


def in_a_sticky_directory(it: Installation) -> None:
    shared_directory(it)
    (it.etc / "shared").chmod(0o1777)


def mailboxes(it: Installation) -> Path:
    return it.etc / "mailboxes"


def readable_by_the_mail_system_only(it: Installation) -> None:
    os.chown(mailboxes(it), 0, it.mail_owner.gid)
    mailboxes(it).chmod(0o640)


GOOD = "bob@example.com example.com/bob/\n"

BROKEN = (
    Broken("no index", "PV104", without_index, needs="postfix"),
    Broken(
        "an index of another type",
        "PV104",
        with_another_index,
        lambda it: it.set(virtual_mailbox_maps=f"lmdb:{it.etc}/mailboxes"),
        says=["or use {root}/etc/mailboxes.lmdb, as lmdb:{root}/etc/mailboxes"],
        needs="postfix",
    ),
    Broken(
        "no table",
        "PV104",
        lambda it: mailboxes(it).unlink(),
        texthash(GOOD),
        says=["create {root}/etc/mailboxes"],
    ),
    Broken(
        "a table for root's eyes",
        "PV105",
        lambda it: mailboxes(it).chmod(0o600),
        says=["cannot read {root}/etc/mailboxes (owner root:root, mode 0600): Perm"],
    ),
    Broken(
        "a password for root's eyes",
        "PV105",
        lambda it: database(it).chmod(0o600),
        says=["chmod g+r {root}/etc/users.cf"],
    ),
    Broken(
        "a directory for root alone",
        "PV105",
        hidden,
        says=["cannot search {root}/etc/secret (owner root:root, mode 0700): Perm"],
    ),
    Broken(
        "a link into a directory for root alone",
        "PV105",
        linked,
        says=["reached through the symbolic link {root}/etc/table)"],
    ),
    Broken(
        "a table that everybody can write",
        "PV106",
        lambda it: mailboxes(it).chmod(0o666),
        says=["everybody can change {root}/etc/mailboxes"],
    ),
    Broken(
        "a table of somebody else",
        "PV106",
        lambda it: it.give(mailboxes(it)),
        severity="warning",
        says=["chown root"],
    ),
    Broken(
        "tables of somebody else",
        "PV106",
        lambda it: [
            it.give(mailboxes(it)),
            it.set(virtual_uid_maps=it.table("uids", {"@example.com": "5000"})),
            it.give(it.etc / "uids"),
        ],
        severity="warning",
        says=["can change {root}/etc/mailboxes (", ", change {root}/etc/uids ("],
    ),
    Broken(
        "a directory of a group",
        "PV106",
        shared_directory,
        severity="warning",
        says=["others than root can replace what is in {root}/etc/shared"],
    ),
    Broken(
        "a directory of all below one of somebody else",
        "PV106",
        shared_directory_of_another,
        says=["can replace what is in {root}/etc/theirs/shared", "&& chmod go-w .)"],
    ),
    Broken(
        "a table through a link of somebody else",
        "PV106",
        link_of_another,
        the_file_itself,
        says=["{root}/etc/theirs/table is a symbolic link of uid 5000's that leads to"],
    ),
    Broken(
        "a link of somebody else into a directory for root alone",
        "PV105",
        link_of_another_to_what_is_hidden,
        the_file_itself,
        says=["{root}/etc/theirs/table is a symbolic link of uid 5000's that leads to"],
    ),
    Broken(
        "an index that is out of date",
        "PV107",
        edited(1000, indexed=2000),
        severity="warning",
        needs="postfix",
    ),
    Broken(
        "an index whose text has just been edited",
        "PV107",
        edited(0, indexed=10),
        severity="warning",
        needs="postfix",
    ),
    Broken(
        "a list of domains without an index",
        "PV104",
        database_of_domains(indexed=False),
        says=["users.cf: in the list of domains: open database {root}/etc/domains.db"],
        needs="postfix",
    ),
    Broken(
        "a list of domains that was edited",
        "PV107",
        database_of_domains(indexed=True),
        severity="warning",
        says=["in the list of domains", "hash:{root}/etc/domains"],
        needs="postfix",
    ),
    Broken(
        "aliases without an index",
        "PV104",
        of_another_program("virtual_alias_maps"),
        says=["virtual_alias_maps.db does not exist", "postmap"],
        needs="postfix",
    ),
    Broken(
        "a table of a restriction without an index",
        "PV104",
        of_another_program("smtpd_sender_restrictions", "check_sender_access {}"),
        needs="postfix",
    ),
    Broken(
        "a table in braces without an index",
        "PV104",
        of_another_program(
            "smtpd_client_restrictions", "{{check_client_access !proxy:{}}}"
        ),
        needs="postfix",
    ),
    Broken(
        "patterns that do not exist",
        "PV104",
        lambda it: (
            it.master_cf(MASTER_CF),
            it.set(header_checks=f"pcre:{it.etc}/none"),
        ),
        lambda it: it.set(header_checks=None),
        says=["create {root}/etc/none"],
    ),
    Broken(
        "local aliases without an index",
        "PV104",
        of_another_program("alias_maps", destination="localhost"),
        severity="info",
        says=["postalias"],
        needs="postfix",
    ),
    Broken(
        "aliases that were edited",
        "PV107",
        not_indexed_again,
        severity="warning",
        says=["virtual_alias_maps.db is older than"],
        needs="postfix",
    ),
    Broken(
        "a text from the future",
        "PV107",
        edited(-100_000, indexed=0),
        severity="warning",
        says=["in the future", "touch"],
        needs="postfix",
    ),
    Broken(
        "a type that there is not",
        "PV108",
        lambda it: it.set(virtual_mailbox_maps=f"dbm:{it.etc}/mailboxes"),
        lambda it: it.mailboxes(BOB),
        says=["use lmdb: or hash:"],
    ),
    Broken(
        "a type that Postfix has no plugin for",
        "PV109",
        no_lmdb,
        postfix_with(f"{TYPES} hash lmdb"),
        says=["apt install postfix-lmdb"],
        needs="postfix",
    ),
    Broken("a Postfix without Berkeley DB", "PV110", no_berkeley_db, needs="postfix"),
    Broken(
        "a mailbox that the sender chooses",
        "PV111",
        texthash("/^(.*)@example.com$/ example.com/$1/\n", kind="regexp"),
        texthash("/^bob@example.com$/ example.com/bob/\n", kind="regexp"),
        says=["regular expression substitution is not allowed"],
    ),
    Broken("a table that proxymap refuses", "PV112", proxied, needs="postfix"),
    Broken(
        "a socket outside of a jail",
        "PV121",
        asked_in_a_jail("mysql", "localhost"),
        says=[
            "mysql:{root}/etc/aliases.cf: cleanup in a chroot jail would find",
            "socket at {root}/spool/run/mysqld/mysqld.sock",
            "'virtual_alias_maps = static:none, proxy:mysql:{root}/etc/aliases.cf'",
        ],
        needs="postfix",
    ),
    Broken(
        "a socket of PostgreSQL outside of a jail",
        "PV121",
        asked_in_a_jail("pgsql", "unix:/run/postgresql"),
        asked_in_a_jail("pgsql", "127.0.0.1"),
        says=["{root}/spool/run/postgresql/.s.PGSQL.5432"],
        needs="postfix",
    ),
    Broken(
        "passwords for everybody",
        "PV122",
        asked_in_a_jail("pgsql", "127.0.0.1", "n"),
        severity="info",
        says=["the password in {root}/etc/aliases.cf", "chgrp postfix", "chmod o-r"],
    ),
    Broken(
        "a jail without a need",
        "PV121",
        asked_in_a_jail("mysql", "unix:/run/x/mysql.sock"),
        asked_in_a_jail("mysql", "unix:/run/x/mysql.sock", "n"),
        needs="postfix",
    ),
    Broken(
        "a server that is down",
        "PV113",
        server,
        database,
        says=["Connection refused"],
    ),
    Broken(
        "a query that is wrong",
        "PV113",
        lambda it: database(it, "SELECT mailbox FROM users"),
        database,
        says=["no such column: mailbox"],
    ),
    Broken(
        "a directory with credentials in the kernel",
        "PV118",
        kerberos("KEYRING:persistent:0"),
        kerberos("FILE:/var/lib/postfix/krb5cc"),
        severity="warning",
        says=["KRB5CCNAME in import_environment is KEYRING:persistent:0"],
    ),
    Broken(
        "a key twice",
        "PV114",
        texthash(f"{GOOD}carol@example.com c/\n{GOOD}"),
        texthash(GOOD),
        says=["duplicate entry"],
    ),
    Broken(
        "a key twice in the text of an index",
        "PV114",
        indexed(f"{GOOD}Bob@Example.com other/\n"),
        indexed(GOOD),
        severity="warning",
        says=["postmap keeps the one in line 1"],
        needs="postfix",
    ),
    Broken(
        "a key in capitals",
        "PV115",
        texthash(GOOD.replace("bob@", "Bob@")),
        texthash(GOOD),
        severity="warning",
        says=["looked up in lower case, as bob@example.com"],
    ),
    Broken(
        "a key in capitals in main.cf",
        "PV115",
        lambda it: it.set(virtual_mailbox_maps="inline:{Bob@example.com=bob/}"),
        lambda it: it.set(virtual_mailbox_maps="inline:{bob@example.com=bob/}"),
        severity="warning",
    ),
    Broken(
        "a star for a domain",
        "PV115",
        texthash("*@example.com example.com/all/\n"),
        texthash("@example.com example.com/all/\n"),
        severity="warning",
        says=["all of a domain is @example.com"],
    ),
    Broken(
        "a key in quotes",
        "PV115",
        texthash('"bob@example.com" example.com/bob/\n'),
        texthash(GOOD),
        severity="warning",
        says=["without quotes: bob@example.com"],
    ),
    Broken(
        "an alias file",
        "PV115",
        texthash("bob@example.com: example.com/bob/\n"),
        texthash(GOOD),
        severity="warning",
        says=["without a colon"],
    ),
    Broken(
        "an address without a domain",
        "PV115",
        indexed("bob@ example.com/bob/\n"),
        indexed(GOOD),
        severity="warning",
        says=["no domain after the @"],
        needs="postfix",
    ),
    Broken(
        "networks in place of mailboxes",
        "PV115",
        texthash("10.0.0.0/8 bob/\n", kind="cidr"),
        texthash(GOOD),
        severity="warning",
    ),
    Broken(
        "a key without a value",
        "PV116",
        texthash(f"{GOOD}carol@example.com\n"),
        texthash(f"{GOOD}carol@example.com example.com/carol/\n"),
        severity="warning",
    ),
    Broken(
        "a key without a value in the text of an index",
        "PV116",
        indexed(f"{GOOD}carol@example.com\n"),
        indexed(GOOD),
        severity="warning",
        needs="postfix",
    ),
    Broken(
        "an equals sign instead of white space",
        "PV116",
        texthash(f"{GOOD}carol@example.com=example.com/carol/\n"),
        texthash(f"{GOOD}carol@example.com example.com/carol/\n"),
        severity="warning",
        says=["white space between key and value: carol@example.com example.com/carol"],
    ),
    Broken(
        "a colon instead of white space in the text of an index",
        "PV116",
        indexed(f"{GOOD}carol@example.com:example.com/carol/\n"),
        indexed(f"{GOOD}carol@example.com example.com/carol/\n"),
        severity="warning",
        says=["white space between key and value: carol@example.com example.com/carol"],
        needs="postfix",
    ),
    Broken(
        "an empty value in main.cf",
        "PV116",
        lambda it: it.set(virtual_mailbox_maps="inline:{{bob@example.com = }}"),
        lambda it: it.set(virtual_mailbox_maps="inline:{{bob@example.com = bob/}}"),
    ),
    Broken(
        "a pattern without a result",
        "PV116",
        texthash("/^bob@example.com$/\n", kind="regexp"),
        texthash("/^bob@example.com$/ example.com/bob/\n", kind="regexp"),
    ),
    Broken(
        "a byte order mark",
        "PV117",
        texthash(b"\xef\xbb\xbf" + GOOD.encode()),
        severity="warning",
    ),
)

SOUND = (
    Sound(
        "an index whose text has capitals",
        lambda it: it.mailboxes({"Bob@Example.COM": "example.com/bob/"}, kind="hash"),
        needs="postfix",
    ),
    Sound(
        "an index of the same moment",
        edited(5, indexed=5),
        needs="postfix",
        silent=["PV107"],
    ),
    Sound("tables that programs make", made_by_programs, needs="postfix"),
    Sound("an lmdb table", lambda it: it.mailboxes(BOB, kind="lmdb"), needs="postfix"),
    Sound("a database that answers", database),
    Sound(
        "a proxied table as it usually is",
        lambda it: it.set(virtual_mailbox_maps=f"proxy:texthash:{it.etc}/mailboxes"),
    ),
    Sound("a table in a directory like /tmp", in_a_sticky_directory),
    Sound("a table for the mail system only", readable_by_the_mail_system_only),
    Sound("a text with CR LF", texthash(GOOD.replace("\n", "\r\n").encode())),
    Sound(
        "everybody in a domain",
        texthash('@example.com example.com/all/\n"a b"@example.com example.com/ab/\n'),
    ),
    Sound(
        "patterns",
        texthash("if /@example/\n/^bob@/ bob/\nendif\n", kind="regexp"),
    ),
)
