"""How an extra is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from postvirt.config import extras
from tests.test_debian import CONTROL

DEBIAN = "/usr/lib/python3/dist-packages/postvirt/config/extras.py"


def test_a_virtual_environment_uses_pip():
    assert extras.to_install("mysql") == "pip install 'postvirt[mysql]'"


def test_what_pip_compiles_requires_headers():
    required = extras.to_install("ldap").removesuffix(
        " && pip install 'postvirt[ldap]'"
    )
    assert required == "apt install gcc python3-dev libldap-dev libsasl2-dev"


def test_the_debian_package_uses_apt(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(extras, "__file__", DEBIAN)
    assert extras.to_install("mysql") == "apt install python3-pymysql"
    assert extras.to_install("unknown") == "pip install 'postvirt[unknown]'"


def test_the_debian_package_suggests_what_it_says():
    control = Path(CONTROL).read_text()
    for package in extras._PACKAGES.values():
        assert f"\n {package}" in control.partition("\nRecommends:")[2]
