"""postvirt demo: it shows what it should, and leaves nothing behind."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.cli.conftest import Run


def instances() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("postvirt-demo-*"))


@pytest.mark.parametrize(
    "option",
    [
        pytest.param([], id="with-standins"),
        pytest.param(["--postfix"], id="with-postfix", marks=pytest.mark.postfix),
    ],
)
def test_everything_arrives(postvirt: Run, option: list[str]) -> None:
    before = instances()
    done = postvirt("demo", *option)
    output = done.stdout.decode()
    assert done.returncode == 0, output + done.stderr.decode()
    assert output.endswith("\n6 delivered, 1 bounced: as it should be\n")
    assert 'status=bounced (unknown user: "nobody@example.com")' in output
    assert instances() == before
