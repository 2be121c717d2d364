"""The watchdog process's end of the exporter; tests/cli/test_metrics.py has both."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from postvirt.errors import ConfigError
from postvirt.inspection.services import metrics_library
from postvirt.model.mailbox import Owner
from postvirt.server.loop import Loop
from postvirt.server.metrics import exporter
from postvirt.server.metrics.exporter import Exporter, check
from postvirt.tables.table import TableFile
from tests.harness.child import Log

OWNER = Owner(4999, 4998)
ADDRESS = "127.0.0.1:9154"
FILES = {"hash:/t": (TableFile("/t.db"),)}


class Told:
    """In place of the companion: notes what it is told."""

    def __init__(
        self, loop: Loop, name: str, module: str, on_line: Callable[..., None]
    ) -> None:
        self.pid, self.state = 7, "serving"
        self.steps: list[object] = []
        self.say = on_line

    def tell(
        self, arguments: Sequence[str], wanted: dict[str, Any], shared_fd: int
    ) -> None:
        self.steps.append((list(arguments), wanted, shared_fd))

    def close(self) -> None:
        self.steps.append("close")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> tuple[Exporter, Told]:
    monkeypatch.setattr(exporter, "Companion", Told)
    one = Exporter(cast("Loop", SimpleNamespace()), 5)
    return one, cast("Told", one._companion)


def test_without_an_address_there_is_no_process(made: tuple[Exporter, Told]) -> None:
    one, companion = made
    one.export("", OWNER, FILES)
    one.close()
    assert (companion.steps, one.status()) == ([], None)


def test_it_is_told_owner_address_and_files(made: tuple[Exporter, Told]) -> None:
    one, companion = made
    one.export(ADDRESS, OWNER, FILES)
    told = (["4999", "4998", ADDRESS], {"tables": {"hash:/t": ["/t.db"]}}, 5)
    assert companion.steps == [told]
    assert one.status() == {
        "pid": 7,
        "state": "serving",
        "address": ADDRESS,
        "problem": "",
    }


def test_another_address_takes_another_process(made: tuple[Exporter, Told]) -> None:
    one, companion = made
    one.export(ADDRESS, OWNER, {})
    one.export(ADDRESS, OWNER, FILES)  # other files only
    one.export("127.0.0.1:9155", OWNER, FILES)
    one.export("", OWNER, FILES)
    assert [step == "close" for step in companion.steps] == [
        False,
        False,
        True,
        False,
        True,
    ]
    assert one.status() is None


def test_a_problem_is_logged_once_and_its_end_too(
    made: tuple[Exporter, Told], logged: Log
) -> None:
    one, companion = made
    one.export(ADDRESS, OWNER, {})
    for problem in ("in use", "in use", "", "", "denied", ""):
        companion.say({"problem": problem})
    listening = f": metrics: listening on {ADDRESS}"
    refused = f"warning: metrics: cannot listen on {ADDRESS}: "
    again = ": trying again every few seconds"
    assert [line.removeprefix("info") for line in logged.lines] == [
        f"{refused}in use{again}",
        listening.removeprefix(": "),
        f"{refused}denied{again}",
        listening.removeprefix(": "),
    ]


@pytest.mark.parametrize("has_served", [True, False])
def test_its_own_socket_is_removed(
    made: tuple[Exporter, Told], tmp_path: Path, *, has_served: bool
) -> None:
    one, companion = made
    path = tmp_path / "metrics"
    one.export(f"unix:{path}", OWNER, {})
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        if has_served:
            companion.say({"problem": ""})
        one.close()
    assert path.exists() != has_served


def test_a_file_that_is_no_socket_stays(
    made: tuple[Exporter, Told], tmp_path: Path
) -> None:
    one, companion = made
    path = tmp_path / "metrics"
    path.write_text("not ours")
    one.export(f"unix:{path}", OWNER, {})
    companion.say({"problem": ""})
    one.close()
    assert path.read_text() == "not ours"


def test_metrics_without_the_library_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metrics_library, "is_library_there", lambda: False)
    check("")
    with pytest.raises(ConfigError) as caught:
        check(ADDRESS)
    assert "postvirt_metrics_address" in caught.value.remedy
