"""What Postfix has only since some version, with the version that is installed.

postvirt has all of it with every version. Where Postfix has it, too, both must agree;
where it has not, the version that is written here is the true one.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from postvirt.config.parameter_names import NEWER
from postvirt.tables import table_types
from tests.harness.installed_postfix import VERSION
from tests.harness.service import POSTVIRT

pytestmark = pytest.mark.postfix

# A value in main.cf, what it means, and the first version that knows it.
VALUES = {
    "levels": ("${{3.6} <level {3.10} ? {yes} : {no}}", "yes", (3, 6)),
    "domain_to_ascii": (
        "${domain_to_ascii{bücher.example}}",
        "xn--bcher-kva.example",
        (3, 11),
    ),
    "domain_to_utf8": (
        "${domain_to_utf8{xn--bcher-kva.example}}",
        "bücher.example",
        (3, 11),
    ),
}
# A table with "b" for "a".
TABLES = {
    "debug": ("debug:inline:{a=b}", (3, 11)),
    "redirected": ("hash:@/table", (3, 11)),
}


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """A configuration directory."""
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\n")
    (tmp_path / "master.cf").touch()
    return tmp_path


def said(*command: str | Path) -> str:
    """What a command writes to standard output."""
    done = subprocess.run(command, check=False, capture_output=True)
    return done.stdout.decode(errors="surrogateescape").strip()


def add(etc: Path, line: str) -> None:
    with (etc / "main.cf").open("a") as main_cf:
        main_cf.write(f"{line}\n")


@pytest.mark.parametrize(("value", "meaning", "since"), VALUES.values(), ids=VALUES)
def test_values(etc: Path, value: str, meaning: str, since: tuple[int, int]) -> None:
    add(etc, f"relayhost = {value}")
    question = ("-c", etc, "-hx", "relayhost")
    assert said(POSTVIRT, "config", *question) == meaning
    assert (said("postconf", *question) == meaning) == (since <= VERSION)


@pytest.mark.parametrize(("spec", "since"), TABLES.values(), ids=TABLES)
def test_tables(etc: Path, spec: str, since: tuple[int, int]) -> None:
    for name in ("dynamicmaps.cf", "dynamicmaps.cf.d"):
        (etc / name).symlink_to(Path("/etc/postfix", name))
    add(etc, "default_database_type = lmdb\nnon_bdb_migration_level = enable-redirect")
    (etc / "table").write_text("a b\n")
    subprocess.run(["postmap", "-c", etc, f"lmdb:{etc}/table"], check=True)
    spec = spec.replace("@", str(etc))
    assert said(POSTVIRT, "lookup", "-c", etc, spec, "a") == "b"
    assert (said("postmap", "-c", etc, "-q", "a", spec) == "b") == (since <= VERSION)


def test_parameters() -> None:
    names = {name for name in NEWER if not name.startswith("postvirt_")}
    known = {
        line.split(" =")[0] for line in said("postconf", "-d", *names).splitlines()
    }
    assert known == (names if VERSION >= (3, 11) else set())


def test_every_table_type_is_known(etc: Path) -> None:
    types = set(said("postconf", "-c", etc, "-m").split())
    known = {*table_types.TYPES, *table_types._INSTEAD, "proxy"}
    assert types - known == set()
    assert "mongodb" not in types or VERSION >= (3, 9)
