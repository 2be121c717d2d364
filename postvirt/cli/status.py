"""postvirt status: what the service is doing."""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Sequence
from typing import Any

SUMMARY = "show what the service is doing"
DESCRIPTION = """\
Show the workers of the service, its last reload, and its lookup tables. Exit status:
0 the service is running; 1 it is not.
"""

CANNOT_RUN = 1

_WORKERS = ("worker", "uptime", "served", "in flight", "")
_TABLES = ("table", "file", "age", "size")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    from postvirt.cli.running_service import add_all_option, add_service_options

    add_service_options(parser)
    add_all_option(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Ask and print; the exit status."""
    import json

    from postvirt.cli.running_service import ask_service, chosen_services

    exit_status = 0
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # names of files
    for number, running in enumerate(chosen_services(arguments)):
        status = ask_service(running, "status")
        if status is None:
            exit_status = CANNOT_RUN
        elif arguments.json:
            print(json.dumps(status, indent=4))
        else:
            if number:
                print()
            _show(status)
    return exit_status


def _show(status: dict[str, Any]) -> None:
    print(
        f"{status['name']}: {status['state']}, process {status['pid']},"
        f" version {status['version']} ({status['form']}),"
        f" configuration {status['config_directory']}\n"
        f"up {_duration(status['uptime_seconds'])}, served {status['served']},"
        f" last reload: {_reload(status['last_reload'])}\n"
        f"{''.join(map(_hung_mailbox, status['hung_mailboxes']))}"
        f"watcher: {_watcher(status['watcher'])}\n"
        f"{_serving('metrics', status['exporter'])}"
        f"{_serving('policy', status['policy'])}"
    )
    _print_table(_WORKERS, [_worker(one) for one in status["workers"]])
    print()
    _print_table(_TABLES, [row for one in status["tables"] for row in _rows(one)])


def _duration(seconds: float | None) -> str:
    """For example "3m 20s"; "-" for None."""
    if seconds is None:
        return "-"
    left = int(seconds)
    parts = []
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if left >= size:
            parts.append(f"{left // size}{unit}")
            left %= size
    return " ".join([*parts, f"{left}s"][:2])


def _reload(last: dict[str, Any] | None) -> str:
    if last is None:
        return "none"
    ago = f"{_duration(time.time() - last['time'])} ago"
    return f"{last['outcome']}, {ago}"


def _hung_mailbox(hung: dict[str, Any]) -> str:
    return (
        f"hung mailbox: {hung['path']} (uid {hung['uid']}),"
        f" for {_duration(hung['seconds'])}, worker process {hung['pid']}\n"
    )


def _watcher(watcher: dict[str, Any]) -> str:
    polled = [f"polling {directory}: {why}" for directory, why in watcher["polled"]]
    process = f" (process {watcher['pid']})" if watcher["state"] != "dead" else ""
    return ", ".join([f"{watcher['state']}{process}", *polled])


def _serving(what: str, status: dict[str, Any] | None) -> str:
    """A line about what listens at an address, or nothing if that is not wanted."""
    if status is None:
        return ""
    is_there = status["pid"] and status["state"] != "dead"
    process = f" (process {status['pid']})" if is_there else ""
    problem = f": {status['problem']}" if status["problem"] else ""
    return f"{what}: {status['state']} on {status['address']}{process}{problem}\n"


def _worker(worker: dict[str, Any]) -> Sequence[str]:
    return (
        str(worker["pid"]),
        _duration(worker["uptime_seconds"]),
        str(worker["served"]),
        str(worker["in_flight"]),
        "" if worker["accepts"] else "not accepting",
    )


def _rows(table: dict[str, Any]) -> list[Sequence[str]]:
    rows = [
        (
            table["table"],
            file["path"],
            _duration(file["age_seconds"]),
            "missing" if file["size_bytes"] is None else str(file["size_bytes"]),
        )
        for file in table["files"]
    ]
    return list(rows or [(table["table"], "-", "-", "-")])


def _print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """With rich on a terminal, if it is installed; otherwise in plain columns."""
    if sys.stdout.isatty():
        try:
            from rich.console import Console
            from rich.table import Table
            from rich.text import Text
        except ImportError:
            pass
        else:
            table = Table(*head)
            for row in rows:
                table.add_row(*map(Text, row))
            Console().print(table)
            return
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
