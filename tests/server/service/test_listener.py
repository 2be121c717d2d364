"""The socket of a service, which others may replace."""

from __future__ import annotations

import os
import resource
import socket
import stat
from pathlib import Path

import pytest

from postvirt.errors import ConfigError
from postvirt.model.mailbox import Owner
from postvirt.server.service.listener import Listener
from postvirt.system import log, privileges
from tests.harness.child import MAIL_OWNER, Log, give, in_child

OWNER = MAIL_OWNER if os.geteuid() == 0 else Owner(os.getuid(), os.getgid())


@pytest.fixture
def private(ground: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """private/ of the working directory, which mail_owner owns."""
    monkeypatch.chdir(ground)
    directory = ground / "private"
    directory.mkdir(mode=0o700)
    give(directory, OWNER)
    return directory


def listener() -> Listener:
    """A new one, in a process as the service is."""
    os.umask(0o077)
    privileges.settle(Owner(0, 0))
    return Listener("mine", OWNER)


def reaches(made: Listener, path: Path) -> bool:
    """Whether a client that connects now comes to this listener."""
    made.socket.setblocking(False)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(os.fspath(path))
        try:
            made.socket.accept()[0].close()
        except BlockingIOError:
            return False
    return True


def test_everyone_may_connect_to_it(private: Path) -> None:
    def story() -> tuple[bool, str, int, list[str], int]:
        made = listener()
        status = (private / "mine").stat()
        mode = stat.filemode(status.st_mode)
        umask = os.umask(0)
        names = os.listdir(private)
        return reaches(made, private / "mine"), mode, status.st_uid, names, umask

    expected = (True, "srw-rw-rw-", OWNER.uid, ["mine"], 0o077)
    assert in_child(story) == expected


def test_a_new_one_takes_the_place_of_the_old_one(private: Path) -> None:
    def story() -> object:
        first = listener()
        assert first.is_in_place()
        second = listener()
        places = first.is_in_place(), second.is_in_place()
        answers = reaches(first, private / "mine"), reaches(second, private / "mine")
        first.remove()  # no longer its own
        assert (private / "mine").exists()
        second.remove()
        return places, answers, os.listdir(private)

    assert in_child(story) == ((False, True), (False, True), [])


def test_what_a_killed_service_left_half_done_does_not_matter(private: Path) -> None:
    for name in (".mine", "mine"):
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(os.fspath(private / name))
        give(private / name, OWNER)

    def story() -> object:
        made = listener()
        return reaches(made, private / "mine"), os.listdir(private)

    assert in_child(story) == (True, ["mine"])


@pytest.mark.parametrize("name", ["mine", ".mine"])
def test_another_file_in_its_place_stays(name: str, private: Path) -> None:
    (private / name).write_text("precious")

    def story() -> str:
        with pytest.raises(ConfigError) as raised:
            listener()
        return raised.value.text

    text = f"listen on private/{name}: the file exists and is not a socket"
    assert in_child(story) == text
    assert [one.name for one in private.iterdir()] == [name]
    assert (private / name).read_text() == "precious"


def test_a_link_is_another_file(private: Path, ground: Path) -> None:
    """Not even one to a socket is followed: the directory is not root's."""
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(os.fspath(ground / "socket"))
        (private / "mine").symlink_to(ground / "socket")

        def story() -> str:
            with pytest.raises(ConfigError) as raised:
                listener()
            return raised.value.text

        assert in_child(story).endswith(
            "private/mine: the file exists and is not a socket"
        )
    assert (ground / "socket").is_socket()


def test_a_directory_that_is_missing_is_named(private: Path) -> None:
    private.rmdir()

    def story() -> tuple[str, int]:
        with pytest.raises(ConfigError) as raised:
            listener()
        return raised.value.text, os.umask(0)

    assert in_child(story) == (
        "listen on private/mine: No such file or directory",
        0o077,
    )


def test_a_socket_for_which_there_is_no_descriptor_is_reported(private: Path) -> None:
    """A reload must not end the service."""

    def story() -> str:
        lowest = os.dup(0)
        os.close(lowest)
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, most))
        with pytest.raises(ConfigError) as refused:
            Listener("mine", OWNER)
        return refused.value.text

    assert in_child(story) == "listen on private/mine: Too many open files"


def test_a_socket_that_cannot_be_removed_is_reported(private: Path) -> None:
    def story() -> list[str]:
        made = listener()
        with privileges.acting_as(OWNER):
            private.chmod(0o500)
        lines = Log()
        log.start(lines)
        made.remove()
        return lines.lines

    assert in_child(story) == ["warning: remove private/mine: Permission denied"]
    private.chmod(0o700)
