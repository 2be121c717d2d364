"""Parameters as postconf(1) lists them: texts, not typed and not checked.

postconf knows more names than a daemon: all of Postfix's, those that master.cf adds
(`parameter_names.service_defaults`), and user-defined ones. A user-defined name counts
if a value refers to it. To find out, every value is scanned, set or default, so a
mistake anywhere ends the listing, whichever names were requested.

Names and defaults are those of the installed Postfix; without one, of Postfix 3.7.

Parity: src/postconf. The name of the program is postconf.
Differs: Names that postconf does not know. `postvirt config` also knows the parameters
    of newer Postfix versions that postvirt supports, and lists them if they are set or
    asked for; a transport may run postvirt-virtual as well as virtual.
Differs: Names that Postfix 3.11 treats otherwise. postconf of Postfix 3.11 warns that
    `virtual_maps` will be removed, and lists `process_name` and `service_name` if
    main.cf sets them; `postvirt config` does neither.
Raises: ConfigError with the text that postconf calls fatal.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from postvirt.config.compiled_in import compiled_in, every_default
from postvirt.config.evaluation import DEFAULT_DOMAIN
from postvirt.config.expansion import MACRO_ERROR, expand, scan
from postvirt.config.legacy_tables import SUFFIXES, tables_in
from postvirt.config.lists import words
from postvirt.config.main_cf import MainCf
from postvirt.config.master_cf import MasterCf
from postvirt.config.networks import default_mynetworks
from postvirt.config.parameter_names import (
    LEGACY,
    MACHINE_MADE,
    NEWER,
    RAW,
    READ_ONLY,
    builtin_defaults,
    service_defaults,
)
from postvirt.errors import ConfigError
from postvirt.model.text import wire

_CLASSES = "smtpd_restriction_classes"
_PROGRAM = "postconf"

ReadTable = Callable[[str], "MainCf | str | None"]


class Sources(NamedTuple):
    """The sources of a listing.

    directory    of main.cf and master.cf
    main         names and values of main.cf and -o; None lists the defaults only
    master_cf    None when there is no such file
    read_table   reads the configuration file of a table; returns the text of a warning
                 if it cannot, None if there is nothing to report
    warn         receives each warning immediately
    """

    directory: str
    main: Mapping[str, str] | None
    master_cf: MasterCf | None
    read_table: ReadTable
    warn: Callable[[str], None]


class _Scope:
    """The -o options of one service, and the user-defined names that count in them."""

    __slots__ = ("label", "options", "own", "valid")

    def __init__(
        self, label: str, own: dict[str, str], options: dict[str, str]
    ) -> None:
        self.label: Final = label
        self.own: Final = own
        self.options: Final = options
        self.valid: set[str] = set()


def _defaults(command_directory: str) -> tuple[dict[str, str], set[str]]:
    """The defaults of all parameters, and the names that are not listed unasked."""
    known = builtin_defaults()
    installed = every_default(command_directory)
    hidden = {*LEGACY, *NEWER} - installed.keys()
    if installed:
        own = {name: known[name] for name in hidden}
        ours = MACHINE_MADE | READ_ONLY
        known = own | {name: installed[name] for name in installed.keys() - ours}
    return {**known, **compiled_in(command_directory)}, hidden


class Listing:
    """All parameters, and their values in main.cf and -o."""

    def __init__(self, sources: Sources) -> None:
        """Raises: ConfigError."""
        self.warn = sources.warn
        self._directory = sources.directory
        self._is_default = sources.main is None
        self._main = dict(sources.main or {})
        self._read_table = sources.read_table
        self._tables_read: set[tuple[str, str]] = set()
        self._machine_made: dict[str, str] = {}
        self._users: set[str] = set()
        command_directory = self._main.get("command_directory", "")
        self._defaults, self._hidden = _defaults(command_directory)
        services = sources.master_cf.services if sources.master_cf else ()
        for service in services:
            more = service_defaults(service.name, service.command)
            self._defaults = more | self._defaults
        self._scopes: list[_Scope] = []
        if self._is_default:
            return
        options: dict[str, dict[str, str]] = {}
        for service in services:
            label = f"{service.name}/{service.type}"
            if service.overrides:
                options.setdefault(label, {}).update(service.overrides)
            if label in options:
                own = {
                    "process_name": os.path.basename(service.command),
                    "service_name": service.name,
                }
                self._scopes.append(_Scope(label, own, options[label]))
        self._find_users_names()

    def names(self) -> list[str]:
        """The names that postconf lists if none are requested, in its order."""
        known = {*self._defaults, *MACHINE_MADE, *READ_ONLY, *self._users}
        return sorted(known - self._hidden, key=wire)

    def is_known(self, name: str) -> bool:
        """Whether there is such a parameter."""
        return (
            name in self._defaults
            or name in MACHINE_MADE
            or name in READ_ONLY
            or name in self._users
        )

    def is_set(self, name: str) -> bool:
        """Whether main.cf or -o has a value."""
        return name in self._main

    def value(self, name: str, *, expanded: bool) -> str:
        """The value of a known parameter.

        Raises: ConfigError.
        """
        value = self._lookup(name) or ""
        return self._expanded(value) if expanded and name not in RAW else value

    def warn_unused(self) -> None:
        """Warn about every unused name in main.cf and master.cf."""
        for name, value in self._main.items():
            if not self.is_known(name):
                path = f"{self._directory}/main.cf"
                self.warn(f"{path}: unused parameter: {name}={value}")
        for scope in self._scopes:
            for name, value in scope.options.items():
                if not self.is_known(name) and name not in scope.valid:
                    path = f"{self._directory}/master.cf"
                    self.warn(f"{path}: unused parameter: {name}={value}")

    def _lookup(self, name: str, scope: _Scope | None = None) -> str | None:
        if scope:
            for local in (scope.own, scope.options):
                if name in local:
                    return local[name]
        return self._main[name] if name in self._main else self._default(name)

    def _default(self, name: str) -> str | None:
        if name in MACHINE_MADE:
            if name not in self._machine_made:
                self._machine_made[name] = self._made(name)
            return self._machine_made[name]
        if name == "process_name":
            return _PROGRAM
        if name == "process_id":
            return str(os.getpid())
        return "" if name == "service_name" else self._defaults.get(name)

    def _made(self, name: str) -> str:
        if name == "myhostname":
            host = socket.gethostname()
            domain = self._evaluated("mydomain") or DEFAULT_DOMAIN
            return host if "." in host else f"{host}.{domain}"
        if name == "mydomain":
            host = self._evaluated("myhostname") or self._default("myhostname") or ""
            _, dot, domain = host.partition(".")
            return domain if dot else DEFAULT_DOMAIN
        style, interfaces, protocols = (
            evaluated
            if (evaluated := self._evaluated(one)) is not None
            else self._expanded(self._defaults[one])
            for one in ("mynetworks_style", "inet_interfaces", "inet_protocols")
        )
        return default_mynetworks(style, interfaces, protocols)

    def _evaluated(self, name: str) -> str | None:
        """A value as a daemon sees it: only what is set can be referred to."""
        if name not in self._main:
            return None
        return self._expand(self._main[name], self._main.get, name, MACRO_ERROR)

    def _expanded(self, value: str, scope: _Scope | None = None) -> str:
        def lookup(name: str) -> str | None:
            return self._lookup(name, scope)

        return self._expand(value, lookup, "", "macro processing error")

    def _expand(
        self, value: str, lookup: Callable[[str], str | None], name: str, fatal: str
    ) -> str:
        try:
            return expand(value, lookup, name, fatal=fatal)
        except ConfigError as error:
            for warning in error.warnings:
                if warning != error.text:
                    self.warn(warning)
            raise ConfigError(error.text) from None

    def _find_users_names(self) -> None:
        classes: set[str] = set()
        for scope in self._scopes:
            if _CLASSES in scope.options:
                label = f"dictionary {scope.label}: macro processing error"
                text = scope.options[_CLASSES]
                for name in words(
                    self._expand(text, scope.options.get, _CLASSES, label)
                ):
                    self._refer(name, scope)
            self._scan_all(scope.options, "master.cf", classes, scope)
        for name in [*self._defaults, *MACHINE_MADE, *READ_ONLY]:
            if name not in self._main and name not in RAW:
                self._scan(self._default(name) or "", None)
        for name in words(self._evaluated(_CLASSES) or ""):
            classes.add(name)
            self._refer(name, None)
        self._scan_all(self._main, "main.cf", classes, None)

    def _scan_all(
        self,
        settings: dict[str, str],
        source: str,
        classes: set[str],
        scope: _Scope | None,
    ) -> None:
        """Scan every value of main.cf, or of one service's -o options."""
        for name, value in list(settings.items()):
            if scope and name in classes:
                scope.valid.add(name)
            if name in READ_ONLY:
                path = f"{self._directory}/{source}"
                text = f"{path}: read-only parameter assignment: {name}={value}"
                self.warn(text)
                del settings[name]
                continue
            self._hidden.discard(name)
            if name in RAW:
                continue
            self._scan(value, scope)
            if name in self._defaults or name in MACHINE_MADE:
                self._refer_by_tables(self._expanded(value, scope), scope)

    def _scan(self, value: str, scope: _Scope | None) -> None:
        for mistake in scan(value, lambda name: self._refer(name, scope)):
            self.warn(mistake.text)

    def _refer(
        self, name: str, scope: _Scope | None, *, by_table: bool = False
    ) -> None:
        """A value refers to a name: if the name is set, it counts from now on."""
        is_set = False
        if scope and name in scope.options:
            is_set = True
            scope.valid.add(name)
        elif name in self._main:
            is_set = True
            if not self.is_known(name):
                self._users.add(name)
        if scope is None:
            for other in self._scopes:
                if name in other.options:
                    is_set = True
                    other.valid.add(name)
        if not is_set and not by_table and not self.is_known(name):
            source = "master.cf" if scope else "main.cf"
            self.warn(f"{self._directory}/{source}: undefined parameter: {name}")

    def _refer_by_tables(self, value: str, scope: _Scope | None) -> None:
        source = f"master.cf:{scope.label}" if scope else "main.cf"
        for type_, name in tables_in(
            value, lambda text: self.warn(f"{source}: {text}")
        ):
            if name.startswith("/"):
                self._check_table_file(type_, name)
                continue
            for suffix in sorted(SUFFIXES[type_]):
                self._refer(f"{name}_{suffix}", scope, by_table=True)

    def _check_table_file(self, type_: str, path: str) -> None:
        """Warn about unknown names in the configuration file of a table."""
        if (type_, path) in self._tables_read:
            return
        self._tables_read.add((type_, path))
        parsed = self._read_table(path)
        if isinstance(parsed, str):
            self.warn(f'open "{type_}" configuration "{path}": {parsed}')
        if not isinstance(parsed, MainCf):
            return
        for problem in parsed.problems:
            if problem.severity == "error":
                raise problem
            self.warn(problem.text)
        settings = {one.name: one.value for one in parsed.assignments}
        for name, value in settings.items():
            if name not in SUFFIXES[type_]:
                self.warn(f"{type_}:{path}: unused parameter: {name}={value}")


def lines(
    listing: Listing,
    names: Sequence[str],
    *,
    only_set: bool,
    expanded: bool,
    with_names: bool,
) -> list[str]:
    """The lines that postconf prints, for all parameters if no names are requested.

    Raises: ConfigError.
    """
    shown = []
    for name in names or listing.names():
        if not listing.is_known(name):
            listing.warn(f"{name}: unknown parameter")
        elif not only_set or listing.is_set(name):
            value = listing.value(name, expanded=expanded)
            shown.append(_one_line(f"{name} = {value}" if with_names else value))
    return shown


def _one_line(text: str) -> str:
    """Every run of blanks and line ends as one space."""
    for blank in "\t\r\n":
        text = text.replace(blank, " ")
    return " ".join([word for word in text.split(" ") if word])
