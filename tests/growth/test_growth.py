"""The measurement of growth from its command line to its table and plot."""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

from postvirt.standin.instance import Instance
from tests.benchmark.preparation import entries, prepare
from tests.benchmark.report import Result, rate
from tests.benchmark.trial import Trial
from tests.benchmark.workloads import Mailbox
from tests.growth import tables
from tests.growth.axes import AXES
from tests.growth.plot import plot
from tests.growth.report import report
from tests.growth.results import Curve, save, with_kept
from tests.harness.child import public_directory

_SCRIPT = Path(__file__).parents[2] / "scripts" / "growth"
_AXES = {axis.what: axis for axis in AXES}


@pytest.mark.postfix
def test_an_axis_becomes_a_table_and_a_plot(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(_SCRIPT, "--rounds", "1", "--messages", "2", "--most", "10"),
            *("--axis", "recipients", "--full", "--output", tmp_path),
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    table = (tmp_path / "growth.md").read_text()
    assert done.stdout.endswith(table)
    rows = [line.split(" | ")[0] for line in table.splitlines()]
    assert rows[-4:-2] == ["| 1", "| 10"]
    picture = ElementTree.parse(tmp_path / "growth.svg").getroot()
    words = [element.text for element in picture.iter() if element.text]
    assert "recipients in a request" in words


@pytest.mark.postfix
@pytest.mark.parametrize("kind", ["cdb", "sqlite", "texthash"])
def test_a_table_has_as_many_entries_as_it_should(kind: str) -> None:
    axis = _AXES[f"entries of a {kind}: table"]
    workload = replace(axis.workload(20, 20), mailboxes=3)
    with tables.built(kind, workload, 20) as table:
        etc = Path(table.partition(":")[2]).parent
        keys = [*entries(3, Mailbox.MAILDIR), "somebody3@example.com", "nobody@x.y"]
        found = [
            subprocess.run(
                ["postmap", "-c", etc, "-q", key, table],
                check=False,
                capture_output=True,
            ).stdout
            for key in keys
        ]
    assert found == [b"user0/\n", b"user1/\n", b"user2/\n", b"somebody3/\n", b""]


@pytest.mark.root
def test_mailboxes_hold_what_they_should() -> None:
    with public_directory() as root:
        workload = _AXES["messages in the maildir"].workload(1000, 1000)
        instance = Instance(root / "maildir")
        prepare(replace(workload, messages=1), instance)
        assert len(list((instance.mail / "user0" / "new").iterdir())) == 1000
        workload = _AXES["bytes in the mbox file"].workload(10**6, 10**6)
        instance = Instance(root / "mbox")
        prepare(replace(workload, messages=1), instance)
        mbox = instance.mail / "user0"
        assert mbox.stat().st_size == 10**6
        assert mbox.read_bytes().endswith(b"\n\n")
        workload = _AXES["domains in main.cf"].workload(1000, 1000)
        instance = Instance(root / "domains")
        prepare(replace(workload, messages=1), instance)
        assert "\n    example999.com\n" in (instance.etc / "main.cf").read_text()


def _curve(costs: list[float]) -> Curve:
    axis = _AXES["domains in main.cf"]
    results = {}
    for value, cost in zip(axis.values, costs, strict=False):
        theirs = [Trial(1000, one, 0.001, 0.002, 2**20, 0.5, 2**20) for one in (1, 1)]
        ours = [replace(one, cpu_seconds_per_thousand=cost) for one in theirs]
        results[value] = Result(axis.workload(value, 1), theirs, ours)
    return Curve(axis, results)


def test_growth_is_the_last_cost_by_the_first() -> None:
    table = report([_curve([0.2, 9.0, 0.3])], 2)
    row = (
        "| domains in main.cf | 1 | 100 | 1000 to 1000 us | 1.00 | 200 to 300 us | 1.50"
    )
    assert row in table
    assert "| 10 | 1000 / 9000 | 1000 / 1000 | 500 / 500 | 1.0 / 1.0 |" in table


def test_a_larger_cost_is_higher_in_the_plot() -> None:
    picture = ElementTree.fromstring(plot([_curve([0.2, 9.0, 0.3])]))
    lines = [one.get("points", "") for one in picture.iter() if "polyline" in one.tag]
    assert len(lines) == 2
    flat, ours = (
        [float(point.partition(",")[2]) for point in line.split()] for line in lines
    )
    assert len(set(flat)) == 1
    assert ours[1] < flat[0] < ours[2] < ours[0]


def test_the_largest_value_is_measured_only_on_request() -> None:
    axis = _AXES["domains in main.cf"]
    assert axis.chosen(full=True, most=None) == (1, 10, 100, 1000, 10_000)
    assert axis.chosen(full=False, most=None) == (1, 10, 100, 1000)
    assert axis.chosen(full=True, most=10) == (1, 10)


def test_axes_that_are_not_measured_again_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "growth.json"
    domains = _curve([0.2, 0.3])
    clients = Curve(_AXES["clients at a time"], domains.results)
    assert with_kept([domains], file) == [domains]
    save([domains, clients], file)
    again = _curve([0.4])
    kept, new = with_kept([again], file)
    assert new == again
    assert kept.axis == clients.axis
    assert kept.ends(rate) == clients.ends(rate)
