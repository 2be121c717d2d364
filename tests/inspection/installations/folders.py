"""Parameters about folders that do something else than meant, and Dovecot's folders."""

from __future__ import annotations

from tests.harness.installations import Broken, Installation, Sound


def folders(it: Installation, dovecot: str = "", **more: str) -> None:
    """Folders, and a Dovecot with these lines."""
    it.set(recipient_delimiter="+", postvirt_folders="yes", **more)
    if dovecot:
        it.dovecot.write_text(dovecot)
        it.dovecot.chmod(0o644)


BROKEN = (
    Broken(
        "folders without a delimiter",
        "PV020",
        lambda it: it.set(postvirt_folders="yes"),
        severity="warning",
        says=["recipient_delimiter is empty"],
        needs="postfix",
    ),
    Broken(
        "folders to create while folders are off",
        "PV020",
        lambda it: it.set(recipient_delimiter="+", postvirt_create_folders="Spam"),
        severity="warning",
        says=["because postvirt_folders = no"],
        needs="postfix",
    ),
    Broken(
        "folders with patterns",
        "PV020",
        lambda it: folders(
            it, virtual_mailbox_maps="regexp:{{/^bob/ example.com/bob/}}, static:mbox"
        ),
        severity="warning",
        says=["regexp and static tables have no entry"],
        needs="postfix",
    ),
    Broken(
        "a folder within a folder",
        "PV002",
        lambda it: folders(it, postvirt_create_folders="Spam, Work.Old"),
        lambda it: it.set(postvirt_create_folders="Spam"),
        says=['"Work.Old" names no folder: it contains .'],
    ),
    Broken(
        "a trash folder to create",
        "PV002",
        lambda it: folders(it, postvirt_create_folders="*, Trash"),
        lambda it: it.set(postvirt_create_folders="*"),
        says=['"Trash" is the trash folder'],
    ),
    Broken(
        "another layout in Dovecot",
        "PV223",
        lambda it: folders(it, "mail_location = maildir:~/Maildir:LAYOUT=fs\n"),
        severity="warning",
        says=["in the layout fs (", "dovecot.conf, line 1)"],
        needs="postfix",
    ),
    Broken(
        "another layout in Dovecot 2.4",
        "PV223",
        lambda it: folders(it, "mail_driver = maildir\nmailbox_list_layout = index\n"),
        severity="warning",
        says=["in the layout index (", "dovecot.conf, line 2)"],
        needs="postfix",
    ),
    Broken(
        "other names of folders in Dovecot",
        "PV223",
        lambda it: folders(
            it, "mailbox_list_utf8 = yes\n", postvirt_create_folders="Grüße"
        ),
        severity="warning",
        says=["in UTF-8 ("],
        needs="postfix",
    ),
    Broken(
        "subscriptions elsewhere",
        "PV223",
        lambda it: folders(
            it,
            "mail_location = maildir:~/Maildir:CONTROL=/var/control/%u\n",
            postvirt_create_folders="Work",
        ),
        severity="info",
        says=["keeps subscriptions in /var/control/%u ("],
        needs="postfix",
    ),
)

SOUND = (
    Sound("folders", lambda it: folders(it, postvirt_create_folders="Spam, *")),
    Sound(
        "folders of Dovecot",
        lambda it: folders(
            it,
            "mail_location = maildir:~/Maildir:LAYOUT=maildir++:UTF-8\n",
            postvirt_create_folders="Spam",
        ),
    ),
    Sound(
        "subscriptions elsewhere and no new folders",
        lambda it: folders(it, "mail_control_path = /var/control/%u\n"),
    ),
)
