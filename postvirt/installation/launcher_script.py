"""The launcher: the script that master(8) starts as `virtual`.

It is a file and not a link: postfix(1) warns about links that leave the directory, and
security labels belong to files. It is tried before it is put in place.

Raises: ConfigError when the launcher does not work.
Security: the launcher runs as root, so Python must not load modules from the directory
of the script, from a home directory, or from where its environment says (-I).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from postvirt.errors import ConfigError
from postvirt.installation.programs import LAUNCHER_IMPORT
from postvirt.system.log import errno_text
from postvirt.system.run_program import run_program

_SCRIPT = """\
#!{python} -I
# Put here by `postvirt install`. `postvirt uninstall` brings back virtual.genuine.
import sys

{import_main}

sys.exit(main())
"""
_PATIENCE_SECONDS = 60


def launcher_script() -> bytes:
    """The content of a launcher for this Python."""
    script = _SCRIPT.format(python=sys.executable, import_main=LAUNCHER_IMPORT)
    return os.fsencode(script)


def try_launcher(launcher: Path, config_directory: str) -> None:
    """Let a launcher serve a client that disconnects at once."""
    does_not_start = f"postvirt does not start from {launcher.parent}"
    try:
        done = run_program(
            [str(launcher), "-S", "-V", "-n", "virtual"],
            patience_seconds=_PATIENCE_SECONDS,
            environment={"MAIL_CONFIG": config_directory, "LANG": "C"},
        )
    except TimeoutError:
        raise ConfigError(
            f"{does_not_start}: no end after {_PATIENCE_SECONDS} seconds"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{does_not_start}: {errno_text(error)}",
            remedy=f"{sys.executable} must exist, without spaces in its path, and "
            "neither it nor the launcher may be on a file system mounted noexec",
        ) from None
    if done.status != 0:
        errors = done.errors.decode(errors="replace").strip()
        raise ConfigError(
            f"{does_not_start}: {errors}", remedy="run postvirt check-config"
        )
