"""What tests need from the machine.

A test that needs the genuine Postfix or root's rights says so with a marker and is
skipped where they are missing. With POSTVIRT_REQUIRE_ALL in the environment, which the
continuous build sets, it fails instead: nothing is left out unnoticed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from postvirt.config.load import load
from postvirt.config.parameters import Settings
from postvirt.standin.instance import Instance
from postvirt.system import log
from tests.harness.child import Log, public_directory
from tests.harness.databases import MariaDB, PostgreSQL, Server
from tests.harness.directory import Slapd

_NEEDED_COMMANDS = ("postconf", "postmap")
_VIRTUAL = "/usr/lib/postfix/sbin/virtual"

S = TypeVar("S", bound=Server)


def _missing(item: pytest.Item) -> str:
    """Why the test cannot run here, or an empty string."""
    needs_postfix = item.get_closest_marker("postfix") is not None
    needs_root = needs_postfix or item.get_closest_marker("root") is not None
    if needs_root and os.geteuid() != 0:
        return "needs root's rights"
    if needs_postfix:
        for command in _NEEDED_COMMANDS:
            if shutil.which(command) is None:
                return f"needs the genuine Postfix ({command})"
        if not os.access(_VIRTUAL, os.X_OK):
            return f"needs the genuine Postfix ({_VIRTUAL})"
    return ""


# What scripts/coverage measures. Elsewhere most tests start commands, which take three
# times as long then, or processes that are killed, of which nothing is left to see.
_MEASURED = (
    *("tests/codec/", "tests/config/", "tests/delivery/", "tests/engine/"),
    *("tests/inspection/", "tests/installation/", "tests/mailbox/", "tests/model/"),
    *("tests/queuefile/", "tests/report/", "tests/routing/", "tests/server/"),
    *("tests/standin/", "tests/system/", "tests/tables/composites/"),
    *("tests/tables/rules/", "tests/tables/simple/", "tests/tables/test_"),
    *("tests/cli/test_reload.py", "tests/cli/test_status.py"),
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Tests wait now and then, so a core has work for more than one of them."""
    return max(1, len(os.sched_getaffinity(0)) * 3 // 2)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        is_left_out = any(map(item.get_closest_marker, ("slow", "timed")))
        if item.nodeid.startswith(_MEASURED) and not is_left_out:
            item.add_marker(pytest.mark.measured)


def pytest_runtest_setup(item: pytest.Item) -> None:
    reason = _missing(item)
    if not reason:
        return
    if os.environ.get("POSTVIRT_REQUIRE_ALL"):
        pytest.fail(f"{reason}, and POSTVIRT_REQUIRE_ALL is set")
    pytest.skip(reason)


@pytest.fixture
def ground() -> Iterator[Path]:
    """An empty directory that every user can reach; it belongs to the test process."""
    with public_directory() as directory:
        yield directory


@pytest.fixture
def instance(ground: Path) -> Instance:
    """A throw-away instance of postvirt."""
    return Instance(ground / "instance")


@pytest.fixture
def logged() -> Iterator[Log]:
    """Catch what is logged."""
    lines = Log()
    log.start(lines, utf8=True)
    yield lines
    log.start(log.to_stderr("postvirt"))


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., Settings]:
    """Settings as main.cf gives them, with some parameters set."""
    (tmp_path / "main.cf").write_text(
        "compatibility_level = 3.6\n"
        "virtual_mailbox_base = /mail\n"
        "myhostname = mail.example.org\n"
        "mydestination =\n"
        "inet_interfaces = 127.0.0.1\n"
    )
    os.utime(tmp_path / "main.cf", (1_000_000_000, 1_000_000_000))

    def read(**parameters: str) -> Settings:
        loaded = load(
            str(tmp_path),
            overrides=list(parameters.items()),
            process_name="virtual",
            service_name="virtual",
        )
        return loaded.settings

    return read


def _running(kind: type[S]) -> Iterator[S]:
    server = kind()
    try:
        server.start()
        server.setup()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL server, the same one for all tests."""
    yield from _running(PostgreSQL)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """A MariaDB server, the same one for all tests."""
    yield from _running(MariaDB)


@pytest.fixture(scope="session")
def slapd() -> Iterator[Slapd]:
    """An LDAP server, the same one for all tests."""
    yield from _running(Slapd)
