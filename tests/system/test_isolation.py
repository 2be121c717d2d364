"""No code from root's environment remains in what runs as root; with real attacks."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from postvirt.installation.launcher_script import launcher_script
from postvirt.standin.instance import Instance
from tests.harness.child import public_directory
from tests.harness.ports import free_port
from tests.harness.service import POSTVIRT, Service, configure, wait_until_watching

pytestmark = [pytest.mark.root, pytest.mark.slow]

# What Python imports at its start, and what the command and its children import.
NAMES = ("sitecustomize", "usercustomize", "lark", "daemon", "watchdog", "http")

# A process that has loaded this has the file mapped, and so have its children.
_HOSTILE = """\
import mmap, os
with open({loaded!r}, "r+b") as file:
    os.mapping = mmap.mmap(file.fileno(), 0)
with open({loaded!r}, "ab") as file:
    file.write(b"{name}\\n")
"""


class Trap:
    """Modules of an attacker's."""

    def __init__(self, root: Path) -> None:
        self.loaded = root / "loaded"
        self.loaded.write_text("\n")
        self.directory = root / "modules"
        self.home = root / "home"
        # Where Python outside of a virtual environment finds modules of a user.
        user_site = sysconfig.get_path("purelib", "posix_user", {"userbase": ""})
        for directory in (self.directory, self.home / ".local" / user_site.strip("/")):
            directory.mkdir(parents=True)
            for name in NAMES:
                text = _HOSTILE.format(loaded=str(self.loaded), name=name)
                (directory / f"{name}.py").write_text(text)

    @property
    def environment(self) -> dict[str, str]:
        where = str(self.directory)
        return {
            "HOME": str(self.home),
            "PYTHONPATH": where,
            "PYTHONSTARTUP": f"{where}/http.py",
            "PYTHONHOME": sys.base_prefix,
            "PYTHONPLATLIBDIR": "lib",
            "PYTHONINSPECT": "1",
        }

    def names(self) -> list[str]:
        """What has been loaded, once for each process."""
        return self.loaded.read_text().split()

    def is_in(self, pid: int) -> bool:
        return str(self.loaded) in Path(f"/proc/{pid}/maps").read_text()


@pytest.fixture
def trap() -> Iterator[Trap]:
    with public_directory() as root:
        yield Trap(root)


@pytest.fixture
def service(instance: Instance) -> Iterator[Service]:
    table = instance.add_table("texthash", "m", {"bob@example.com": "bob/"})
    address = f"127.0.0.1:{free_port()}"
    configure(instance, table, postvirt_metrics_address=address)
    service = Service(instance)
    yield service
    service.end()


def test_the_trap_works(trap: Trap) -> None:
    program = "import os; print(open('/proc/self/maps').read()); import http"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | trap.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        text=True,
    )
    assert str(trap.loaded) in done.stdout
    assert {"sitecustomize", "http"} <= set(trap.names())


def test_none_is_in_a_service(
    service: Service, trap: Trap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that Python loads before the command begins does not stay."""
    for name, value in trap.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(trap.directory)
    service.start()
    wait_until_watching(service)
    while service.status()["exporter"]["state"] != "serving":
        pass
    processes = service.processes()
    assert len(processes) >= 4  # itself, a worker, the watcher, the exporter
    assert [pid for pid in processes if trap.is_in(pid)] == []
    before = trap.names().count("sitecustomize")
    assert service.command("reload").returncode == 0
    service.stop()
    # One for each of the two commands.
    assert trap.names().count("sitecustomize") == before + 2


@pytest.mark.parametrize("command", ["status", "check-config", "config", "start"])
def test_the_current_directory_and_the_home_directory_do_not_count(
    service: Service, trap: Trap, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("HOME", str(trap.home))
    monkeypatch.chdir(trap.directory)
    service.plain_command(command)
    assert trap.names() == []


def test_the_launcher_loads_none(
    instance: Instance, trap: Trap, tmp_path: Path
) -> None:
    configure(instance, "static:bob/")
    launcher = tmp_path / "virtual"
    launcher.write_bytes(launcher_script())
    launcher.chmod(0o755)
    done = subprocess.run(
        [launcher, "-S", "-V", "-n", "virtual"],
        env=os.environ | trap.environment | {"MAIL_CONFIG": str(instance.etc)},
        cwd=trap.directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert trap.names() == []


@pytest.mark.parametrize("program", ["postvirt", "postvirt-virtual"])
def test_root_runs_no_postvirt_from_pythonpath(program: str, tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [POSTVIRT.with_name(program), "--version"],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{root}"},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"postvirt: installed in {root}, which root does not load programs from:"
        " install it in a virtual environment, and unset PYTHONPATH\n"
    )
