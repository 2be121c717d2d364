"""What systemd hides from the unit that Postfix or postvirt's service runs in.

A unit may see a directory read-only, or not at all, although other processes can write
to it. Deliveries then fail in a way that file modes do not explain.

Source: systemd.exec(5), "Sandboxing" and "Paths"; systemctl show prints these.
Raises: nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from postvirt.inspection.command import Commands
from postvirt.inspection.commands import extend_unit
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.system.mounts import is_below
from postvirt.system.run_program import output_of

RUNNING = Path("/run/systemd/system")
PROCESSES = Path("/proc")
_PATIENCE_SECONDS = 5
_UNITS = Path("/etc/systemd/system")
_PROPERTIES = (
    "ProtectHome",
    "ProtectSystem",
    "ReadWritePaths",
    "ReadOnlyPaths",
    "InaccessiblePaths",
    "TemporaryFileSystem",
    "PrivateTmp",
    "StateDirectory",
)
_HOMES = ("/home", "/root", "/run/user")
_SYSTEM = {
    "yes": ("/usr", "/boot", "/efi"),
    "full": ("/usr", "/boot", "/efi", "/etc"),
    "strict": ("/",),
}
_UNIT = re.compile(r"/([^/\n]+\.service)(?:/|$)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Confinement:
    """What a unit does to a path.

    setting    "ProtectHome=yes" and the like
    is_hidden  whether the path is hidden; otherwise it is read-only
    """

    setting: str
    is_hidden: bool


def check_systemd_sandbox(subject: Subject) -> Iterator[Problem]:
    """The units that run now; with root's rights."""
    settings = subject.settings
    for unit in running_units(settings.queue_directory):
        properties = shown(unit, _PROPERTIES)
        for parameter, path in (
            ("virtual_mailbox_base", settings.virtual_mailbox_base),
            ("queue_directory", settings.queue_directory),
        ):
            found = confinement_of(properties, os.path.realpath(path))
            if found is None:
                continue
            does = "hides" if found.is_hidden else "write-protects"
            yield subject.problem(
                "PV605",
                f"{parameter} = {path}: {found.setting} in unit {unit} {does} it",
                parameter,
                remedy=f"change this setting with: systemctl edit {unit}",
                commands=_commands(unit, found, path),
            )


def running_units(queue_directory: str) -> Iterator[str]:
    """The units of the processes that hold a lock file in pid/, if systemd runs."""
    if not RUNNING.is_dir():
        return
    seen = set()
    for file in sorted(Path(queue_directory, "pid").glob("*.pid")):
        try:
            number = file.read_text("ascii").strip()
            cgroup = (PROCESSES / number / "cgroup").read_text("ascii", "replace")
        except (OSError, ValueError):
            continue
        unit = unit_of(cgroup) if number.isdigit() else ""
        if unit and unit not in seen:
            seen.add(unit)
            yield unit


def unit_of(cgroup: str) -> str:
    """The unit that /proc/pid/cgroup names, "" for none."""
    found = _UNIT.findall(cgroup)
    return found[-1] if found else ""


def shown(unit: str, names: Collection[str]) -> dict[str, str]:
    """Properties of a unit, as systemctl prints them; none if that fails."""
    output = output_of(
        ["systemctl", "show", f"--property={','.join(names)}", "--", unit],
        patience_seconds=_PATIENCE_SECONDS,
    )
    return parse(os.fsdecode(output))


def parse(shown: str) -> dict[str, str]:
    """The lines of `systemctl show` by their names."""
    pairs = (line.partition("=") for line in shown.splitlines())
    return {name: value for name, equals, value in pairs if equals}


def confinement_of(properties: Mapping[str, str], path: str) -> Confinement | None:
    """The setting that keeps a unit from writing below a path, None for none."""
    hidden = _most_exact(_hidden(properties), path)
    if hidden is not None:
        return Confinement(hidden[1], is_hidden=True)
    read_only = _most_exact(_read_only(properties), path)
    writable = _most_exact(_writable(properties), path)
    if read_only is None or (
        writable is not None and len(writable[0]) >= len(read_only[0])
    ):
        return None
    return Confinement(read_only[1], is_hidden=False)


Rules = Iterator[tuple[str, str]]  # a directory, and the setting that is about it


def _most_exact(rules: Rules, path: str) -> tuple[str, str] | None:
    matching = [rule for rule in rules if is_below(path, rule[0])]
    return max(matching, key=lambda rule: len(rule[0]), default=None)


def _hidden(properties: Mapping[str, str]) -> Rules:
    home = properties.get("ProtectHome", "no")
    if home in ("yes", "tmpfs"):
        yield from ((one, f"ProtectHome={home}") for one in _HOMES)
    if properties.get("PrivateTmp") in ("yes", "disconnected"):
        yield from ((one, "PrivateTmp=yes") for one in ("/tmp", "/var/tmp"))
    for name in ("InaccessiblePaths", "TemporaryFileSystem"):
        yield from _paths(properties, name)


def _read_only(properties: Mapping[str, str]) -> Rules:
    if properties.get("ProtectHome") == "read-only":
        yield from ((one, "ProtectHome=read-only") for one in _HOMES)
    system = properties.get("ProtectSystem", "no")
    yield from ((one, f"ProtectSystem={system}") for one in _SYSTEM.get(system, ()))
    yield from _paths(properties, "ReadOnlyPaths")


def _writable(properties: Mapping[str, str]) -> Rules:
    yield from _paths(properties, "ReadWritePaths")
    for one in properties.get("StateDirectory", "").split():
        yield f"/var/lib/{one.partition(':')[0]}", "StateDirectory"
    if properties.get("ProtectSystem") == "strict":
        yield from ((one, "") for one in ("/dev", "/proc", "/sys"))


def _paths(properties: Mapping[str, str], name: str) -> Rules:
    for one in properties.get(name, "").split():
        path = one.lstrip("-+")
        if name == "TemporaryFileSystem":
            path = path.partition(":")[0]
        yield path.rstrip("/") or "/", f"{name}={path}"


def _commands(unit: str, found: Confinement, path: str) -> Commands:
    """Create a drop-in for the unit; none for paths that an administrator listed."""
    name = found.setting.partition("=")[0]
    if not found.is_hidden:
        line = f"ReadWritePaths={path}"
    elif name in ("ProtectHome", "PrivateTmp"):
        line = f"{name}=no"
    else:
        return ()
    return drop_in_commands(unit, line)


def drop_in_commands(unit: str, line: str) -> Commands:
    """Commands that add a line to the section [Service] of a unit, and restart it."""
    return extend_unit(str(_UNITS), unit, line)
