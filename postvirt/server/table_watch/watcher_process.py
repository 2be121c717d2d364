"""The watcher: a process that notices changed table files.

    python -m postvirt.server.table_watch.watcher_process UID GID

runs as the user UID. It reads lines of JSON from standard input, each of which replaces
the one before:

    {"tables": {"hash:/etc/postfix/vmailbox": ["/etc/postfix/vmailbox.db"]},
     "live": [PATH...], "versions": {PATH: VERSION}}

(table_watch.versions explains "live" files and versions). It writes to standard
output:

    {"state": "watching", "polled": [["/mnt/postfix", "nfs"]]}
    {"changed": ["hash:/etc/postfix/vmailbox"]}

The first follows each line of input, and a mount or a replaced directory that changes
what is polled. "polled" contains the directories that the kernel does not report
changes of, with the reason; files below them are checked every two seconds. The process
ends when its input does.

A file itself is not watched, but every directory on the way to it is, for the one name
that matters there. So it makes no difference whether the file is written, replaced,
created later, or behind symbolic links, or whether a directory on the way is. An event
only makes the watcher check; the version of a file decides whether it has changed.

The library `watchdog` starts threads, and the process that forks workers must stay
single-threaded. So this module is started with exec, and no other module imports it.

Parity: none; dict_changed_name() in src/util/dict.c checks when a client comes.
Raises: nothing.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import sys
from collections.abc import Iterator
from typing import Any

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from postvirt.model.mailbox import Owner
from postvirt.server.table_watch.versions import Version, version_of
from postvirt.system import privileges
from postvirt.system.file_systems import FileSystems, is_remote
from postvirt.system.log import errno_text

POLL_SECONDS = 2.0

# A file is often written in several steps. Workers are replaced when nothing happened
# for this time, but after this number of events at the latest.
_QUIET_SECONDS = 0.02
_MOST_LOOKS = 25

# The number of symbolic links that are followed, as in the kernel.
_MOST_LINKS = 40

_EVENTS: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
]

# Which limit is reached; inotify(7) describes them.
_LIMITS = {
    errno.ENOSPC: "fs.inotify.max_user_watches is reached",
    errno.EMFILE: "fs.inotify.max_user_instances is reached",
}


def main() -> None:
    """Watch until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    privileges.become(Owner(int(sys.argv[1]), int(sys.argv[2])))
    status = 0
    try:
        _Watcher().run()
    except BrokenPipeError:
        pass  # the service has ended
    except Exception as error:
        print(f"watcher: unexpected {type(error).__name__}: {error}", file=sys.stderr)
        status = 1
    os._exit(status)  # the library's threads may be waiting


