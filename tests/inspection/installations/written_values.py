"""How values are written: with comments behind them."""

from __future__ import annotations

from tests.harness.installations import Broken, Change, Installation, Sound

VIRTUAL = "virtual unix - n n - - virtual"
SMTP = "smtp inet n - n - - smtpd"


def commented(**values: str) -> Broken:
    """A value with a comment behind it."""
    ((name, value),) = values.items()
    return Broken(
        f"a comment behind the value of {name}",
        "PV015",
        lambda it: it.set(**values),
        severity="error" if name in STOPPING else "warning",
        says=[f'"{value[value.rindex("#") :]}" is not a comment', "postconf"],
        needs="postfix",
    )


STOPPING = ("virtual_minimum_uid", "virtual_mailbox_maps", "soft_bounce")


def lines(text: str) -> Change:
    """Add lines to main.cf, as they are."""

    def change(it: Installation) -> None:
        it.set()
        with (it.etc / "main.cf").open("a") as file:
            file.write(text)

    return change


LIST = """smtpd_recipient_restrictions =
    permit_mynetworks, # our networks
    # a comment
    reject_unauth_destination
"""

BROKEN = (
    commented(virtual_minimum_uid="100 # lowest"),
    commented(soft_bounce="no   #"),
    commented(virtual_mailbox_domains="example.com # ours"),
    commented(virtual_mailbox_maps="static:example.com/bob/ # all mail"),
    commented(virtual_transport="virtual # local"),
    commented(virtual_mailbox_base="/ # all"),
    commented(relayhost="# none"),
    commented(mynetworks="127.0.0.0/8 [::1]/128 #local"),
    commented(smtpd_client_restrictions="check_client_access inline:{a={# b}} # c"),
    Broken(
        "a comment in the middle of a list",
        "PV015",
        lines(LIST),
        lines(LIST.replace("# our networks", "")),
        severity="warning",
        says=['smtpd_recipient_restrictions: "# our networks"', "a line of its own"],
    ),
    Broken(
        "a comment behind a value of the user's own",
        "PV015",
        lambda it: it.set(domains="example.com # ours", relay_domains="$domains"),
        severity="warning",
        needs="postfix",
    ),
    Broken(
        "a comment behind an option",
        "PV015",
        lambda it: it.master_cf(
            f"{VIRTUAL}\n{SMTP} -o smtpd_tls_wrappermode=yes # TLS\n"
        ),
        lambda it: it.master_cf(f"{VIRTUAL}\n{SMTP} -o smtpd_tls_wrappermode=yes\n"),
        severity="warning",
        says=['smtp: "# TLS" is not a comment'],
    ),
    Broken(
        "a comment behind the delivery agent",
        "PV015",
        lambda it: it.master_cf(f"{VIRTUAL} # agent\n"),
        lambda it: it.master_cf(f"{VIRTUAL}\n# agent\n"),
        severity="warning",
        says=['virtual: "# agent" is not a comment'],
    ),
    Broken(
        "a comment in braces in master.cf",
        "PV015",
        lambda it: it.master_cf(
            f"{VIRTUAL}\n  -o {{ virtual_mailbox_lock = fcntl # as Dovecot }}\n"
        ),
        lambda it: it.master_cf(
            f"{VIRTUAL}\n  -o {{ virtual_mailbox_lock = fcntl }}\n"
        ),
        says=['virtual: virtual_mailbox_lock: "# as Dovecot" is not a comment'],
    ),
)


def number_signs(it: Installation) -> None:
    """Where "#" is what it seems."""
    it.master_cf(
        f"# the agent # here\n{VIRTUAL}\n# and\n  -o soft_bounce=no\n  # one # more\n"
        f"{SMTP} -o smtpd_banner=a#b -o {{ smtpd_reject_footer = call # 5 }}\n"
        "vac unix - n n - - pipe user=nobody argv=/bin/true a#b\n"
    )
    it.set(
        virtual_mailbox_base=str(it.directory("a#b")),
        smtpd_banner="$myhostname ESMTP # 1 mail server",
        smtpd_reject_footer="$contact",
        contact="call us: # 555",
        recipient_delimiter="#",
        queue_run_delay="5m # works, because Postfix reads no further than the unit",
        smtpd_helo_restrictions="check_helo_access pcre:{ { /^a # b/ REJECT # c } }",
        canonical_maps="regexp:/etc/postfix/a#b, inline:{ { a = # b } }",
        header_checks="pcre:{{/x # y/ IGNORE}}",
        mydestination="\n    # a list # of\n    $myhostname\n    # nothing else\n   ",
        transport_maps="sqlite:routes",
        routes_dbpath="/none",
        routes_query="SELECT 1 # one",
    )


SOUND = (
    Sound(
        "number signs that begin no comment",
        number_signs,
        silent=["PV015"],
    ),
)
