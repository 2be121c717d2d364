"""How an ldap: table connects to its servers.

Parity: dict_ldap_connect() of src/global/dict_ldap.c, and what dict_ldap_open() reads
    for it.
Differs: No default LDAP server. An `ldap:` table whose server_host contains no usable
    server is unavailable; virtual(8) asks the default server of the library.
Differs: sasl_minssf. The parameter sasl_minssf of `ldap:` tables has its effect; in
    Postfix it does not reach the library.
Differs: Time for TLS to LDAP servers. To connect to an LDAP server with TLS may take
    twice `timeout`. With `ldaps:` and Debian's libldap 2.5, Postfix waits without
    limit.
Differs: LDAP referrals. If chase_referrals is set, and a server refers to one that is
    down, a key that is not found defers mail; in Postfix it is "not found", and mail
    bounces.
Differs: Kerberos caches. `ldap:` tables cannot log in with credentials from a cache of
    the type KEYRING, which is in the kernel: workers are refused its keys. FILE and DIR
    caches work as in Postfix.
Raises: TableError for parameters that cannot be used.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import ldap
import ldap.sasl

from postvirt.config.lists import words
from postvirt.errors import TableError
from postvirt.tables.complaint import Complaint, Kind
from postvirt.tables.context import TableContext
from postvirt.tables.databases.answer_limits import one_line
from postvirt.tables.databases.cf_file import CfParameters

_BINDS = {"no": "", "none": "", "yes": "simple", "simple": "simple", "sasl": "sasl"}
# A server whose machine has died is noticed within a minute, whatever is waited for.
_KEEP_ALIVE = (
    (ldap.OPT_X_KEEPALIVE_IDLE, 30),
    (ldap.OPT_X_KEEPALIVE_PROBES, 3),
    (ldap.OPT_X_KEEPALIVE_INTERVAL, 10),
)
# The function of Postfix that warns about parameters.
_OPENER = "dict_ldap_open"
_TLS_TEXTS = {
    ldap.OPT_X_TLS_RANDOM_FILE: "tls_random_file",
    ldap.OPT_X_TLS_CACERTFILE: "tls_ca_cert_file",
    ldap.OPT_X_TLS_CACERTDIR: "tls_ca_cert_dir",
    ldap.OPT_X_TLS_CERTFILE: "tls_cert",
    ldap.OPT_X_TLS_KEYFILE: "tls_key",
    ldap.OPT_X_TLS_CIPHER_SUITE: "tls_cipher_suite",
}


def is_url(host: str) -> bool:
    """Whether this is an LDAP URL, and not the name of a host or an entry."""
    return host.lower().startswith(("ldap://", "ldaps://", "ldapi://"))


class Directory(NamedTuple):
    """How to connect.

    urls      separated by blanks
    bind      "", "simple" or "sasl"
    chases    whether the library follows referrals
    has_tls   whether a TLS handshake is a part of connecting
    options   pairs of a number of libldap's and a value, in the order to set them
    """

    urls: str
    timeout_seconds: int
    bind: str
    bind_dn: str
    bind_pw: str
    sasl: dict[int, str]
    sasl_mechs: str
    start_tls: bool
    chases: bool
    has_tls: bool
    options: tuple[tuple[int, str | int], ...]

    def __repr__(self) -> str:
        """Without the password."""
        return f"<Directory {self.urls}>"

    @classmethod
    def of(
        cls, title: str, parameters: CfParameters, context: TableContext
    ) -> Directory:
        """As the parameters say; the context is told what is odd in them."""
        urls = _urls(title, parameters, context)
        bind = parameters.text("bind", "yes", minimum=1)
        if bind.lower() not in _BINDS:
            raise TableError(f"{title}: unsupported parameter value: bind = {bind}")
        start_tls = parameters.boolean("start_tls", default=False)
        timeout_seconds = parameters.integer("timeout", 10, minimum=1)
        version = _version(parameters, urls, context, start_tls=start_tls)
        chases = parameters.boolean("chase_referrals", default=False)
        options: list[tuple[int, str | int]] = [
            (ldap.OPT_NETWORK_TIMEOUT, timeout_seconds),
            (ldap.OPT_TIMEOUT, timeout_seconds),
            (ldap.OPT_PROTOCOL_VERSION, version),
            (ldap.OPT_DEREF, _dereference(parameters, context)),
            (ldap.OPT_REFERRALS, int(chases)),
            *_KEEP_ALIVE,
        ]
        tls_options = _tls_options(parameters)
        has_tls = start_tls or any(url.lower().startswith("ldaps:") for url in urls)
        if has_tls:
            options += tls_options
        if _BINDS[bind.lower()] == "sasl":
            minssf = parameters.integer("sasl_minssf", 0, maximum=4096)
            options.append((ldap.OPT_X_SASL_SECPROPS, f"minssf={minssf}"))
        sasl = {
            ldap.sasl.CB_AUTHNAME: parameters.text("bind_dn"),
            ldap.sasl.CB_PASS: parameters.text("bind_pw"),
            ldap.sasl.CB_GETREALM: parameters.text("sasl_realm"),
            ldap.sasl.CB_USER: parameters.text("sasl_authz_id"),
        }
        return cls(
            urls=" ".join(urls),
            timeout_seconds=timeout_seconds,
            bind=_BINDS[bind.lower()],
            bind_dn=parameters.text("bind_dn"),
            bind_pw=parameters.text("bind_pw"),
            sasl={what: value for what, value in sasl.items() if value},
            sasl_mechs=parameters.text("sasl_mechs"),
            start_tls=start_tls,
            chases=chases,
            has_tls=has_tls,
            options=tuple(options),
        )

    def check_reference(self, url: str) -> None:
        """Connect to the server that another one refers to, as the library did.

        The library does not say whether it could. Raises ldap.LDAPError if not.
        """
        scheme, _, rest = url.partition("://")
        host = rest.partition("/")[0]
        if not host:
            return  # the same server
        connection = ldap.initialize(f"{scheme}://{host}")
        try:
            connection.set_option(ldap.OPT_NETWORK_TIMEOUT, self.timeout_seconds)
            message = connection.simple_bind()
            connection.result3(message, timeout=self.timeout_seconds)
        except (ldap.SERVER_DOWN, ldap.CONNECT_ERROR, ldap.TIMEOUT):
            raise
        except ldap.LDAPError:
            pass  # it is there, and says something
        finally:
            disconnect(connection)

    def connect(self) -> Any:
        """An open connection. Raises ldap.LDAPError, and ValueError for an option."""
        connection = ldap.initialize(self.urls)
        try:
            for option, value in self.options:
                connection.set_option(option, value)
            if self.start_tls:
                connection.start_tls_s()
            if self.bind == "simple":
                message = connection.simple_bind(self.bind_dn, self.bind_pw)
                connection.result3(message, timeout=self.timeout_seconds)
            elif self.bind == "sasl":
                connection.sasl_interactive_bind_s(
                    "", ldap.sasl.sasl(self.sasl, self.sasl_mechs)
                )
        except (ldap.LDAPError, ValueError):
            disconnect(connection)
            raise
        return connection


def disconnect(connection: Any) -> None:
    """Close a connection, which may be broken already."""
    try:
        connection.unbind_ext()
    except ldap.LDAPError:
        pass  # it was broken


def reason(error: Exception) -> str:
    """The message of the library, and that of the server."""
    if isinstance(error, (ldap.TIMEOUT, TimeoutError)):
        return "Timed out"  # the library has no message
    details = error.args[0] if error.args else None
    if not isinstance(details, dict):
        return one_line(str(error)) or type(error).__name__
    texts = [
        one_line(str(details[part])) for part in ("desc", "info") if part in details
    ]
    return ": ".join(dict.fromkeys(texts))


def _urls(title: str, parameters: CfParameters, context: TableContext) -> list[str]:
    """The servers in the form that the library wants."""
    port = parameters.integer("server_port", 389)
    urls = []
    for host in words(parameters.text("server_host", "localhost", minimum=1)):
        if not is_url(host):
            urls.append(f"ldap://{host}" if ":" in host else f"ldap://{host}:{port}")
            continue
        try:
            ldap.initialize(host)  # does not connect yet
            urls.append(host)
        except ldap.LDAPError:
            why = f"{title}: error parsing URL {host}; skipping"
            context.complain(Complaint(Kind.UNUSABLE, why, "error"))
    if not urls:
        raise TableError(f"{title}: server_host names no server")
    return urls


def _version(
    parameters: CfParameters,
    urls: list[str],
    context: TableContext,
    *,
    start_tls: bool,
) -> int:
    version = parameters.integer("version", 2, minimum=2)
    if version not in (2, 3):
        why = f"{warns(parameters)} Unknown version {version}, using 2."
        context.complain(Complaint(Kind.PARAMETER, why))
        version = 2
    newer = [
        f"URL scheme {scheme}"
        for scheme in (url.partition(":")[0] for url in urls)
        if scheme.lower() != "ldap"
    ]
    newer += ["start_tls"] if start_tls else []
    if version == 2 and newer:
        # As in Postfix, the file is named for one of the two.
        of = warns(parameters) if newer[0] == "start_tls" else f"{_OPENER}:"
        why = f"{of} {newer[0]} requires protocol version 3"
        context.complain(Complaint(Kind.PARAMETER, why))
        version = 3
    return version


def _dereference(parameters: CfParameters, context: TableContext) -> int:
    number = parameters.integer("dereference", 0)
    if number not in range(4):
        what = f"Unrecognized value {number} specified for dereference"
        why = f"{warns(parameters)} {what}; using 0"
        context.complain(Complaint(Kind.PARAMETER, why))
        return 0
    return number


def complain_of_cache(parameters: CfParameters, context: TableContext) -> None:
    """Complain of parameters that older versions of Postfix had.

    Raises: TableError for a value that they could not have.
    """
    is_set = {
        "cache": parameters.boolean("cache", default=False),
        "cache_expiry": parameters.integer("cache_expiry", -1) >= 0,
        "cache_size": parameters.integer("cache_size", -1) >= 0,
    }
    for name, is_one in is_set.items():
        if is_one:
            why = f"{warns(parameters)} ignoring {name}"
            context.complain(Complaint(Kind.IGNORED, why, file=parameters.name))


def warns(parameters: CfParameters) -> str:
    """What Postfix's warnings about parameters begin with."""
    return f"{_OPENER}: {parameters.name}"


def _tls_options(parameters: CfParameters) -> list[tuple[int, str | int]]:
    given = [(option, parameters.text(name)) for option, name in _TLS_TEXTS.items()]
    is_checked = parameters.boolean("tls_require_cert", default=False)
    demand = ldap.OPT_X_TLS_DEMAND if is_checked else ldap.OPT_X_TLS_NEVER
    return [
        *((option, value) for option, value in given if value),
        (ldap.OPT_X_TLS_REQUIRE_CERT, demand),
        # The last one makes the others take effect.
        (ldap.OPT_X_TLS_NEWCTX, 0),
    ]
