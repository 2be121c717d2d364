"""Lines of the mail log, and where they go."""

from __future__ import annotations

import errno
import gc
import os
import random
import re
import socket
import syslog
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread

import pytest

from postvirt.system import log, privileges
from postvirt.tables.folding import is_utf8
from tests.harness.child import MAIL_OWNER, RECIPIENT, in_child
from tests.harness.installed_postfix import VERSION
from tests.harness.libpostfix import ask
from tests.harness.log_lines import logged_lines


def test_severities_are_those_of_postfix():
    with logged_lines() as lines:
        log.info("normal")
        log.warning("look")
        log.error("trouble")
    assert lines == ["normal", "warning: look", "error: trouble"]


@pytest.mark.parametrize(
    ("verbose", "expected"), [(0, []), (1, ["detail"]), (2, ["detail"])]
)
def test_details_are_for_those_who_ask(verbose, expected):
    with logged_lines(verbose=verbose) as lines:
        log.debug("detail")
    assert lines == expected


@pytest.mark.parametrize(("daemon", "pauses"), [(False, []), (True, [1.0])])
def test_fatal_ends_the_process_and_a_daemon_waits_first(monkeypatch, daemon, pauses):
    slept: list[float] = []
    monkeypatch.setattr("postvirt.system.log.time.sleep", slept.append)
    with logged_lines(daemon=daemon) as lines, pytest.raises(SystemExit) as end:
        log.fatal("cannot go on")
    assert end.value.code == 1
    assert lines == ["fatal: cannot go on"]
    assert slept == pauses


@pytest.mark.parametrize(("utf8", "shown"), [(True, "é??"), (False, "????")])
def test_what_a_terminal_should_not_see_is_replaced(utf8, shown):
    with logged_lines(utf8=utf8) as lines:
        log.info("é\udcff\n")
    assert lines == [shown]


def test_the_text_of_an_error_is_the_systems():
    assert log.errno_text(OSError(errno.ENOENT, "ours")) == "No such file or directory"
    assert log.errno_text(OSError("ours")) == "ours"


def test_a_line_can_go_to_two_places():
    first, second = [], []
    both = log.to_both(
        lambda *line: first.append(line), lambda *line: second.append(line)
    )
    both("warning", b"text")
    assert first == second == [("warning", b"text")]


def test_standard_error_gets_the_program_and_the_severity(capfdbinary):
    write = log.to_stderr("postvirt")
    write("", b"normal")
    write("fatal", b"bad \xc3\xa9")
    assert capfdbinary.readouterr() == (
        b"",
        b"postvirt: normal\npostvirt: fatal: bad \xc3\xa9\n",
    )


class TestPrintable:
    @pytest.mark.parametrize(
        ("line", "plain", "utf8"),
        [
            ("abc ~", b"abc ~", b"abc ~"),
            ("a\tb\r\n\0\x7f", b"a?b????", b"a?b????"),
            ("é", b"??", "é".encode()),
            ("€𝄞", b"???????", "€𝄞".encode()),
            ("\udcc3", b"?", b"?"),
            ("\udca9x", b"?x", b"?x"),
            ("\udcc3\udca9", b"??", b"\xc3\xa9"),
            ("é\x1b[31m", b"???[31m", "é?[31m".encode()),
            ("", b"", b""),
        ],
    )
    def test_examples(self, line, plain, utf8):
        assert log.printable(line, utf8=False) == plain
        assert log.printable(line, utf8=True) == utf8

    @pytest.mark.postfix
    def test_lines_are_cleaned_as_postfix_cleans_them(self):
        chance = random.Random(1)
        pieces = [bytes([byte]) for byte in range(1, 256)]
        pieces += ["é€𝄞".encode()] * 60 + [b"abc"] * 60
        lines = [
            b"".join(chance.choices(pieces, k=chance.randint(0, 12)))
            for _ in range(1000)
        ]
        cases = [(line, utf8) for line in lines for utf8 in (False, True)]
        answers = ask([("printable", *case) for case in cases])
        for (line, utf8), answer in zip(cases, answers, strict=True):
            ours = log.printable(line.decode("utf-8", "surrogateescape"), utf8=utf8)
            if VERSION >= (3, 10) and not is_utf8(ours):
                continue  # it writes "?" for what follows a complete character
            assert ours == answer.result.encode("latin-1"), line


