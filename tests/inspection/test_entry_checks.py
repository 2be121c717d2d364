"""All entries of the mailbox tables: which are looked at, and what is made of them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest

from postvirt.inspection.mailboxes.entries import recipient_of
from postvirt.inspection.problem import Problem
from postvirt.inspection.run import inspect, inspect_process
from postvirt.inspection.subject import Extent
from tests.harness.child import in_child, public_directory
from tests.harness.installations import Installation, problems_of


@pytest.fixture
def installation() -> Iterator[Installation]:
    with public_directory() as root:
        yield Installation(root / "instance")


def with_code(problems: list[Problem], code: str) -> list[Problem]:
    return [one for one in problems if one.code == code]


@pytest.mark.parametrize(
    ("key", "recipient"),
    [
        (b"bob@example.com", b"bob@example.com"),
        (b"@example.com", b"anybody@example.com"),
        (b'"bob \\"b\\" smith"@example.com', b'bob "b" smith@example.com'),
        (b'a"b@example.com', b'a"b@example.com'),
        (b"bob@home@example.com", b"bob@home@example.com"),
        (b"bob", b""),
        (b"example.com", b""),
        (b"bob@", b""),
        (b"", b""),
    ],
)
def test_the_recipient_of_a_key(key: bytes, recipient: bytes) -> None:
    assert recipient_of(key) == recipient


@pytest.mark.root
def test_a_thousand_different_causes_are_no_thousand_problems(
    installation: Installation,
) -> None:
    """Not bad numbers, nor directories, nor domains."""
    names = [f"user{n}@example{n}.com" for n in range(1200)]
    installation.mailboxes({name: f"{name}/x/" for name in names})
    bad = installation.table("uids", {name: f"x{name}" for name in names})
    installation.set(virtual_uid_maps=bad)
    counts = Counter(one.code for one in problems_of(installation))
    assert counts["PV210"] == 21
    assert counts["PV302"] == 21
    bad = installation.table("limits", {name: f"x{name}" for name in names})
    installation.set(virtual_uid_maps="static:5000", virtual_mailbox_limit_maps=bad)
    assert Counter(one.code for one in problems_of(installation))["PV422"] == 21
    installation.set(virtual_mailbox_limit_maps=None)
    for name in names:
        installation.directory(name, owner=(0, 0))
    counts = Counter(one.code for one in problems_of(installation))
    assert counts["PV203"] == 21


@pytest.mark.root
def test_a_sample_is_spread_over_the_table(installation: Installation) -> None:
    installation.mailboxes({f"u{n}@example.com": f"{n}/" for n in range(1000)})
    installation.give(installation.mail, (0, 0))
    seen: list[tuple[str, int, int]] = []

    def look() -> list[Problem]:
        extent = Extent(sample=10, progress=lambda *one: seen.append(one))
        return inspect(str(installation.etc), (), service_name="virtual", extent=extent)

    problems = in_child(look)
    [problem] = with_code(problems, "PV203")
    assert "10 mailboxes (u0@example.com, u100@example.com, " in problem.text
    [note] = with_code(problems, "PV209")
    assert "10 of 1000 entries" in note.text


@pytest.mark.root
def test_no_directory_is_given_away_by_a_sample(installation: Installation) -> None:
    """Others may use it who were not looked at."""
    names = [f"u{n}@example.com" for n in range(100)]
    installation.mailboxes({name: f"all/{name}/" for name in names})
    uids = installation.table("uids", dict.fromkeys(names, "5000"))
    installation.set(virtual_uid_maps=uids)
    installation.directory("all", owner=(0, 0))

    def commands(sample: int) -> tuple[str, ...]:
        etc, extent = str(installation.etc), Extent(sample=sample)
        problems = in_child(
            lambda: inspect(etc, (), service_name="virtual", extent=extent)
        )
        return with_code(problems, "PV203")[0].commands

    assert "chown --from=0 5000:5000 ." in commands(0)[0]
    assert "mkdir" not in commands(0)[0]
    assert "mkdir -m 700 ./u0@example.com" in commands(5)[0]


@pytest.mark.root
def test_services_with_the_same_settings_are_looked_at_once(
    installation: Installation,
) -> None:
    installation.mailboxes({f"u{n}@example.com": f"{n}/" for n in range(1000)})
    installation.set(virtual_mailbox_base=str(installation.mail))
    other = f"{installation.root}/none"
    installation.master_cf(
        "one unix - n n - - virtual\ntwo unix - n n - - virtual\n"
        f"three unix - n n - - virtual -o virtual_mailbox_base={other}\n"
    )

    def look() -> int:
        seen: list[int] = []
        extent = Extent(progress=lambda what, done, total: seen.append(done))
        inspect(str(installation.etc), (), service_name="virtual", extent=extent)
        return seen.count(1000)

    assert in_child(look) == 2


@pytest.mark.root
def test_progress_is_told(installation: Installation) -> None:
    installation.mailboxes({f"u{n}@example.com": f"{n}/" for n in range(2500)})

    def look() -> list[tuple[str, int, int]]:
        seen: list[tuple[str, int, int]] = []
        extent = Extent(progress=lambda *one: seen.append(one))
        inspect(str(installation.etc), (), service_name="virtual", extent=extent)
        return seen

    table = f"texthash:{installation.etc}/mailboxes"
    assert in_child(look) == [(table, 1000, 2500), (table, 2000, 2500), (table, 0, 0)]


@pytest.mark.root
def test_a_table_that_cannot_be_listed_is_said_and_asked_once(
    installation: Installation,
) -> None:
    patterns = installation.table("patterns", {"/^(.*)@example.com$/": "boxes/all/"})
    installation.set(virtual_mailbox_maps=patterns.replace("texthash", "regexp"))
    installation.directory("boxes", owner=(0, 0))
    problems = problems_of(installation)
    [note] = with_code(problems, "PV209")
    assert "cannot be listed" in note.text
    [problem] = with_code(problems, "PV203")
    assert "postmaster@example.com" in problem.text


@pytest.mark.root
@pytest.mark.postfix
@pytest.mark.parametrize("kind", ["hash", "btree", "lmdb", "cdb"])
def test_an_index(installation: Installation, kind: str) -> None:
    entries = {f"u{n}@example.com": "u/" if n % 2 else "v" for n in range(3000)}
    installation.mailboxes(entries, kind=kind)
    installation.give(installation.mail, (0, 0))
    problems = with_code(problems_of(installation), "PV203")
    assert len(problems) == 1
    assert "3000 mailboxes" in problems[0].text


@pytest.mark.root
def test_without_the_rights_to_act_as_others(installation: Installation) -> None:
    """What cannot be known is said; nothing else is claimed."""

    def look() -> list[Problem]:
        os.setgid(4998)
        os.setuid(4999)
        return inspect(str(installation.etc), (), service_name="virtual")

    problems = in_child(look)
    assert [one.code for one in problems if one.severity != "info"] == []
    [note] = with_code(problems, "PV208")
    assert "2 mailboxes of other users" in note.text
    assert note.remedy == "run this as root"


@pytest.mark.root
def test_hostile_values(installation: Installation) -> None:
    entries = {
        "esc@example.com": "\x1b[31m/red/",
        "long@example.com": "x" * 5000,
        "dots@example.com": "./././a/",
        "\udcff@example.com": "\udcff/",
    }
    installation.set(smtputf8_enable="no")
    installation.mailboxes(entries)
    problems = problems_of(installation)
    assert {one.code for one in problems if one.severity == "error"} == {"PV206"}
    assert "File name too long" in with_code(problems, "PV206")[0].text


@pytest.mark.root
def test_a_mistake_in_an_entry_is_no_reason_to_refuse_a_reload(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.give(installation.mail, (0, 0))
    installation.set(virtual_uid_maps="static:many")
    monkeypatch.setenv("MAIL_CONFIG", str(installation.etc))
    names = {"process_name": "postvirt", "service_name": "virtual"}
    assert in_child(lambda: inspect_process((), **names)) == []
    assert with_code(problems_of(installation), "PV210")


@pytest.mark.root
def test_numbers_without_end(installation: Installation) -> None:
    installation.set(virtual_uid_maps="static:" + "9" * 5000)
    [problem] = with_code(problems_of(installation), "PV210")
    assert problem.severity == "error"


@pytest.mark.postfix
def test_a_damaged_index(installation: Installation) -> None:
    """It can be opened, and not be read."""
    entries = {f"u{n}@example.com": f"{n}/" for n in range(3000)}
    installation.mailboxes(entries, kind="cdb")
    path = installation.etc / "mailboxes.cdb"
    damaged = bytearray(path.read_bytes())
    begin = len(damaged) // 4
    damaged[begin : begin + 1000] = b"\xff" * 1000
    path.write_bytes(damaged)
    assert with_code(problems_of(installation), "PV216")
