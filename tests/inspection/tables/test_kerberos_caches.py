"""Which ldap: tables log in with credentials that workers cannot read."""

from __future__ import annotations

from pathlib import Path

import pytest

from postvirt.inspection.tables import kerberos_caches
from postvirt.inspection.tables.kerberos_caches import check_kerberos
from tests.harness.installations import Installation, subject_of

KERBEROS = "bind = sasl\nsasl_mechs = GSSAPI\n"
IN_KERNEL = "[libdefaults]\n default_ccache_name = KEYRING:persistent:%{uid}\n"


@pytest.fixture
def krb5_conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "krb5.conf"
    monkeypatch.setattr(kerberos_caches, "KRB5_CONF", path)
    return path


def found(installation: Installation, parameters: str, **main_cf: str) -> list[str]:
    path = installation.etc / "people.cf"
    path.write_text(f"search_base = dc=example\n{parameters}")
    installation.set(virtual_mailbox_maps=f"ldap:{path}", **main_cf)
    return [one.text for one in check_kerberos(subject_of(installation))]


@pytest.mark.parametrize(
    ("parameters", "matters"),
    [
        (KERBEROS, True),
        ("bind = sasl\n", True),
        ("bind = sasl\nbind_pw = secret\n", False),
        ("bind = sasl\nsasl_mechs = PLAIN\n", False),
        ("bind = yes\n", False),
    ],
)
def test_the_tables_that_it_matters_for(
    installation: Installation, krb5_conf: Path, parameters: str, matters: bool
) -> None:
    krb5_conf.write_text(IN_KERNEL)
    assert bool(found(installation, parameters)) == matters


def test_the_environment_comes_first(
    installation: Installation, krb5_conf: Path
) -> None:
    krb5_conf.write_text(IN_KERNEL)
    (text,) = found(installation, KERBEROS)
    assert text.endswith(
        f"default_ccache_name of {krb5_conf} is KEYRING:persistent:%{{uid}}"
    )
    in_a_file = "LANG=C KRB5CCNAME=FILE:/var/lib/cache"
    assert found(installation, KERBEROS, import_environment=in_a_file) == []


def test_the_first_default_counts(
    installation: Installation, krb5_conf: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "krb5.conf.d"
    directory.mkdir()
    krb5_conf.write_text(f"includedir {directory}\n{IN_KERNEL}")
    assert found(installation, KERBEROS)
    (directory / "kcm").write_text("[libdefaults]\n default_ccache_name = KCM:\n")
    assert found(installation, KERBEROS) == []


def test_what_cannot_be_read_says_nothing(
    installation: Installation, krb5_conf: Path
) -> None:
    assert found(installation, KERBEROS) == []
    krb5_conf.write_text(f"include {krb5_conf}\n")  # for ever
    assert found(installation, KERBEROS) == []
