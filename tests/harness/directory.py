"""A real OpenLDAP server, and the entries in its directory.

An entry has its addresses in `description`, its path in `street`. Groups have names of
other entries in `seeAlso` and URLs in `labeledURI`; `title` is for terminal attributes,
`roomNumber` for leaf attributes. Only ou=public may be read without logging in.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence

from tests.harness.databases import (
    MULTIPLE,
    ROWS,
    SECRET,
    Server,
    driver,
    make_certificates,
    program,
)
from tests.harness.ports import free_port

TOP = "dc=example,dc=com"
READER = f"cn=reader,{TOP}"
# Nothing is below it at first, and who logs in as this may do everything there.
HOSTING = "dc=hosting,dc=example"

# What mail server bundles add to the schemas that everybody has.
_WORDS = (
    *("accountStatus", "enabledService", "shadowAddress", "mailForwardingAddress"),
    *("mailMessageStore", "domainName", "domainStatus", "mailQuota"),
)
_MAIL_USERS = (
    *(
        f"attributetype ( 1.1.2.1.{number} NAME '{name}' EQUALITY caseIgnoreIA5Match"
        " SUBSTR caseIgnoreIA5SubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.26 )"
        for number, name in enumerate(_WORDS)
    ),
    f"objectclass ( 1.1.2.2.1 NAME 'mailUser' AUXILIARY MAY ( {' $ '.join(_WORDS)} ) )",
    "objectclass ( 1.1.2.2.2 NAME 'mailDomain' MUST domainName MAY accountStatus )",
)

# Local parts that are hard to quote in the name of an entry.
ODD_NAMES = [
    "plain",
    " blank ",
    "#hash",
    "a,ou=public",
    "a+cn=b",
    'q"uote',
    "<less>",
    "semi;colon",
    "back\\slash",
    "\\2c",
    "equal=s",
    "*",
    "straße",
]

Attributes = Mapping[str, Sequence[str]]


class Slapd(Server):
    """OpenLDAP with a tree for tables.

    secure_port   for ldaps; the certificate of the server is for 127.0.0.1
    """

    ready = b"slapd starting"

    def prepare(self) -> None:
        self.secure_port = free_port()
        schemas = ("core", "cosine", "inetorgperson", "nis")
        lines = [
            *(f"include /etc/ldap/schema/{name}.schema" for name in schemas),
            *_MAIL_USERS,
            "modulepath /usr/lib/ldap",
            "moduleload back_mdb",
            "allow bind_v2",
            # Only EXTERNAL is left, whatever mechanisms the machine has.
            "sasl-secprops noanonymous,noplain,nodict",
            f"TLSCACertificateFile {self.directory}/ca.pem",
            f"TLSCertificateFile {self.directory}/server.pem",
            f"TLSCertificateKeyFile {self.directory}/server.key",
            "TLSVerifyClient try",
            "database mdb",
            f"suffix {TOP}",
            f"directory {self.directory}/data",
            "dbnosync",
            "access to attrs=userPassword by anonymous auth by * none",
            f"access to dn.subtree=ou=public,{TOP} by * read",
            "access to * by anonymous none by * read",
            "database mdb",
            f"suffix {HOSTING}",
            f"directory {self.directory}/hosting",
            "dbnosync",
            f"rootdn {HOSTING}",
            f"rootpw {SECRET}",
        ]
        (self.directory / "data").mkdir()
        (self.directory / "hosting").mkdir()
        (self.directory / "slapd.conf").write_text("\n".join(lines) + "\n")
        tree = "\n".join(_ldif(*entry) for entry in _entries(self.url))
        (self.directory / "tree.ldif").write_text(tree)
        make_certificates(self.directory, "IP:127.0.0.1")
        self.give_away()
        self.run(program("slapadd"), "-q", "-f", "slapd.conf", "-l", "tree.ldif")

    @property
    def url(self) -> str:
        return f"ldap://127.0.0.1:{self.port}"

    @property
    def secure_url(self) -> str:
        return f"ldaps://127.0.0.1:{self.secure_port}"

    @property
    def socket_url(self) -> str:
        return "ldapi://" + f"{self.directory}/sock".replace("/", "%2F")

    def command(self) -> Sequence[str]:
        config = f"{self.directory}/slapd.conf"
        urls = f"{self.url} {self.secure_url} {self.socket_url}"
        return [program("slapd"), "-f", config, "-h", urls, "-d", "0x8100"]

    def setup(self) -> None:
        top = {
            "objectClass": ["dcObject", "organization"],
            "o": ["x"],
            "dc": ["hosting"],
        }
        self.host({HOSTING: top})

    def host(self, entries: Mapping[str, Attributes]) -> None:
        """Add entries below HOSTING, parents first."""
        ldap = driver("ldap")
        client = ldap.initialize(self.url)
        client.simple_bind_s(HOSTING, SECRET)
        for name, attributes in entries.items():
            values = {k: [one.encode() for one in v] for k, v in attributes.items()}
            client.add_s(name, list(values.items()))
        client.unbind_s()


def _entries(url: str) -> Iterator[tuple[str, Attributes]]:
    """Name and attributes of each entry, parents first."""
    yield TOP, {"objectClass": ["dcObject", "organization"], "o": ["x"]}
    yield READER, {"userPassword": [SECRET]}
    for number, (address, path) in enumerate(ROWS.items()):
        paths = [path] if isinstance(path, str) and path else []
        yield f"cn=row{number},{TOP}", {"description": [address], "street": paths}
    for number, path in enumerate(path for path in MULTIPLE if path):
        yield (
            f"cn=multi{number},{TOP}",
            {"description": ["multi@example.com"], "street": [path]},
        )
    yield f"cn=two,{TOP}", {"description": ["two@x"], "street": ["1/", "2/"]}
    yield f"cn=utf8,{TOP}", {"description": ["straße@example.com"], "street": ["ß/"]}
    yield f"cn=language,{TOP}", {"description": ["lang@x"], "street;lang-de": ["de/"]}
    yield from _groups()
    yield from _places(url)
    people = f"ou=people,{TOP}"
    yield people, {"objectClass": ["organizationalUnit"]}
    for name in ODD_NAMES:
        quoted = "".join(c if c.isalpha() else _quoted(c) for c in name)
        yield f"uid={quoted},{people}", {"uid": [name], "street": [f"{name}/"]}


def _groups() -> Iterator[tuple[str, Attributes]]:
    """Entries that lead to others."""
    group = {"street": ["own/"], "roomNumber": ["leaf/"]}
    for name, attributes in {
        "group": {"seeAlso": [f"cn={name},{TOP}" for name in ("row0", "no", "inner")]},
        "inner": {"labeledURI": [f"ldap:///{TOP}?street?sub?(description=two@x)"]},
        "terminal": {"title": ["end/"], "seeAlso": [f"cn=row0,{TOP}"]},
        "leaf": {},
    }.items():
        yield (
            f"cn={name},{TOP}",
            {**group, "description": [f"{name}@x", "groups@x"], **attributes},
        )
    for name, links in {
        "loop": [f"cn=loop,{TOP}"],
        "pair": [f"cn=pair,{TOP}", f"cn=two,{TOP}", f"cn=pair,{TOP}"],
    }.items():
        yield (
            f"cn={name},{TOP}",
            {"description": [f"{name}@x"], "street": ["again/"], "seeAlso": links},
        )
    for name, urls in {
        "urls": [
            f"ldap:///{TOP}?sn?sub?(description=two@x)",
            f"ldap:///cn=row0,{TOP}",
            f"LDAP://other/{TOP}?STREET;lang-de?One?(description=lang@x)",
            f"ldaps:///{TOP}?cn,street?subtree?(description=stra%C3%9Fe@*)",
            f"ldap:///cn=none,{TOP}?street",
        ],
        "scope": [f"ldap:///{TOP}?street?nonsense?(cn=row0)"],
        "extension": [f"ldap:///{TOP}?street?sub?(cn=row0)?"],
        "bytes": [f"ldap:///{TOP}?street?sub?(cn=%FF)"],
        "filter": [f"ldap:///{TOP}?street?sub?(cn=row0"],
    }.items():
        yield (
            f"cn={name},{TOP}",
            {"description": [f"{name}@x"], "labeledURI": urls},
        )


def _places(url: str) -> Iterator[tuple[str, Attributes]]:
    """Entries that matter by where they are."""
    unit = ["organizationalUnit"]
    for place in ("public", "referrals", "aliases"):
        yield f"ou={place},{TOP}", {"objectClass": unit}
    found = {"description": ["open@x"], "street": ["open/"]}
    yield f"cn=open,ou=public,{TOP}", found
    yield (
        f"cn=away,ou=referrals,{TOP}",
        {
            "objectClass": ["referral", "extensibleObject"],
            "ref": [f"{url}/ou=public,{TOP}??sub"],
        },
    )
    for name, aliased in {
        f"cn=alias,ou=aliases,{TOP}": f"cn=open,ou=public,{TOP}",
        f"ou=pointer,{TOP}": f"ou=public,{TOP}",
    }.items():
        yield (
            name,
            {
                "objectClass": ["alias", "extensibleObject"],
                "aliasedObjectName": [aliased],
            },
        )


def _quoted(character: str) -> str:
    return "".join(f"\\{byte:02x}" for byte in character.encode())


def _ldif(name: str, given: Attributes) -> str:
    attributes = {"objectClass": ["inetOrgPerson"], "sn": ["x"]} | dict(given)
    if "objectClass" in given:
        del attributes["sn"]
    naming, _, value = name.split(",", maxsplit=1)[0].partition("=")
    attributes.setdefault(naming, [value])
    if "sn" in attributes:
        attributes.setdefault("cn", ["x"])
    lines = [f"dn:: {_base64(name)}"]
    for attribute, values in attributes.items():
        lines += [f"{attribute}:: {_base64(one)}" for one in values]
    return "\n".join(lines) + "\n"


def _base64(value: str) -> str:
    return base64.b64encode(value.encode()).decode()
