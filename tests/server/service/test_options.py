"""The options that a service takes from master.cf and the command line."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from postvirt.errors import ConfigError
from postvirt.server.service.options import Wanted, settings_of
from postvirt.standin.instance import Instance

MasterCf = Callable[[str], None]


@pytest.fixture
def master_cf(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> MasterCf:
    """Write master.cf of the instance whose main.cf is in $MAIL_CONFIG."""
    monkeypatch.setenv("MAIL_CONFIG", str(instance.etc))
    instance.main_cf({"ipc_timeout": "5s"})

    def write(text: str) -> None:
        (instance.etc / "master.cf").write_text(text)

    return write


def test_without_master_cf_the_command_line_alone_counts(master_cf: MasterCf) -> None:
    options = Wanted("mine", overrides=[("max_use", "7")]).options()
    assert (options.service_name, options.transport) == ("mine", "unix")
    assert options.overrides == (("max_use", "7"),)
    settings = settings_of(options)
    assert (settings.max_use, settings.ipc_timeout) == (7, 5)
    assert settings.service_name == "mine"


def test_an_entry_that_is_named_must_be_there(master_cf: MasterCf) -> None:
    with pytest.raises(ConfigError, match=r"master\.cf: No such file"):
        Wanted("mine", like="boxes").options()
    master_cf("virtual unix - n n - - virtual -o max_use=3\n")
    with pytest.raises(ConfigError, match="there is no service boxes that runs"):
        Wanted("mine", like="boxes").options()
    master_cf("boxes unix - n n - - pipe -o max_use=3\n")
    with pytest.raises(ConfigError, match="there is no service boxes that runs"):
        Wanted("mine", like="boxes").options()


@pytest.mark.parametrize(
    ("like", "max_use"),
    [("", 3), ("virtual", 3), ("boxes", 4)],
    ids=["", "virtual", "boxes"],
)
def test_the_options_of_an_entry_come_before_those_of_the_command_line(
    like: str, max_use: int, master_cf: MasterCf
) -> None:
    master_cf(
        "virtual unix - n n - - virtual -o max_use=3 -o ipc_timeout=3s\n"
        "boxes unix - n n - - postvirt-virtual -v -o max_use=4 -o ipc_timeout=4s\n"
    )
    options = Wanted("mine", like, [("ipc_timeout", "9s")]).options()
    settings = settings_of(options)
    assert (settings.max_use, settings.ipc_timeout) == (max_use, 9)
    assert options.verbose == (like == "boxes")
    assert options.service_name == "mine"


def test_an_entry_virtual_that_runs_something_else_does_not_matter(
    master_cf: MasterCf,
) -> None:
    master_cf("virtual unix - n n - - pipe -o max_use=3\n")
    assert Wanted("mine").options().overrides == ()


@pytest.mark.parametrize("private", ["-", "y"])
def test_a_socket_of_master_is_not_taken(private: str, master_cf: MasterCf) -> None:
    master_cf(f"# ours\nmine unix {private} n n - - virtual\n")
    with pytest.raises(ConfigError, match=r"listens on private/mine") as raised:
        Wanted("mine").options()
    assert raised.value.origin.line == 2
    assert "choose another --name" in raised.value.remedy


@pytest.mark.parametrize("entry", ["mine unix n", "mine inet n", "other unix -"])
def test_another_socket_of_master_does_not_matter(
    entry: str, master_cf: MasterCf
) -> None:
    master_cf(f"{entry} n n - - virtual\n")
    assert Wanted("mine").options().service_name == "mine"
