"""NixOS: main.cf and master.cf are links to files that never change, dated 1970.

/etc/postfix leads to a directory of the service's own, where the indexes are made.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.harness.shapes import Shape, Site


def _makes(it: Site) -> None:
    rules = it.file("submission_header_cleanup_rules", "/^User-Agent:/ IGNORE\n")
    it.set(
        mail_spool_directory="/var/spool/mail/",
        mydestination="localhost",
        mynetworks_style="host",
        recipient_delimiter="+",
        relayhost="",
        disable_vrfy_command="yes",
        message_size_limit="20971520",
        local_recipient_maps="",
        virtual_uid_maps="static:5000",
        virtual_gid_maps="static:5000",
        virtual_mailbox_base=str(it.mail),
        virtual_mailbox_domains=it.file("vhosts", "example.com\nexample.net"),
        # The file ends without a newline.
        virtual_alias_maps=it.table("hash", "valias", _VALIAS.rstrip("\n")),
        smtpd_sender_login_maps=it.table("hash", "vaccounts", _VALIAS),
        smtpd_sasl_type="dovecot",
        smtpd_sasl_path="/run/dovecot2/auth",
        smtpd_tls_security_level="may",
        smtpd_tls_eecdh_grade="ultra",
        smtpd_tls_chain_files="/var/lib/acme/mail/key.pem, /var/lib/acme/mail/cert.pem",
        **{"policy-spf_time_limit": "3600s"},
        tls_random_source="dev:/dev/urandom",
        lmtp_destination_recipient_limit="1",
    )
    it.services += [
        "policy-spf unix - n n - 0 spawn user=nobody argv=/run/current/bin/policyd-spf",
        f"header-cleanup unix n - n - 0 cleanup -o header_checks=pcre:{rules}",
    ]
    if it.agent == "virtual":
        it.set(virtual_mailbox_maps=it.table("hash", "vmailbox", _VMAILBOX))


_VMAILBOX = """\
bob@example.com example.com/bob/
ann@example.com example.com/ann/
joe@example.net example.net/joe/
"""
_VALIAS = """\
bob@example.com bob@example.com
ann@example.com ann@example.com
joe@example.net joe@example.net
postmaster@example.com ann@example.com
sales@example.com bob@example.com, ann@example.com
@example.net joe@example.net
"""


def _settles(it: Site) -> None:
    """Have every text in a store, and /etc/postfix elsewhere."""
    store, conf = it.root / "store", it.root / "conf"
    store.mkdir()
    it.etc.rename(conf)
    it.etc.symlink_to(conf)
    for path in list(conf.iterdir()):
        if path.suffix != ".db":
            _put(path, store)


def _put(path: Path, store: Path) -> None:
    kept = path.rename(store / f"0q1w2e3r4t5y6u7i8o9p-{path.name}")
    kept.chmod(0o444)
    os.utime(kept, (1, 1))
    path.symlink_to(kept)


SHAPES = (
    Shape(
        "NixOS",
        _makes,
        {
            "bob@example.com": "example.com/bob/",
            "ann@example.com": "example.com/ann/",
            "joe@example.net": "example.net/joe/",
        },
        {
            "bob+news@example.com": ["bob+news@example.com"],
            "postmaster@example.com": ["ann@example.com"],
            "sales@example.com": ["bob@example.com", "ann@example.com"],
            "who.ever@example.net": ["joe@example.net"],
        },
        ["nobody@example.com"],
        own_agent="lmtp:unix:/run/dovecot2/dovecot-lmtp",
        settles=_settles,
    ),
)
