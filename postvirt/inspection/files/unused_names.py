"""Names in main.cf that no program reads, or that Postfix sets itself.

A user-defined name counts when some value refers to it, as with postconf(1). Names that
only a newer Postfix has are known from the installed postconf.

Raises: nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from postvirt.config.compiled_in import installed_postconf
from postvirt.config.expansion import scan
from postvirt.config.legacy_tables import SUFFIXES, tables_in
from postvirt.config.lists import words
from postvirt.config.main_cf import Assignment
from postvirt.config.parameter_names import (
    LEGACY,
    MACHINE_MADE,
    READ_ONLY,
    builtin_defaults,
    service_defaults,
    transport_of,
)
from postvirt.inspection.command import Commands
from postvirt.inspection.commands import postconf
from postvirt.inspection.files.vda_quota import VDA_PARAMETERS
from postvirt.inspection.problem import Problem
from postvirt.inspection.source_files import Files
from postvirt.system.run_program import output_of

_VIRTUAL = "virtual_"
# A name this similar to a known one can only be a typing error.
_CERTAIN = 0.9
_PATIENCE_SECONDS = 10


def check_names(files: Files) -> Iterator[Problem]:
    """Assignments that change nothing."""
    known = known_names(files)
    used = referred_names(files)
    unknown = []
    for assignment in files.main_cf.assignments:
        name = assignment.name
        if name in READ_ONLY:
            yield _useless(files, assignment, "PV004", "read-only parameter assignment")
        elif name in VDA_PARAMETERS:
            pass  # check_vda_quota reports them
        elif name not in known and name not in used:
            unknown.append(assignment)
    if not unknown:
        return
    installed = _installed_names(files)
    for assignment in unknown:
        if assignment.name not in installed:
            yield _unknown(files, assignment, known)


def known_names(files: Files) -> set[str]:
    """Names that Postfix knows: built in, from master.cf, from tables in main.cf."""
    known = {*builtin_defaults(), *MACHINE_MADE, *READ_ONLY}
    known.update(service_defaults("virtual", "virtual"))
    for service in files.master_cf.services if files.master_cf else ():
        known.update(service_defaults(service.name, os.path.basename(service.command)))
    known.update(words(files.expanded("smtpd_restriction_classes")))
    for name in files.assigned:
        for type_, table in tables_in(files.expanded(name), lambda _: None):
            known.update(f"{table}_{suffix}" for suffix in SUFFIXES[type_])
    return known


def referred_names(files: Files) -> set[str]:
    """Every name that a value refers to, in both files and in Postfix's defaults."""
    used: set[str] = set()
    values = [*builtin_defaults().values()]
    values += [one.value for one in files.main_cf.assignments]
    for service in files.master_cf.services if files.master_cf else ():
        values += [option.value for option in service.options]
    values += [value for _, value in files.options]
    for value in values:
        scan(value, used.add)
    return used


def _unknown(files: Files, assignment: Assignment, known: set[str]) -> Problem:
    near, likeness = _nearest(assignment.name, known)
    transport = transport_of(assignment.name)
    if transport and likeness < _CERTAIN:
        return _useless(
            files,
            assignment,
            "PV003",
            "unused parameter",
            f"remove it; master.cf has no transport {transport}",
        )
    commands: Commands = ()
    if likeness >= _CERTAIN and near not in files.assigned:
        commands = (
            *postconf(files, "-X", assignment.name),
            *postconf(files, "-e", f"{near} = {assignment.value}"),
        )
    remedy = f"did you mean {near}?" if near else "remove it"
    return _useless(
        files, assignment, "PV003", "unused parameter", remedy, commands=commands
    )


def _nearest(name: str, known: set[str]) -> tuple[str, float]:
    """The known name most similar to a name, and its similarity; "" for none."""
    from difflib import SequenceMatcher, get_close_matches

    wanted = name.lower().replace("-", "_")
    choice = sorted(known - LEGACY - READ_ONLY)
    if wanted.startswith(_VIRTUAL):
        # The common beginning would make all of them similar.
        endings = [
            one.removeprefix(_VIRTUAL) for one in choice if one.startswith(_VIRTUAL)
        ]
        found = get_close_matches(wanted.removeprefix(_VIRTUAL), endings, n=1)
        found = [_VIRTUAL + one for one in found]
    else:
        found = get_close_matches(wanted, choice, n=1, cutoff=0.8)
    if not found:
        return "", 0.0
    return found[0], SequenceMatcher(None, wanted, found[0]).ratio()


def _installed_names(files: Files) -> set[str]:
    """The names that the installed Postfix knows, none without a Postfix."""
    program = installed_postconf(files.command_directory)
    output = output_of(
        [program, "-c", files.config_directory, "-d"],
        patience_seconds=_PATIENCE_SECONDS,
    )
    lines = output.decode(errors="replace").splitlines()
    return {line.partition(" =")[0] for line in lines}


def _useless(
    files: Files,
    assignment: Assignment,
    code: str,
    what: str,
    remedy: str = "remove it",
    *,
    commands: Commands = (),
) -> Problem:
    """A warning about a line without effect, in the words of postconf(1)."""
    name = assignment.name
    if code == "PV004":
        commands = postconf(files, "-X", name)
    text = f"{what}: {name}={assignment.value}"
    return files.problem(code, text, assignment, remedy=remedy, commands=commands)


def defaults() -> Mapping[str, str]:
    """The defaults of all parameters, with their references."""
    return {**builtin_defaults(), **service_defaults("virtual", "virtual")}
