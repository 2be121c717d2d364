"""A Postfix that was built with other defaults, as far as postconf(1) tells them."""

from __future__ import annotations

from pathlib import Path

# What Debian's Postfix is built with.
DEBIAN = {
    "command_directory": "/usr/sbin",
    "config_directory": "/etc/postfix",
    "daemon_directory": "/usr/lib/postfix/sbin",
    "data_directory": "/var/lib/postfix",
    "default_database_type": "hash",
    "mail_owner": "postfix",
    "meta_directory": "/etc/postfix",
    "queue_directory": "/var/spool/postfix",
    "setgid_group": "postdrop",
}
_SCRIPT = """\
#!/bin/sh
for name; do
    case $name in
%s    -*) ;;
    *) echo "$0: warning: $name: unknown parameter" >&2 ;;
    esac
done
"""


def add_postconf(directory: Path, **defaults: str) -> str:
    """Make a command_directory whose postconf(1) has these defaults, else Debian's."""
    directory.mkdir(exist_ok=True)
    values = DEBIAN | defaults
    cases = (f"    {name}) echo '{name} = {values[name]}' ;;\n" for name in values)
    program = directory / "postconf"
    program.write_text(_SCRIPT % "".join(cases))
    program.chmod(0o755)
    return str(directory)
