"""Defaults of a Postfix that was not built as Debian's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from postvirt.config import compiled_in as module
from postvirt.config.compiled_in import compiled_in, installed_postconf
from postvirt.config.config_files import directory_of
from postvirt.config.load import load
from postvirt.config.parameters import Settings
from postvirt.standin.instance import Instance
from tests.harness.builds import add_postconf
from tests.harness.child import in_child

_SOMEBODY = 5000


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    return tmp_path


def settings(etc: Path, **parameters: str) -> Settings:
    lines = [f"{name} = {value}\n" for name, value in parameters.items()]
    main_cf = etc / "main.cf"
    main_cf.write_text("".join(["virtual_mailbox_base = /var/mail\n", *lines]))
    os.utime(main_cf, (0, 0))
    return load(str(etc), process_name="virtual", service_name="virtual").settings


def usual(monkeypatch: pytest.MonkeyPatch, *directories: str) -> None:
    """Have postconf(1) in these directories only, if it is anywhere."""
    monkeypatch.setattr(module, "_USUAL", directories)


def test_what_main_cf_does_not_set_is_as_postfix_was_built(
    etc: Path, tmp_path: Path
) -> None:
    commands = add_postconf(
        tmp_path / "sbin",
        daemon_directory="/usr/libexec/postfix",
        data_directory="/var/db/postfix",
        default_database_type="lmdb",
        mail_owner="_postfix",
        queue_directory="/srv/spool",
        setgid_group="maildrop",
    )
    found = settings(etc, command_directory=commands, mail_owner="nobody")
    assert found.daemon_directory == "/usr/libexec/postfix"
    assert found.data_directory == "/var/db/postfix"
    assert found.default_database_type == "lmdb"
    assert found.mail_owner == "nobody"
    assert found.queue_directory == "/srv/spool"
    assert found.setgid_group == "maildrop"


def test_another_postfix_is_not_asked(
    etc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual(monkeypatch, add_postconf(tmp_path / "sbin", queue_directory="/other"))
    assert settings(etc).queue_directory == "/other"
    found = settings(etc, command_directory="/nowhere")
    assert found.queue_directory == "/var/spool/postfix"


def test_command_directory_itself_is_found(
    etc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = add_postconf(tmp_path / "sbin", command_directory=f"{tmp_path}/sbin")
    usual(monkeypatch, "/nowhere", commands)
    assert settings(etc).command_directory == commands


def test_a_default_may_refer_to_other_parameters(etc: Path, tmp_path: Path) -> None:
    commands = add_postconf(tmp_path / "sbin", data_directory="$queue_directory/data")
    found = settings(etc, command_directory=commands, queue_directory="/srv")
    assert found.data_directory == "/srv/data"


def test_without_postfix_debians_defaults_are_used(
    etc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual(monkeypatch)
    assert compiled_in() == {}
    assert settings(etc).daemon_directory == "/usr/lib/postfix/sbin"


@pytest.mark.parametrize("program", ["exit 1", "kill -9 $$", "echo 'queue_directory'"])
def test_a_postconf_that_does_not_work(
    etc: Path, tmp_path: Path, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = add_postconf(tmp_path / "sbin")
    Path(commands, "postconf").write_text(f"#!/bin/sh\n{program}\n")
    usual(monkeypatch, commands)
    assert settings(etc).queue_directory == "/var/spool/postfix"


def test_a_postconf_that_hangs(
    etc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = add_postconf(tmp_path / "sbin")
    Path(commands, "postconf").write_text(
        "#!/bin/sh\necho queue_directory = /half\nexec sleep 60\n"
    )
    usual(monkeypatch, commands)
    monkeypatch.setattr(module, "_PATIENCE_MILLISECONDS", 300)
    assert settings(etc).queue_directory == "/var/spool/postfix"


def test_a_new_postconf_is_asked_again(etc: Path, tmp_path: Path) -> None:
    commands = add_postconf(tmp_path / "sbin", queue_directory="/old")
    assert settings(etc, command_directory=commands).queue_directory == "/old"
    Path(commands, "postconf").unlink()
    add_postconf(tmp_path / "sbin", queue_directory="/new")
    assert settings(etc, command_directory=commands).queue_directory == "/new"


def test_the_directory_of_main_cf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with FreeBSD's ports, which have no /etc/postfix."""
    commands = add_postconf(
        tmp_path / "sbin", config_directory="/usr/local/etc/postfix"
    )
    usual(monkeypatch, commands)
    monkeypatch.delenv("MAIL_CONFIG", raising=False)
    monkeypatch.setattr(
        "postvirt.config.config_files.DEFAULT_DIRECTORY", str(tmp_path / "etc")
    )
    assert directory_of(None) == "/usr/local/etc/postfix"
    assert directory_of("/named") == "/named"
    monkeypatch.setenv("MAIL_CONFIG", "/environment")
    assert directory_of(None) == "/environment"
    monkeypatch.delenv("MAIL_CONFIG")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/main.cf").touch()
    assert directory_of(None) == str(tmp_path / "etc")


@pytest.mark.postfix
def test_genuine_postconf_is_asked_without_the_callers_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MAIL_CONFIG", "/nowhere")
    assert compiled_in()["config_directory"] == "/etc/postfix"
    assert compiled_in()["daemon_directory"].startswith("/usr/lib")


@pytest.mark.root
@pytest.mark.parametrize("whose", ["file", "directory", "link"])
def test_root_runs_no_postconf_of_others(instance: Instance, whose: str) -> None:
    """main.cf may name a directory in which somebody else can put a program."""
    trap = instance.root / "trapped"
    place = instance.root / "sbin"
    commands = add_postconf(place)
    program = Path(commands, "postconf")
    program.write_text(f"#!/bin/sh\ntouch {trap}\n")
    if whose == "file":
        program.chmod(0o777)
    elif whose == "directory":
        os.chown(place, _SOMEBODY, _SOMEBODY)
    else:
        real = instance.root / "real"
        place.rename(real)
        place.symlink_to(real)
        os.lchown(place, _SOMEBODY, _SOMEBODY)
    assert installed_postconf(commands) == ""
    compiled_in(commands)
    assert not trap.exists()
    # To whoever is not root, that program is as good as any other.
    assert in_child(lambda: _as_somebody(commands)) == str(program)


def _as_somebody(commands: str) -> str:
    os.setresgid(_SOMEBODY, _SOMEBODY, _SOMEBODY)
    os.setresuid(_SOMEBODY, _SOMEBODY, _SOMEBODY)
    return installed_postconf(commands)


def test_a_postconf_that_failed_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine may only have been short of something."""
    program = tmp_path / "sbin" / "postconf"
    add_postconf(program.parent, mail_owner="_postfix")
    answers = iter([b"", b"mail_owner = _postfix\n"])
    monkeypatch.setattr(module, "_output", lambda *_: next(answers))
    assert module.compiled_in(str(program.parent)) == {}
    found = module.compiled_in(str(program.parent))
    assert found == {"mail_owner": "_postfix"}
    assert module.compiled_in(str(program.parent)) is found  # it is not asked any more
