"""Parameters of tables in main.cf: NAME_dbpath and so on configure `sqlite:NAME`.

A table of these types can also have a configuration file, `sqlite:/FILE`.

Parity: src/postconf/postconf_dbms.c and, for the names, dict_ldap.c, dict_memcache.c,
dict_mysql.c, dict_pgsql.c and dict_sqlite.c in src/global.
Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from postvirt.config.braces import braced
from postvirt.config.lists import split

_SQL = "additional_conditions domain expansion_limit query result_format select_field"
_SQL += " table where_field"

SUFFIXES: dict[str, frozenset[str]] = {
    "ldap": frozenset(
        "bind bind_dn bind_pw cache cache_expiry cache_size chase_referrals debuglevel"
        " dereference domain expansion_limit leaf_result_attribute query_filter"
        " recursion_limit result_attribute result_filter result_format sasl_authz_id"
        " sasl_mechs sasl_minssf sasl_realm scope search_base server_host server_port"
        " size_limit special_result_attribute start_tls terminal_result_attribute"
        " timeout tls_ca_cert_dir tls_ca_cert_file tls_cert tls_cipher_suite tls_key"
        " tls_random_file tls_require_cert version".split()
    ),
    "memcache": frozenset(
        "backup data_size_limit domain flags key_format line_size_limit max_try"
        " memcache retry_pause timeout ttl".split()
    ),
    "mysql": frozenset(
        f"{_SQL} dbname hosts option_file option_group password require_result_set"
        " tls_CAfile tls_CApath tls_cert_file tls_ciphers tls_key_file"
        " tls_verify_cert user".split()
    ),
    "pgsql": frozenset(f"{_SQL} dbname hosts password select_function user".split()),
    "sqlite": frozenset(f"{_SQL} dbpath".split()),
}


def tables_in(value: str, warn: Callable[[str], object]) -> Iterator[tuple[str, str]]:
    """Type and name of the tables of these types in an expanded value.

    The value need not be a list of tables: any text that looks like a table counts.
    warn    receives Postfix's text about unbalanced braces
    """
    for item in split(value):
        type_, colon, name = ("", "", item)
        if not item.startswith("{"):
            type_, colon, name = item.partition(":")
        while type_ == "proxy" and colon:
            type_, colon, name = name.partition(":")
        if name.startswith("{"):
            inside, problem = braced(name)
            if problem:
                warn(problem)
            yield from tables_in(inside, warn)
        elif type_ in SUFFIXES and colon and not name.startswith("."):
            yield type_, name
