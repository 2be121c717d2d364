"""Keep root's processes from loading code that variables of their environment name.

Python loads modules from the directories in PYTHONPATH, from the home directory and,
depending on how it is started, from the current directory. `python -I` does not. The
programs that postvirt starts, and the launcher, have this option.

The scripts that pip installs do not, so the commands check the environment themselves,
and start again without such variables.

Raises: nothing.
Security: what PYTHONPATH or the home directory makes Python load until `isolate` is
    called cannot be prevented here, nor can LD_PRELOAD: root's environment must be
    root's own, which sudo(8) and a login as root provide. But none of it remains in the
    command, in the service, or in a program that they start.
"""

from __future__ import annotations

import os
import site
import sys

# Usual in containers, and no reason to start twice.
_HARMLESS = (
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONFAULTHANDLER",
    "PYTHONHASHSEED",
    "PYTHONIOENCODING",
    "PYTHONUNBUFFERED",
    "PYTHONUTF8",
)


def isolate() -> None:
    """Start this program again as `python -I`, if it needs that and is root's.

    Root does not run a postvirt that only PYTHONPATH or a home directory contains.
    """
    if 0 not in (os.getuid(), os.geteuid()) or sys.flags.isolated:
        return
    variables = [
        name
        for name in os.environ
        if name.startswith("PYTHON") and name not in _HARMLESS
    ]
    if not variables and site.USER_SITE not in sys.path:
        return
    for directory in (*os.environ.get("PYTHONPATH", "").split(":"), site.USER_SITE):
        if directory and __file__.startswith(os.path.join(directory, "postvirt")):
            sys.exit(
                f"postvirt: installed in {directory}, which root does not load programs"
                " from: install it in a virtual environment, and unset PYTHONPATH"
            )
    for name in variables:
        del os.environ[name]
    os.execv(sys.executable, [sys.executable, "-I", *sys.orig_argv[1:]])