# The log stays open for as long as the process lives.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
class TestPostlog:
    @pytest.fixture(autouse=True)
    def directory(self, ground, monkeypatch):
        monkeypatch.chdir(ground)
        yield
        gc.collect()  # compiled, a log is closed by the collector: not in another test

    @staticmethod
    def postlogd() -> socket.socket:
        server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        server.settimeout(20)
        Path("postlog").unlink(missing_ok=True)
        server.bind("postlog")
        return server

    def test_a_line_is_a_datagram_in_the_form_of_a_log_file(self):
        with self.postlogd() as server:
            write = log.to_postlog("postfix/virtual", "mail.example.com", "postlog")
            write("", b"normal")
            write("warning", b"look \xc3\xa9")
            first, second = server.recv(4096), server.recv(4096)
        head = rb"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d mail postfix/virtual\[\d+\]: "
        assert re.fullmatch(head + b"normal", first)
        assert re.fullmatch(head + b"warning: look \xc3\xa9", second)

    def test_a_long_text_is_cut(self):
        with self.postlogd() as server:
            log.to_postlog("tag", "host", "postlog")("error", b"x" * 5000)
            line = server.recv(8192)
        assert line.partition(b"error: ")[2] == b"x" * 2000

    def test_a_restarted_postlogd_receives_the_next_line(self):
        with self.postlogd():
            write = log.to_postlog("tag", "host", "postlog")
            write("", b"before")
        with self.postlogd() as server:
            write("", b"after")
            assert server.recv(4096).endswith(b": after")

    def test_lines_wait_for_a_postlogd_that_comes_later(self):
        write = log.to_postlog("tag", "host", "postlog")
        write("", b"first")
        write("warning", b"second")
        with self.postlogd() as server:
            write("", b"third")
            lines = [server.recv(4096).partition(b"]: ")[2] for _ in range(3)]
        assert lines == [b"first", b"warning: second", b"third"]

    def test_the_last_lines_wait(self):
        write = log.to_postlog("tag", "host", "postlog")
        for number in range(log.MOST_WAITING_LINES + 5):
            write("", b"%d" % number)
        with self.postlogd() as server:
            # A socket holds few datagrams that nobody has read.
            writing = Thread(target=write, args=("", b"last"))
            writing.start()
            lines = [server.recv(4096) for _ in range(log.MOST_WAITING_LINES)]
            writing.join()
        assert lines[0].endswith(b"]: 6")
        assert lines[-1].endswith(b"]: last")

    def test_lines_of_several_threads_arrive_once_each(self):
        """Those that query databases warn at the same time when a server is gone."""
        write = log.to_postlog("tag", "host", "postlog")
        expected = [b"%d of %d" % (n, of) for of in range(8) for n in range(200)]

        def warn(of: int) -> None:
            for number in range(200):
                write("", b"%d of %d" % (number, of))

        with self.postlogd() as server, ThreadPoolExecutor(8) as threads:
            warned = [threads.submit(warn, of) for of in range(8)]
            lines = [server.recv(4096).partition(b"]: ")[2] for _ in expected]
            for one in warned:
                one.result()
        assert sorted(lines) == sorted(expected)

    def test_a_child_sends_no_lines_of_its_parent(self):
        write = log.to_postlog("tag", "host", "postlog")
        write("", b"the parent's")
        with self.postlogd() as server:
            in_child(lambda: write("", b"the child's"))
            assert server.recv(4096).endswith(b": the child's")
            write("", b"next")
            assert server.recv(4096).endswith(b": the parent's")

    @pytest.mark.root
    def test_a_line_logged_as_somebody_else_is_not_lost(self):
        """As the owner of a mailbox, just when postlogd(8) was restarted."""
        with self.postlogd():
            write = log.to_postlog("tag", "host", "postlog")
        with self.postlogd() as server:
            os.chmod("postlog", 0o600)
            os.chown("postlog", MAIL_OWNER.uid, MAIL_OWNER.gid)

            def log_both() -> None:
                privileges.settle(MAIL_OWNER)
                with privileges.acting_as(RECIPIENT):
                    write("", b"as the owner")
                write("", b"as ourselves")

            in_child(log_both)
            assert server.recv(4096).endswith(b": as the owner")
            assert server.recv(4096).endswith(b": as ourselves")

    def test_the_connection_outlives_the_way_to_the_socket(self, monkeypatch):
        with self.postlogd() as server:
            write = log.to_postlog("tag", "host", "postlog")
            monkeypatch.chdir("/")
            write("", b"from elsewhere")
            assert server.recv(4096).endswith(b": from elsewhere")


class TestSyslog:
    @pytest.fixture
    def taken(self, monkeypatch):
        """What reaches syslog(3), which takes no surrogates; no machine's log does."""
        lines = []

        def take(priority: int, line: str) -> None:
            line.encode("utf-8")
            lines.append((priority, line))

        monkeypatch.setattr(syslog, "syslog", take)
        monkeypatch.setattr(syslog, "openlog", lambda *options: lines.append(options))
        return lines

    def test_the_log_is_opened_at_once_with_tag_and_process_id(self, taken):
        log.to_syslog("postfix/virtual", "local3")
        options = syslog.LOG_PID | syslog.LOG_NDELAY
        assert taken == [("postfix/virtual", options, syslog.LOG_MAIL)]

    @pytest.mark.parametrize(
        ("severity", "priority", "line"),
        [
            ("", syslog.LOG_INFO, "text"),
            ("warning", syslog.LOG_WARNING, "warning: text"),
            ("error", syslog.LOG_ERR, "error: text"),
            ("fatal", syslog.LOG_CRIT, "fatal: text"),
            ("panic", syslog.LOG_CRIT, "panic: text"),
        ],
    )
    def test_every_severity_has_its_priority(self, taken, severity, priority, line):
        log.to_syslog("tag", "local3")(severity, b"text")
        assert taken[1:] == [(syslog.LOG_LOCAL3 | priority, line)]

    def test_a_character_that_is_cut_in_two_does_no_harm(self, taken):
        log.to_syslog("tag", "mail")("", b"x" * 1999 + "é".encode())
        [(_, line)] = taken[1:]
        assert line.startswith("x" * 1999)
        assert len(line) == 2000

    def test_facilities_are_those_of_syslog(self):
        known = "auth authpriv cron daemon ftp kern lpr mail news syslog user uucp"
        for name in known.split() + [f"local{number}" for number in range(8)]:
            assert log.is_facility(name)
        for name in ("MAIL", "pid", "err", "info", "", "local8", "upto"):
            assert not log.is_facility(name)
        with pytest.raises(KeyError):
            log.to_syslog("tag", "nonsense")
