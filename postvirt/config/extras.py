"""How to install what postvirt can do without: its extras.

Debian's package of postvirt uses Debian's packages, whose Python refuses pip.

Raises: nothing.
"""

from __future__ import annotations

# Where Debian's packages are.
_DEBIAN = "/usr/lib/python3/dist-packages/"

_PACKAGES = {
    "idna": "python3-idna",
    "ldap": "python3-ldap",
    "lmdb": "python3-lmdb",
    "metrics": "python3-prometheus-client",
    "mongodb": "python3-pymongo",  # 4.9 or newer
    "mysql": "python3-pymysql",
    "pgsql": "python3-psycopg",
}

# What pip requires, where no wheel of the driver is published.
_TO_COMPILE = {"ldap": "gcc python3-dev libldap-dev libsasl2-dev"}


def to_install(extra: str) -> str:
    """The command that installs an extra."""
    if extra in _PACKAGES and __file__.startswith(_DEBIAN):
        return f"apt install {_PACKAGES[extra]}"
    before = f"apt install {_TO_COMPILE[extra]} && " if extra in _TO_COMPILE else ""
    return f"{before}pip install 'postvirt[{extra}]'"
