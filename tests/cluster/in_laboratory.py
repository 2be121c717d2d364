"""Tests that run in a laboratory of their own.

    @in_laboratory
    def test_something(lab: Laboratory, kind: str) -> None: ...

Arguments that follow are for pytest.mark.parametrize, and texts.
"""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from tests.cluster.laboratory import inside_laboratory, laboratory, missing
from tests.harness import databases

_ROOT = Path(__file__).parents[2]
_SECONDS = 100.0

Test = Callable[..., None]
_inside: dict[str, Test] = {}


def in_laboratory(test: Test) -> Test:
    """Have a process of its own run the test, with a laboratory as first argument."""
    name = test.__name__
    _inside[name] = test
    path = Path(inspect.getfile(test)).relative_to(_ROOT)
    module = ".".join(path.with_suffix("").parts)

    def outside(**arguments: str) -> None:
        if reason := missing():
            databases.missing(reason)
        texts = [f"{name}={value}" for name, value in arguments.items()]
        done = subprocess.run(
            inside_laboratory([sys.executable, "-m", __name__, module, name, *texts]),
            cwd=_ROOT,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    signature = inspect.signature(test)
    _, *others = signature.parameters.values()
    outside.__signature__ = signature.replace(parameters=others)  # type: ignore[attr-defined]
    outside.__name__ = name
    outside.__doc__ = test.__doc__
    return outside


def main(module: str, name: str, *texts: str) -> None:
    """Run a test; this process is in the laboratory already."""
    import_module(module)
    arguments = dict(text.split("=", 1) for text in texts)
    # This module is another one there, because it is the main program here.
    test = import_module("tests.cluster.in_laboratory")._inside[name]
    with laboratory() as lab:
        test(lab, **arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
