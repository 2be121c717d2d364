"""postvirt demo: it shows what it should, and leaves nothing behind."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Run
from tests.harness.child import public_directory


@pytest.mark.parametrize(
    "option",
    [
        pytest.param([], id="with-standins"),
        pytest.param(["--postfix"], id="with-postfix", marks=pytest.mark.postfix),
    ],
)
def test_everything_arrives(
    postvirt: Run, option: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with public_directory() as directory:
        monkeypatch.setenv("TMPDIR", str(directory))
        done = postvirt("demo", *option)
        left = list(directory.iterdir())
    output = done.stdout.decode()
    assert done.returncode == 0, output + done.stderr.decode()
    assert output.endswith("\n6 delivered, 1 bounced: as it should be\n")
    assert 'status=bounced (unknown user: "nobody@example.com")' in output
    assert left == []


def test_what_is_kept_is_named(postvirt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with public_directory() as directory:
        monkeypatch.setenv("TMPDIR", str(directory))
        done = postvirt("demo", "--keep")
        (kept,) = directory.iterdir()
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"\nThe instance is in {kept}\n" in done.stdout.decode()
