"""The users of Postfix are looked up and kept apart."""

import grp
import pwd
from types import SimpleNamespace

import pytest

from postvirt.config.identities import Identities, identities
from postvirt.config.load import load
from postvirt.errors import ConfigError

USERS = {"postfix": (100, 100), "nobody": (65534, 65534), "root": (0, 0)}
USERS |= {"group0": (5, 0), "twin": (100, 100), "same_uid": (100, 7)}
USERS |= {"same_gid": (8, 100), "in_postdrop": (9, 101)}
GROUPS = {"postdrop": 101, "root": 0, "postfix": 100}


@pytest.fixture
def settings(main_cf, monkeypatch):
    """Settings on a machine with the users and groups above."""

    def entry(uid):
        return next(name for name, ids in USERS.items() if ids[0] == uid)

    def group_entry(gid):
        return next(name for name, number in GROUPS.items() if number == gid)

    monkeypatch.setattr(
        pwd,
        "getpwnam",
        lambda n: SimpleNamespace(pw_uid=USERS[n][0], pw_gid=USERS[n][1]),
    )
    monkeypatch.setattr(pwd, "getpwuid", lambda u: SimpleNamespace(pw_name=entry(u)))
    monkeypatch.setattr(grp, "getgrnam", lambda n: SimpleNamespace(gr_gid=GROUPS[n]))
    monkeypatch.setattr(
        grp, "getgrgid", lambda g: SimpleNamespace(gr_name=group_entry(g))
    )
    directory = main_cf("virtual_mailbox_base = /v\n")
    loaded = load(directory, process_name="virtual", service_name="virtual")
    return loaded.settings.changed(config_directory="/c")


def test_good_users_become_numbers(settings):
    assert identities(settings) == Identities(100, 100, 101)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mail_owner": "x"}, "parameter mail_owner: unknown user name value: x"),
        ({"mail_owner": "root"}, "mail_owner: user root has privileged user ID"),
        ({"mail_owner": "group0"}, "mail_owner: user group0 has privileged group ID"),
        ({"mail_owner": "twin"}, "user twin has same user ID as postfix"),
        ({"default_privs": "x"}, "default_privs: unknown user name value: x"),
        ({"setgid_group": "x"}, "parameter setgid_group: unknown group name: x"),
        ({"setgid_group": "root"}, "group root has privileged group ID"),
        (
            {"default_privs": "postfix"},
            "parameters default_privs and mail_owner specify the same user postfix",
        ),
        (
            {"default_privs": "same_uid"},
            "users same_uid and postfix have the same user ID: 100",
        ),
        (
            {"default_privs": "same_gid"},
            "users same_gid and postfix have the same group ID: 100",
        ),
        (
            {"default_privs": "in_postdrop"},
            "user in_postdrop and group postdrop have the same group ID: 101",
        ),
        (
            {"setgid_group": "postfix"},
            "user postfix and group postfix have the same group ID: 100",
        ),
    ],
)
def test_bad_users_are_refused_with_postfix_words(change, message, settings):
    with pytest.raises(ConfigError) as caught:
        identities(settings.changed(**change))
    assert caught.value.text.startswith("file /c/main.cf: parameter")
    assert caught.value.text.endswith(message)
