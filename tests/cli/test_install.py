"""postvirt install and uninstall, with a daemon_directory and a dpkg of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from postvirt.errors import ConfigError
from postvirt.installation import drop_in, hints
from postvirt.installation.drop_in import DropIn, carry_out
from postvirt.standin.instance import Instance
from tests.cli.conftest import Run
from tests.harness.builds import add_postconf
from tests.harness.child import in_child
from tests.harness.file_systems import leave_the_mounts_of_the_others, tmpfs

GENUINE = b"#!/bin/sh\nexit 0\n\0virtual_minimum_uid\0"
NEWER = GENUINE + b"newer"


@pytest.fixture
def daemons(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A daemon_directory, and a dpkg that knows of no package."""
    dpkg = instance.root / "dpkg"
    for name in ("info", "updates"):
        (dpkg / name).mkdir(parents=True)
    (dpkg / "status").touch()
    monkeypatch.setenv("DPKG_ADMINDIR", str(dpkg))
    directory = instance.root / "daemons"
    directory.mkdir()
    write(directory / "virtual", GENUINE)
    instance.main_cf({"daemon_directory": str(directory)})
    return directory


@pytest.fixture
def place(instance: Instance, daemons: Path) -> DropIn:
    return DropIn(str(daemons), str(instance.etc))


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The launcher is not tried, which takes the most time."""
    monkeypatch.setattr(drop_in, "try_launcher", lambda *_: None)


def write(path: Path, content: bytes) -> None:
    """As a package manager does: under another name, then in its place."""
    new = path.with_name(f"{path.name}.package")
    new.write_bytes(content)
    new.chmod(0o755)
    new.rename(path)


def look(directory: Path) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for path in directory.iterdir():
        status = path.lstat()
        found[path.name] = (
            *(status.st_ino, status.st_mode, status.st_mtime_ns, status.st_nlink),
            path.read_bytes(),
        )
    return found


def package(instance: Instance, version: str, content: bytes) -> None:
    """Have dpkg install a package with this as `virtual`."""
    root = instance.root / "package"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        f"Package: some-postfix\nVersion: {version}\nArchitecture: all\n"
        "Maintainer: nobody <nobody@example.org>\nDescription: a test\n"
    )
    inside = root / str(instance.root / "daemons").lstrip("/")
    inside.mkdir(parents=True)
    write(inside / "virtual", content)
    archive = instance.root / "package.deb"
    log = instance.root / "dpkg.log"
    commands: tuple[list[str | Path], ...] = (
        ["dpkg-deb", "--build", root, archive],
        ["dpkg", f"--log={log}", "--no-triggers", "--install", archive],
    )
    for command in commands:
        done = subprocess.run(command, capture_output=True, check=False, text=True)
        assert done.returncode == 0, done.stderr
    shutil.rmtree(root)


def output(done: subprocess.CompletedProcess[bytes]) -> list[str]:
    """What a command printed, without notes about the machine."""
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.decode().splitlines()
    return [line for line in lines if not line.startswith("note: ")]


def test_there_and_back(instance: Instance, daemons: Path, postvirt: Run) -> None:
    before = look(daemons)
    virtual = daemons / "virtual"
    assert output(postvirt("install")) == [
        f"try postvirt in {daemons}",
        f"keep {virtual} as {virtual}.genuine",
        f"put postvirt into {virtual}",
        f"next: postfix -c {instance.etc} reload",
    ]
    installed = look(daemons)
    assert installed.keys() == {"virtual", "virtual.genuine"}
    assert installed["virtual.genuine"] == before["virtual"]
    assert virtual.stat().st_mode & 0o7777 == 0o755
    assert output(postvirt("uninstall")) == [
        f"move {virtual}.genuine to {virtual}",
        f"next: postfix -c {instance.etc} reload",
    ]
    assert look(daemons) == before


@pytest.mark.parametrize("are_on", [False, True])
def test_quotas_that_virtual_has_ignored_are_worth_a_note(
    instance: Instance, daemons: Path, postvirt: Run, *, are_on: bool
) -> None:
    limits = {"virtual_mailbox_limit_maps": "static:1G"} if are_on else {}
    instance.main_cf({"daemon_directory": str(daemons), **limits})
    printed = postvirt("install", "--dry-run").stdout.decode()
    assert ("note: main.cf limits mailboxes; virtual(8) ignores that" in printed) == (
        are_on
    )
    postvirt("install")
    printed = postvirt("uninstall").stdout.decode()
    assert ("from the reload on, they have no limits" in printed) == are_on


def add_instance(
    instance: Instance, name: str, text: str, *, default: bool = False
) -> Path:
    """Another configuration directory; the default one lists the others."""
    etc = instance.root / name
    etc.mkdir()
    (etc / "main.cf").write_text(text)
    os.utime(etc / "main.cf", (0, 0))
    if default:
        commands = add_postconf(instance.root / "sbin", config_directory=str(etc))
        daemons = str(instance.root / "daemons")
        more = {"daemon_directory": daemons, "command_directory": commands}
        instance.main_cf(more)
    return etc


def test_all_instances_with_this_program_are_named(
    instance: Instance, daemons: Path, postvirt: Run
) -> None:
    """Also from one of the others, and whatever else is wrong in their main.cf."""
    root, same = instance.root, f"daemon_directory = {daemons}\n"
    lists = f"{root}/other, {root}/gone {root}/broken {instance.etc}\n"
    text = f"{same}multi_instance_directories = {lists}"
    first = add_instance(instance, "first", text, default=True)
    add_instance(instance, "other", f"daemon_directory = {root}/elsewhere\n")
    broken = add_instance(instance, "broken", f"{same}max_use = none\n")
    for command in ("install", "uninstall"):
        dry = postvirt(command, "--dry-run").stdout.decode()
        done = postvirt(command).stdout.decode()
        note = (
            "note: this is the program of several Postfix instances:"
            f" {instance.etc}, {first}, {broken}\n"
        )
        assert note in dry
        assert note in done
        next_lines = [one for one in done.splitlines() if one.startswith("next: ")]
        assert next_lines == [
            f"next: postfix -c {directory} reload"
            for directory in (instance.etc, first, broken)
        ]


def test_a_second_time_there_is_nothing_to_do(daemons: Path, postvirt: Run) -> None:
    virtual = daemons / "virtual"
    assert output(postvirt("uninstall")) == [f"{virtual} is already Postfix's own"]
    postvirt("install")
    before = look(daemons)
    assert output(postvirt("install")) == [f"{virtual} is already postvirt"]
    assert look(daemons) == before


def test_there_is_a_way_back_from_settings_that_deliver_nothing(
    daemons: Path, postvirt: Run
) -> None:
    """As after a change to another delivery agent, or while the package is removed."""
    before = look(daemons)
    other = ("-o", "virtual_mailbox_base=", "-o", "message_size_limit=100000000")
    output(postvirt("install", *other))
    assert look(daemons) != before
    output(postvirt("uninstall", *other))
    assert look(daemons) == before


def test_a_dry_run_says_what_would_be_done(daemons: Path, postvirt: Run) -> None:
    for command in ("install", "uninstall"):
        before = look(daemons)
        would = output(postvirt(command, "--dry-run"))
        assert look(daemons) == before
        done = output(postvirt(command))
        assert [*would, done[-1]] == [
            *(f"would {line}" for line in done[:-1]),
            done[-1],
        ]
        assert look(daemons) != before


def test_the_launcher_of_another_python_is_replaced(
    daemons: Path, postvirt: Run
) -> None:
    postvirt("install")
    virtual = daemons / "virtual"
    current = virtual.read_text()
    virtual.write_text(current.replace("#!/", "#!/gone/", 1))
    assert f"put postvirt into {virtual}" in output(postvirt("install"))
    assert virtual.read_text() == current
    assert (daemons / "virtual.genuine").read_bytes() == GENUINE


def test_an_upgrade_without_dpkg_needs_another_installation(
    daemons: Path, postvirt: Run
) -> None:
    postvirt("install")
    write(daemons / "virtual", NEWER)
    postvirt("install")
    assert (daemons / "virtual.genuine").read_bytes() == NEWER
    postvirt("uninstall")
    assert look(daemons).keys() == {"virtual"}
    assert (daemons / "virtual").read_bytes() == NEWER


def test_after_an_upgrade_without_dpkg_the_old_program_is_removed(
    daemons: Path, postvirt: Run
) -> None:
    postvirt("install")
    write(daemons / "virtual", NEWER)
    before = look(daemons)
    postvirt("uninstall")
    del before["virtual.genuine"]
    assert look(daemons) == before


@pytest.mark.root
def test_an_upgrade_with_dpkg_neither_undoes_nor_breaks_it(
    instance: Instance, daemons: Path, postvirt: Run
) -> None:
    package(instance, "3.7.11", GENUINE)
    virtual, genuine = daemons / "virtual", daemons / "virtual.genuine"
    assert f"divert {virtual} to {genuine} (dpkg-divert)" in output(postvirt("install"))
    launcher = virtual.read_bytes()
    package(instance, "3.7.12", NEWER)
    assert virtual.read_bytes() == launcher
    assert genuine.read_bytes() == NEWER
    assert output(postvirt("install")) == [f"{virtual} is already postvirt"]
    assert output(postvirt("uninstall"))[:2] == [
        f"move {genuine} to {virtual}",
        f"remove the diversion of {virtual} (dpkg-divert)",
    ]
    assert look(daemons).keys() == {"virtual"}
    assert virtual.read_bytes() == NEWER
    package(instance, "3.7.11", GENUINE)
    assert virtual.read_bytes() == GENUINE


@pytest.mark.root
@pytest.mark.parametrize("is_packaged", [False, True])
@pytest.mark.usefixtures("trusted")
def test_a_change_that_was_interrupted_can_be_finished_or_undone(
    instance: Instance, daemons: Path, place: DropIn, is_packaged: bool
) -> None:
    if is_packaged:
        package(instance, "3.7.11", GENUINE)

    def finish(*, install: bool) -> None:
        for step in place.install() if install else place.uninstall():
            step.do()
        assert place.install() == [] if install else place.uninstall() == []

    genuine = look(daemons)
    for begin_with_install in (True, False):
        for end_with_install in (True, False):
            for count in range(5):
                finish(install=not begin_with_install)
                begun = place.install() if begin_with_install else place.uninstall()
                for step in begun[:count]:
                    step.do()
                finish(install=end_with_install)
                (kept,) = {"virtual", "virtual.genuine"} & {
                    name for name, seen in look(daemons).items() if seen[-1] == GENUINE
                }
                assert kept == ("virtual.genuine" if end_with_install else "virtual")
    finish(install=False)
    assert look(daemons) == genuine


@pytest.mark.usefixtures("trusted")
def test_there_is_a_virtual_at_every_moment(daemons: Path, place: DropIn) -> None:
    seen = set()
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.is_set():
            seen.add((daemons / "virtual").read_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for _ in range(20):
            for step in place.install():
                step.do()
            launcher = (daemons / "virtual").read_bytes()
            for step in place.uninstall():
                step.do()
    finally:
        is_over.set()
        watcher.join()
    assert seen <= {GENUINE, launcher}
    assert GENUINE in seen


def remove(instance: Instance, virtual: Path) -> None:
    virtual.unlink()


def replace(instance: Instance, virtual: Path) -> None:
    virtual.write_text("#!/bin/sh\nexec something else\n")


def link(instance: Instance, virtual: Path) -> None:
    virtual.rename(virtual.with_name("original"))
    virtual.symlink_to("nowhere")


def divert(instance: Instance, virtual: Path) -> None:
    command = ["dpkg-divert", "--local", "--no-rename", "--divert"]
    subprocess.run(
        [*command, f"{virtual}.other", "--add", virtual],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def break_the_queue(instance: Instance, virtual: Path) -> None:
    instance.spool.rename(instance.root / "elsewhere")


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (remove, "@ does not exist\n"),
        (replace, "@ is neither Postfix's virtual(8) nor postvirt\n"),
        (link, "@ is neither Postfix's virtual(8) nor postvirt\n"),
        (divert, "@ is diverted to @.other, not to @.genuine\n"),
    ],
)
def test_what_is_not_as_expected_is_left_alone(
    instance: Instance, daemons: Path, postvirt: Run, spoil: object, complaint: str
) -> None:
    virtual = daemons / "virtual"
    spoil(instance, virtual)  # type: ignore[operator]
    before = sorted(os.listdir(daemons))
    for command in ("install", "uninstall"):
        done = postvirt(command)
        assert (done.returncode, done.stdout) == (1, b"")
        message = f"postvirt: {complaint.replace('@', str(virtual))}"
        assert done.stderr.decode().startswith(message)
        assert sorted(os.listdir(daemons)) == before


def test_without_the_genuine_program_there_is_no_way_back(
    daemons: Path, postvirt: Run
) -> None:
    postvirt("install")
    (daemons / "virtual.genuine").unlink()
    before = look(daemons)
    done = postvirt("uninstall")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"virtual.genuine is not Postfix's virtual(8)\n" in done.stderr
    assert look(daemons) == before


def test_a_launcher_that_does_not_start_is_not_installed(
    instance: Instance, daemons: Path, postvirt: Run
) -> None:
    instance.spool.rename(instance.root / "elsewhere")
    before = look(daemons)
    done = postvirt("install")
    assert (done.returncode, done.stdout) == (1, b"")
    assert f"postvirt does not start from {daemons}: " in done.stderr.decode()
    assert f'fatal: chdir("{instance.spool}"): No such file' in done.stderr.decode()
    assert look(daemons) == before


@pytest.mark.root
def test_a_directory_where_nothing_can_be_executed(
    daemons: Path, place: DropIn
) -> None:
    def work() -> str:
        leave_the_mounts_of_the_others()
        tmpfs(size=1 << 20, mode=755)(daemons)
        subprocess.run(["mount", "-o", "remount,noexec", daemons], check=True)
        write(daemons / "virtual", GENUINE)
        step = place.install()[0]
        with pytest.raises(Exception, match="Permission denied") as caught:
            step.do()
        assert os.listdir(daemons) == ["virtual"]
        return str(caught.value)

    complaint = f"postvirt does not start from {daemons}: Permission denied"
    assert in_child(work) == complaint


def test_notes_of_what_the_machine_may_have_against_it(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = instance.root / "python"
    python.touch(mode=0o775)
    python.chmod(0o775)
    main_cf = instance.etc / "main.cf"
    enforce, profiles = instance.root / "enforce", instance.root / "profiles"
    monkeypatch.setattr(hints, "_SELINUX", enforce)
    monkeypatch.setattr(hints, "_APPARMOR", profiles)

    def notes() -> str:
        return "\n".join(hints.hints(Path("/d/virtual"), main_cf))

    assert "SELinux" not in notes()
    assert "AppArmor" not in notes()
    enforce.write_text("0")
    profiles.write_text(
        "libvirt//virtual-machine (enforce)\npostfix-virtual (complain)\n"
        "/usr/sbin/mysqld (enforce)\n"
    )
    assert "SELinux" not in notes()
    assert "AppArmor" not in notes()
    enforce.write_text("1")
    profiles.write_text("postfix-virtual (enforce)\nother (enforce)\n")
    assert "SELinux is enforcing: run restorecon -v /d/virtual; " in notes()
    assert notes().count("AppArmor") == 1
    assert "by the profile postfix-virtual: " in notes()

    assert str(python) not in notes()
    monkeypatch.setattr("postvirt.installation.hints.sys.executable", str(python))
    assert f"{python} runs as root, but users other than root can change it" in notes()


@pytest.mark.root
def test_on_a_read_only_file_system(place: DropIn, daemons: Path) -> None:
    """As in a container: what is installed in its image needs no change."""

    bind = ("mount", "--bind", str(daemons), str(daemons))
    remount = ("mount", "-o", "remount,bind,ro", str(daemons))

    def work() -> str:
        leave_the_mounts_of_the_others()
        subprocess.run(bind, check=True)
        subprocess.run(remount, check=True)
        with pytest.raises(ConfigError, match="mounted read-only") as refused:
            place.install()
        assert "run this as root" not in refused.value.remedy
        assert place.uninstall() == []
        subprocess.run(["umount", daemons], check=True)
        carry_out(place.install(), dry_run=False)
        subprocess.run(bind, check=True)
        subprocess.run(remount, check=True)
        assert place.install() == []
        with pytest.raises(ConfigError, match="mounted read-only"):
            place.uninstall()
        return "done"

    assert in_child(work) == "done"
