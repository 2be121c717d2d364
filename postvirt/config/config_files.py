"""main.cf, master.cf and the files of tables as they are read from the disk.

Parity: dict_load_file_xt in src/util/dict.c.
Raises: ConfigError when a file cannot be read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

from postvirt.config import main_cf
from postvirt.config.compiled_in import compiled_in
from postvirt.config.main_cf import MainCf
from postvirt.config.parameters import DEFAULT_DIRECTORY
from postvirt.errors import ConfigError
from postvirt.model.origin import Origin
from postvirt.model.text import text, wire
from postvirt.system.log import errno_text
from postvirt.system.settled_file import read_settled


def directory_of(config_directory: str | None) -> str:
    """The configuration directory; None means $MAIL_CONFIG, or else Postfix's default.

    That is mostly /etc/postfix. Only where it contains no main.cf, Postfix is asked.
    """
    named = config_directory or os.environ.get("MAIL_CONFIG")
    if named is not None:
        return named
    if os.path.exists(f"{DEFAULT_DIRECTORY}/main.cf"):
        return DEFAULT_DIRECTORY
    return compiled_in().get("config_directory", DEFAULT_DIRECTORY)


def read_main_cf(
    directory: str, known: Mapping[str, str], *, settled: bool = False
) -> MainCf:
    """The assignments of a main.cf, with their references, and its mistakes.

    known     what is set before main.cf is read; another value gives a warning
    settled   wait until no program is writing the file, as a Postfix daemon does
    Raises: ConfigError.
    """
    path = f"{directory}/main.cf"
    return main_cf.parse(text_of(path, settled=settled), path, known)


def read_table_file(path: str) -> MainCf | str | None:
    """The assignments of a file that configures a table; else Postfix's text.

    None when only the permission is missing, since such a file may contain a password.
    Raises: nothing.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return "not a regular file"
        return main_cf.parse(text(_read(wire(path))), path, {})
    except PermissionError:
        return None
    except OSError as error:
        return errno_text(error)


def read_myorigin(path: str) -> str:
    """The name in the file that myorigin refers to.

    Raises: ValueError with the text that Postfix calls fatal.
    """
    try:
        with open(path, "rb") as file:
            origin = text(file.readline()).strip(" \t\n\r\f\v")
    except OSError as error:
        message = f"{path}: cannot open file: {errno_text(error)}"
        raise ValueError(message) from None
    if not origin:
        raise ValueError(f"myorigin file {path} is empty")
    return origin


def text_of(path: str, *, settled: bool = False) -> str:
    """The text of main.cf or master.cf; settled as in `read_main_cf`.

    Raises: ConfigError.
    """
    read = read_settled if settled else _read
    try:
        return text(read(wire(path)))
    except OSError as error:
        # Only an error of open(2) names the file.
        step = "read" if error.filename is None else "open"
        message = f"{step} {path}: {errno_text(error)}"
        raise ConfigError(message, origin=Origin(path)) from None


def _read(path: bytes) -> bytes:
    with open(path, "rb") as file:
        return file.read()
