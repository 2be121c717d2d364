"""An entry of master.cf that does not start the delivery agent as it has to be."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.harness.installations import Broken, Change, Installation, Sound

GENUINE = b"\x7fELF\0virtual_minimum_uid\0"
LAUNCHER = "#!{python} -I\nimport sys\n\nfrom postvirt.server.launcher import main\n"


def entry(columns: str = "virtual unix - n n - -", arguments: str = "") -> Change:
    """Break by another entry."""

    def change(it: Installation) -> None:
        it.master_cf(f"{columns} virtual {arguments}\n")

    return change


def daemons(it: Installation) -> Path:
    """A daemon_directory of its own, with an entry that uses it."""
    directory = it.root / "daemons"
    directory.mkdir(exist_ok=True)
    it.set(daemon_directory=str(directory))
    it.master_cf("virtual unix - n n - - virtual\n")
    return directory


def program(it: Installation, content: bytes | str, name: str = "virtual") -> Path:
    path = daemons(it) / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(0o755)
    return path


def launcher(it: Installation, python: str | None = None) -> Path:
    return program(it, LAUNCHER.format(python=python or sys.executable))


def environment(it: Installation) -> Path:
    """A virtual environment that the launcher runs from; its packages."""
    top = it.root / "venv"
    packages = top / "lib/python3.11/site-packages"
    (packages / "postvirt").mkdir(parents=True)
    (packages / "postvirt/__init__.py").touch()
    (top / "bin").mkdir()
    (top / "bin/python").symlink_to(os.path.realpath(sys.executable))
    (top / "pyvenv.cfg").write_text(f"home = {os.path.dirname(sys.executable)}\n")
    launcher(it, str(top / "bin/python"))
    return packages


def source_of_another(it: Installation) -> None:
    """The same, with postvirt in a directory of somebody else."""
    packages = environment(it)
    source = it.root / "source"
    source.mkdir()
    (packages / "postvirt").rename(source / "postvirt")
    (packages / "_postvirt.pth").write_text(f"import x\n\n{source}\n")
    it.give(source)


def gone(it: Installation) -> None:
    """An upgrade was interrupted: only what postvirt kept is there."""
    program(it, GENUINE, "virtual.genuine")


def replaced(it: Installation) -> None:
    program(it, GENUINE, "virtual.genuine")
    program(it, GENUINE)


def one_process(it: Installation) -> None:
    program(it, GENUINE)
    it.master_cf("virtual unix - n n - 1 virtual\n")


def one_process_of_postvirt(it: Installation) -> None:
    launcher(it)
    it.master_cf("virtual unix - n n - 1 virtual\n")


BROKEN = (
    Broken(
        "no root's rights",
        "PV501",
        entry("virtual unix - - n - -"),
        needs="postfix",
    ),
    Broken(
        "a jail",
        "PV502",
        entry("virtual unix - n y - -"),
        says=["mailboxes below {root}/spool{root}/mail, which does not exist"],
        needs="postfix",
    ),
    Broken(
        "a jail with mailboxes in it",
        "PV502",
        lambda it: [
            Path(f"{it.spool}{it.mail}").mkdir(parents=True),
            entry("virtual unix - n y - -")(it),
        ],
        severity="warning",
        needs="postfix",
    ),
    Broken(
        "a jail by default",
        "PV502",
        lambda it: [
            it.set(compatibility_level="0"),
            entry("virtual unix - n - - -")(it),
        ],
        says=["by the default of compatibility_level 0"],
        needs="postfix",
    ),
    Broken(
        "an option that there is not",
        "PV503",
        entry(arguments="-x"),
        entry(),
        says=["invalid option: x"],
    ),
    Broken(
        "an argument",
        "PV503",
        entry(arguments="flags=DRhu"),
        entry(),
        says=["unexpected command-line argument: flags=DRhu"],
    ),
    Broken(
        "a type of service that cannot be",
        "PV503",
        entry("virtual fifo - n n - -"),
        entry(),
        says=["unsupported transport type: fifo"],
    ),
    Broken(
        "one process",
        "PV504",
        one_process,
        severity="info",
        says=["limited to 1 process with 1 client each"],
        needs="postfix",
    ),
    Broken(
        "one process of postvirt for one client",
        "PV504",
        lambda it: [one_process_of_postvirt(it), it.set(postvirt_client_limit="1")],
        severity="info",
        needs="postfix",
    ),
    Broken(
        "no program",
        "PV505",
        daemons,
        lambda it: program(it, GENUINE),
        says=["{root}/daemons/virtual does not exist"],
    ),
    Broken(
        "a link to nothing",
        "PV505",
        lambda it: (daemons(it) / "virtual").symlink_to("/nowhere/postvirt-virtual"),
        lambda it: [(it.root / "daemons/virtual").unlink(), program(it, GENUINE)],
        says=["is a symbolic link that leads nowhere"],
    ),
    Broken("only the genuine program that was kept", "PV505", gone, needs="postfix"),
    Broken(
        "a launcher that is not executable",
        "PV506",
        lambda it: launcher(it).chmod(0o644),
        says=["is not executable (mode 0644)"],
    ),
    Broken(
        "a Python that is gone",
        "PV507",
        lambda it: [
            program(it, GENUINE, "virtual.genuine"),
            launcher(it, "/opt/postvirt-that-was/bin/python"),
        ],
        says=["with /opt/postvirt-that-was/bin/python, which does not exist"],
        needs="postfix",
    ),
    Broken(
        "an upgrade",
        "PV508",
        replaced,
        severity="warning",
        says=[
            "a Postfix upgrade has replaced postvirt",
            "remove it completely with: /",
            "postvirt uninstall -c {root}/etc",
        ],
        needs="postfix",
    ),
    Broken(
        "another installation of postvirt",
        "PV509",
        lambda it: [
            program(it, GENUINE, "virtual.genuine"),
            launcher(it, os.path.realpath(sys.executable)),
        ],
        severity="warning",
        needs="postfix",
    ),
    Broken(
        "a launcher that everybody can write",
        "PV511",
        lambda it: launcher(it).chmod(0o777),
        says=["chmod go-w {root}/daemons/virtual"],
    ),
    Broken(
        "a launcher of somebody else",
        "PV511",
        lambda it: it.give(launcher(it)),
        says=["chown root {root}/daemons/virtual"],
    ),
    Broken(
        "a launcher that somebody else can replace",
        "PV511",
        lambda it: it.give(launcher(it).parent),
        says=["can replace what is in {root}/daemons", "chown root {root}/daemons"],
    ),
    Broken(
        "a virtual environment with a module of somebody else",
        "PV511",
        lambda it: it.give(environment(it) / "postvirt/__init__.py"),
        says=["chown root {root}/venv/lib/python3.11/site-packages/postvirt/__init__"],
    ),
    Broken(
        "a virtual environment to which everybody can add modules",
        "PV511",
        lambda it: environment(it).chmod(0o777),
        says=["can change {root}/venv/lib/python3.11/site-packages, which", "go-w"],
    ),
    Broken(
        "a virtual environment of somebody else",
        "PV511",
        lambda it: it.give(environment(it).parents[2]),
        says=["can change {root}/venv, which"],
    ),
    Broken(
        "a virtual environment with a source of somebody else",
        "PV511",
        source_of_another,
        says=["can change {root}/source, which"],
    ),
)

SOUND = (
    Sound("an entry as Debian has it", entry(), silent=["PV504"], needs="postfix"),
    Sound("one process of postvirt for all", one_process_of_postvirt),
    Sound(
        "the genuine program, before an installation", lambda it: program(it, GENUINE)
    ),
    Sound("the options of every daemon", entry(arguments="-v -i 50 -o max_use=7")),
    Sound("no limit for processes", entry("virtual unix - n n - 0")),
)
