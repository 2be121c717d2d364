"""The ISPmail tutorial: domains, users and aliases in three tables of MariaDB.

A table tells that a user exists; where the mail is, Dovecot knows.
"""

from __future__ import annotations

from tests.harness.shapes import Shape, Site

_SCHEMA = """
CREATE TABLE virtual_domains (
    id int PRIMARY KEY AUTO_INCREMENT, name varchar(50) NOT NULL);
CREATE TABLE virtual_users (
    id int PRIMARY KEY AUTO_INCREMENT, domain_id int NOT NULL,
    email varchar(100) NOT NULL,
    password varchar(150) NOT NULL DEFAULT '!', quota bigint NOT NULL DEFAULT 0,
    UNIQUE KEY (email), FOREIGN KEY (domain_id) REFERENCES virtual_domains(id));
CREATE TABLE virtual_aliases (
    id int PRIMARY KEY AUTO_INCREMENT, domain_id int NOT NULL,
    source varchar(100) NOT NULL, destination varchar(100) NOT NULL,
    FOREIGN KEY (domain_id) REFERENCES virtual_domains(id));
INSERT INTO virtual_domains (name) VALUES ('example.com'), ('example.net');
INSERT INTO virtual_users (domain_id, email) VALUES
    (1, 'john@example.com'), (1, 'jane@example.com'), (2, 'kim@example.net');
INSERT INTO virtual_aliases (domain_id, source, destination) VALUES
    (1, 'jack@example.com', 'john@example.com'),
    (1, 'both@example.com', 'john@example.com'),
    (1, 'both@example.com', 'jane@example.com'),
    (2, '@example.net', 'kim@example.net');
"""


def _makes(it: Site) -> None:
    it.fill(_SCHEMA)
    value = (
        "CONCAT(SUBSTRING_INDEX(email, '@', -1), '/', '%u', '/Maildir/')"
        if it.agent == "virtual"
        else "1"
    )

    def table(name: str, query: str) -> str:
        return it.query(f"mysql-{name}.cf", query)

    it.set(
        mydestination="localhost",
        mynetworks="127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128",
        recipient_delimiter="+",
        virtual_mailbox_domains=table(
            "virtual-mailbox-domains", "SELECT 1 FROM virtual_domains WHERE name='%s'"
        ),
        virtual_mailbox_maps=table(
            "virtual-mailbox-maps",
            f"SELECT {value} FROM virtual_users WHERE email='%s'",
        ),
        virtual_alias_maps=",".join(
            (
                table(
                    "virtual-alias-maps",
                    "SELECT destination FROM virtual_aliases WHERE source='%s'",
                ),
                table(
                    "email2email", "SELECT email FROM virtual_users WHERE email='%s'"
                ),
            )
        ),
        smtpd_sender_login_maps=table(
            "sender-login", "SELECT email FROM virtual_users WHERE email='%s'"
        ),
        smtpd_milters="inet:127.0.0.1:11332",
        milter_mail_macros="i {mail_addr} {client_addr} {client_name} {auth_authen}",
        smtpd_recipient_restrictions="reject_unauth_destination"
        " check_policy_service unix:private/quota-status",
    )
    if it.agent == "virtual":
        it.set(
            virtual_mailbox_base=str(it.mail),
            virtual_uid_maps="static:5000",
            virtual_gid_maps="static:5000",
        )


SHAPES = (
    Shape(
        "the ISPmail tutorial",
        _makes,
        {
            "john@example.com": "example.com/john/Maildir/",
            "jane@example.com": "example.com/jane/Maildir/",
            "kim@example.net": "example.net/kim/Maildir/",
        },
        {
            "john+shop@example.com": ["john+shop@example.com"],
            "jack@example.com": ["john@example.com"],
            "both@example.com": ["john@example.com", "jane@example.com"],
            "who.ever@example.net": ["kim@example.net"],
        },
        ["nobody@example.com"],
        "mariadb",
        own_agent="lmtp:unix:private/dovecot-lmtp",
    ),
)
