"""postvirt on a maildir that the others use, too, and all of them at once."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress

from postvirt.model.quota import Use
from postvirt.standin.instance import Instance
from tests.harness.documented import settings
from tests.harness.maildir_usage import calm
from tests.harness.service import Service
from tests.shared_maildirs.trial import USER, Answers, Shared, shared
from tests.shared_maildirs.writers import Postvirt, Writer

# What is said to the sender of mail over quota.
_FULL = "Sorry, the user's maildir has overdrawn his diskspace quota"
_IS_FULL = 1  # the exit status of `postvirt quota`
_LOOK_SECONDS = 0.02
_KILL_SECONDS = 0.1


class Beside:
    """The service, on a maildir that others change."""

    def __init__(self, maildir: Shared, service: Service, seed: int) -> None:
        self.maildir = maildir
        self.service = service
        self._seed = seed
        self._source = random.Random(seed)

    @contextmanager
    def all(
        self, number: int, *, may_be_killed: bool = False
    ) -> Iterator[list[Writer]]:
        """So many writers of each kind; may_be_killed as in `Postvirt`."""
        with self.maildir.others(number, self._seed) as writers:
            for one in range(number):
                source = random.Random(f"{self._seed} postvirt {one}")
                writers.append(self.postvirt(source, may_be_killed=may_be_killed))
            yield writers

    def postvirt(
        self, source: random.Random, *, may_be_killed: bool = False
    ) -> Postvirt:
        """Who has postvirt deliver."""
        instance = self.maildir.instance
        return Postvirt(
            instance, self.service, USER, source, may_be_killed=may_be_killed
        )

    def change(self, writers: Sequence[Writer], acts: int) -> None:
        """All writers at once; each does its share of the acts."""

        def work(writer: Writer) -> None:
            for _ in range(acts // len(writers)):
                writer.act()

        lines: list[str] = []
        with ThreadPoolExecutor(len(writers)) as threads:
            started = [threads.submit(work, one) for one in writers]
            while wait(started, _LOOK_SECONDS).not_done:
                lines += self.service.no_lines()  # or postvirt would wait for that
        for one in started:
            one.result()
        self._check_log(lines)

    @contextmanager
    def killing(self) -> Iterator[None]:
        """Kill a worker now and then, wherever it is."""
        is_over = threading.Event()

        def kill() -> None:
            while not is_over.wait(_KILL_SECONDS):
                if workers := self.service.workers():
                    with suppress(ProcessLookupError):
                        os.kill(self._source.choice(workers), signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            yield
        finally:
            is_over.set()
            killer.join()

    def _check_log(self, lines: Sequence[str]) -> None:
        """Mail may be deferred because the maildir is full, but for nothing else."""
        for line in (*lines, *self.service.no_lines()):
            is_fine = "status=" not in line or "status=sent" in line or _FULL in line
            assert is_fine, line

    def answers_after_next_delivery(self) -> Answers:
        """After a minute without events, postvirt delivers a message, or refuses it."""
        calm(self.maildir.maildir)
        self.postvirt(self._source).act()
        self._check_log([])
        answers = self.maildir.answers()
        assert self._said() == answers.maildirsize
        return answers

    def _said(self) -> Use:
        """What `postvirt quota` says."""
        address = f"{USER}@example.com"
        done = self.service.plain_command("quota", "--json", address)
        assert done.returncode in (0, _IS_FULL), done.stderr
        (mailbox,) = json.loads(done.stdout)
        return Use(mailbox["used"], mailbox["messages"])


@contextmanager
def beside(
    instance: Instance, limit: str, seed: int, *, counts_trash: bool
) -> Iterator[Beside]:
    """The service and the others, and a maildir with this limit."""
    mailboxes = {f"{USER}@example.com": f"{USER}/"}
    limits = instance.add_table("texthash", "limits", {f"{USER}@example.com": limit})
    instance.main_cf(
        settings("postvirt")
        | {
            "virtual_mailbox_maps": instance.add_table("texthash", "box", mailboxes),
            "virtual_mailbox_limit_maps": limits,
            "virtual_trash_count": "yes" if counts_trash else "no",
            "postvirt_maildir_virtual_size": "yes",
            "postvirt_workers": "2",
        }
    )
    service = Service(instance)
    with ExitStack() as both:
        both.callback(service.end)
        service.start()
        service.no_lines()
        maildir = both.enter_context(shared(instance, limit, counts_trash=counts_trash))
        yield Beside(maildir, service, seed)