class _Watcher(FileSystemEventHandler):
    def __init__(self) -> None:
        self._happened, self._tell = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._tables: dict[str, list[str]] = {}
        self._live: frozenset[str] = frozenset()
        self._versions: dict[str, Version] = {}
        self._names: frozenset[str] = frozenset()
        self._watches: dict[tuple[str, int, int], Any] = {}
        self._polled: dict[str, str] = {}
        self._file_systems = FileSystems()
        self._observer: Any = None

    def dispatch(self, event: FileSystemEvent) -> None:
        """In another thread: wake the loop up if one of our names is concerned."""
        if type(event) not in _EVENTS:
            return
        for path in (event.src_path, getattr(event, "dest_path", "")):
            if path and os.fsdecode(path) in self._names:
                try:
                    os.write(self._tell, b".")
                except BlockingIOError:
                    pass  # it is already awake
                return

    def run(self) -> None:
        """Read what to watch, watch it, and report changes."""
        lines = b""
        mounts = self._file_systems.fileno()
        exceptional = [mounts] if mounts >= 0 else []
        while True:
            poll = POLL_SECONDS if self._polled else None
            ready, _, mounted = select.select(
                [0, self._happened], [], exceptional, poll
            )
            if 0 in ready:
                data = os.read(0, 65_536)
                if not data:
                    return
                lines += data
                *whole, lines = lines.split(b"\n")
                if whole:
                    self._begin(json.loads(whole[-1]))
            if self._happened in ready:
                self._wait_for_quiet()
                self._watch_again(self._polled)
            if mounted:
                self._watch_again({})
            self._look()

    def _begin(self, wanted: dict[str, Any]) -> None:
        self._tables = wanted["tables"]
        self._live = frozenset(wanted["live"])
        self._versions = wanted["versions"]
        self._polled = {}
        self._watch()
        self._tell_state()

    def _watch_again(self, polled: dict[str, str]) -> None:
        """Watch everything again; tell if other directories are polled than before.

        polled are those that need not be tried.
        """
        before, self._polled = self._polled, dict(polled)
        self._watch()
        if self._polled != before:
            self._tell_state()

    def _tell_state(self) -> None:
        _say(state="watching", polled=list(self._polled.items()))

    def _wait_for_quiet(self) -> None:
        for _ in range(_MOST_LOOKS):
            os.read(self._happened, 65_536)
            if not select.select([self._happened], [], [], _QUIET_SECONDS)[0]:
                return

    def _watch(self) -> None:
        """Watch everything on the way, including what is created meanwhile."""
        while self._watch_once():
            pass

    def _watch_once(self) -> bool:
        """Watch the directories on the way to all files; whether any of them is new."""
        on_the_way = {
            place for path in self._versions for place in names_on_the_way(path)
        }
        self._names = frozenset(on_the_way)
        wanted = {os.path.dirname(place) for place in on_the_way}
        found: dict[tuple[str, int, int], None] = {}
        for directory in wanted:
            try:
                status = os.stat(directory)
            except OSError:
                continue  # the one above it reports when it is created
            # A directory that was replaced is a different one, and needs its own watch.
            found[directory, status.st_dev, status.st_ino] = None
        for key in self._watches.keys() - found.keys():
            self._observer.unschedule(self._watches.pop(key))
        has_new = False
        for key in found.keys() - self._watches.keys():
            directory, device, _ = key
            if directory not in self._polled:
                watch = self._watch_directory(directory, device)
                if watch is not None:
                    self._watches[key] = watch
                    has_new = True
        return has_new

    def _watch_directory(self, directory: str, device: int) -> Any:
        type_ = self._file_systems.type_of(device)
        if is_remote(type_):
            self._polled[directory] = type_
            return None
        if not os.access(directory, os.R_OK):  # the library would not report it
            self._polled[directory] = os.strerror(errno.EACCES)
            return None
        try:
            if self._observer is None:
                observer = Observer()
                observer.daemon = True
                observer.start()
                self._observer = observer
            return _schedule(self._observer, self, directory)
        except OSError as error:
            self._polled[directory] = _LIMITS.get(error.errno or 0, errno_text(error))
            return None

    def _look(self) -> None:
        """Tell which tables have files whose version has changed."""
        now = {
            path: version_of(path, is_live=path in self._live)
            for path in self._versions
        }
        changed = [
            table
            for table, paths in self._tables.items()
            if any(now[path] != self._versions[path] for path in paths)
        ]
        self._versions = now
        if changed:
            _say(changed=changed)


def _schedule(observer: Any, handler: FileSystemEventHandler, directory: str) -> Any:
    """Watch for _EVENTS; before version 4, the library reports others, too."""
    try:
        return observer.schedule(handler, directory, event_filter=_EVENTS)
    except TypeError:
        return observer.schedule(handler, directory)


def names_on_the_way(path: str) -> Iterator[str]:
    """The path of every name on the way to a file.

    A change of any of them may make the path lead to another file. The names on the way
    to the targets of symbolic links are included.
    """
    parts = [part for part in path.split("/") if part]
    parts.reverse()
    at = "/"
    links = 0
    while parts:
        part = parts.pop()
        if part == "..":
            at = os.path.dirname(at)
        elif part != ".":
            here = os.path.join(at, part)
            yield here
            try:
                target = os.readlink(here)
            except OSError:
                at = here
                continue
            links += 1
            if links > _MOST_LINKS:
                return
            if target.startswith("/"):
                at = "/"
            parts += [part for part in reversed(target.split("/")) if part]


def _say(**what: Any) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    main()
