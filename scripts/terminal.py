"""etc/terminal.svg: what check-config and explain say about two mistakes.

    unshare --mount .venv/bin/python scripts/terminal.py [--check]

Both commands run here, on a configuration of this script's own: in its mount namespace,
/etc/postfix and /srv are other directories. Needs root and Postfix.
"""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
FILE = ROOT / "etc" / "terminal.svg"

_COMMANDS = ("postvirt check-config", "postvirt explain alice@example.com")
_WIDTH = 110

_MAIN_CF = """\
compatibility_level = 3.6
myhostname = mail.example.com
maillog_file = /var/log/mail.log
virtual_mailbox_domains = example.com
virtual_mailbox_base = /srv/vmail
virtual_mailbox_maps = hash:/etc/postfix/vmailbox
virtual_uid_maps = static:5000
virtual_gid_maps = static:5000
"""
_VMAILBOX = """\
alice@example.com  example.com/alice/
bob@example.com    example.com/bob/
"""
_OWNER = 5000
_MOUNT = ("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs")

# What differs from one time to the next: names of files, sizes, free space.
_CHANGING = re.compile(r"\d+|[\u00a0 ]+")

# rich's, without a font from elsewhere.
_FORMAT = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"
     role="img">
<title>postvirt check-config and postvirt explain</title>
<desc>Both find a mailbox that its owner cannot search; the first one also an index that
is older than its text.</desc>
<style>
.{unique_id}-matrix {{ font-family: monospace; font-size: {char_height}px;
    line-height: {line_height}px; }}
.{unique_id}-title {{ font-family: sans-serif; font-size: 18px; font-weight: bold; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})"
   clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix" xml:space="preserve">
{matrix}
</g>
</g>
</svg>
"""


def main(arguments: list[str]) -> int:
    """Write the picture, or say whether it shows what the commands print now."""
    _lay_out()
    picture = _draw()
    if arguments != ["--check"]:
        FILE.write_text(picture)
        return 0
    if FILE.is_file() and _essence(FILE.read_text()) == _essence(picture):
        return 0
    print(f"{FILE}: not what the commands print: run scripts/terminal")
    return 1


def _lay_out() -> None:
    """A mailbox that root has made, and an index that is older than its text."""
    for directory in (Path("/etc/postfix"), Path("/srv")):
        saved = [
            (one, one.read_bytes()) for one in directory.glob("*") if one.is_file()
        ]
        subprocess.run([*_MOUNT, directory], check=True)
        for path, content in saved:
            path.write_bytes(content)
    text = Path("/etc/postfix/vmailbox")
    text.write_text(_VMAILBOX)
    Path("/etc/postfix/main.cf").write_text(_MAIN_CF)
    subprocess.run(["postmap", f"hash:{text}"], check=True)
    now = time.time()
    os.utime(f"{text}.db", (now - 86400, now - 86400))
    os.utime(text, (now - 3600, now - 3600))
    Path("/srv/vmail").mkdir()
    for name in ("example.com", "example.com/alice"):
        path = Path("/srv/vmail", name)
        path.mkdir(mode=0o700)
        os.chown(path, _OWNER, _OWNER)
    os.chown("/srv/vmail/example.com/alice", 0, 0)


def _draw() -> str:
    """The picture, as SVG."""
    console = Console(record=True, width=_WIDTH, file=open(os.devnull, "w"))  # noqa: SIM115
    for command in _COMMANDS:
        console.print(Text(f"# {command}", "bold"))
        console.print(Text.from_ansi(f"{_output(command)}\n"))
    return console.export_svg(
        title="postvirt", code_format=_FORMAT, unique_id="terminal"
    )


def _output(command: str) -> str:
    """What a command prints on a terminal of this width."""
    program, *arguments = command.split()
    # The far side stays open here, so that nothing is lost when the command ends.
    near, far = os.openpty()
    with subprocess.Popen(
        [f"{ROOT}/.venv/bin/{program}", *arguments],
        env=os.environ | {"COLUMNS": str(_WIDTH), "TERM": "xterm-256color"},
        stdout=far,
        stderr=subprocess.DEVNULL,  # the progress bar
    ) as process:
        output = b"".join(_chunks(near, process))
    os.close(near)
    os.close(far)
    return output.decode().replace("\r\n", "\n").rstrip()


def _chunks(terminal: int, process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    has_ended = False
    while True:
        if select.select([terminal], [], [], 0.05)[0]:
            yield os.read(terminal, 65536)
        elif has_ended:
            return
        else:
            has_ended = process.poll() is not None


def _essence(picture: str) -> str:
    """The text in the picture, without what changes, wherever its lines break."""
    texts = re.findall(r"<text[^>]*>([^<>]+)<", picture)
    return _CHANGING.sub("", "".join(texts).replace("&#160;", " "))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
