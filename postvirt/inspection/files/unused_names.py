"""Names in main.cf that no program reads, or that Postfix sets itself.

A user-defined name counts when some value refers to it, as with postconf(1). Names that
only a newer Postfix has are known from the installed postconf. Other versions and
add-ons have names of their own, and a main.cf for several hosts has them, too: only
what looks like a typing error is worth a warning of its own.

Raises: nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

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
    names_elsewhere,
    service_defaults,
    transport_of,
)
from postvirt.inspection.command import Commands
from postvirt.inspection.commands import postconf
from postvirt.inspection.problem import Problem
from postvirt.inspection.source_files import Files
from postvirt.inspection.vda_names import FILTERS, MEANT
from postvirt.system.run_program import output_of

_VIRTUAL = "virtual_"
# A name this similar to a known one can only be a typing error.
CERTAIN = 0.9
_SIMILAR = 0.8
# Of names that are reported together.
_MOST_SHOWN = 12
_PATIENCE_SECONDS = 10


def check_names(files: Files) -> Iterator[Problem]:
    """Assignments that change nothing."""
    known = known_names(files)
    used = referred_names(files)
    unknown: dict[str, Assignment] = {}
    for assignment in files.main_cf.assignments:
        name = assignment.name
        if name in READ_ONLY:
            yield _read_only(files, assignment)
        elif name in FILTERS or name in MEANT:
            pass  # check_vda_names reports them
        elif name not in known and name not in used:
            unknown[name] = assignment
    if unknown:
        installed = installed_names(files)
        yield from _unknown(
            files,
            [one for name, one in unknown.items() if name not in installed],
            known | installed,
        )


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


def _unknown(
    files: Files, unknown: Sequence[Assignment], known: set[str]
) -> Iterator[Problem]:
    """What looks like a typing error by itself, the others together."""
    elsewhere: list[Assignment] = []
    of_transports: list[Assignment] = []
    others: list[Assignment] = []
    for assignment in unknown:
        near, likeness = nearest(assignment.name, known)
        if assignment.name in names_elsewhere():
            elsewhere.append(assignment)
        elif near:
            yield _misspelled(files, assignment, near, likeness)
        elif transport_of(assignment.name):
            of_transports.append(assignment)
        else:
            others.append(assignment)
    if others:
        is_one = len(others) == 1
        noun = "unused parameter" if is_one else "unused parameters"
        remedy = (
            "remove it" if is_one else "remove them, unless another program reads them"
        )
        what = f"{noun}: {_enumerated(others)}"
        yield files.problem("PV003", what, others[0], remedy=remedy)
    if elsewhere:
        yield files.problem(
            "PV003",
            "parameters that this version of Postfix does not have:"
            f" {_enumerated(elsewhere)}",
            elsewhere[0],
            severity="info",
            remedy="none is needed: another version, or an add-on, has them",
        )
    if of_transports:
        yield files.problem(
            "PV003",
            "parameters of transports that master.cf does not have:"
            f" {_enumerated(of_transports)}",
            of_transports[0],
            severity="info",
            remedy="none is needed, unless the name of a transport is misspelled",
        )


def _misspelled(
    files: Files, assignment: Assignment, near: str, likeness: float
) -> Problem:
    name = assignment.name
    commands: Commands = ()
    if likeness >= CERTAIN and near not in files.assigned:
        commands = (
            *postconf(files, "-X", name),
            *postconf(files, "-e", f"{near} = {assignment.value}"),
        )
    return files.problem(
        "PV003",
        f"unused parameter: {name}={assignment.value}",
        assignment,
        remedy=f"did you mean {near}?",
        commands=commands,
    )


def _enumerated(assignments: Sequence[Assignment]) -> str:
    """Their names; the value, too, if there is only one."""
    if len(assignments) == 1:
        return f"{assignments[0].name}={assignments[0].value}"
    shown = [one.name for one in assignments[:_MOST_SHOWN]]
    more = len(assignments) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def nearest(name: str, known: set[str]) -> tuple[str, float]:
    """The known name most similar to a name, and its similarity; "" for none."""
    from difflib import SequenceMatcher, get_close_matches

    wanted = name.lower().replace("-", "_")
    choice = sorted(known - LEGACY - READ_ONLY)
    if transport := transport_of(name):
        # The common end would make all of them similar.
        suffix = name.removeprefix(transport)
        others = [one.removesuffix(suffix) for one in choice if one.endswith(suffix)]
        found = get_close_matches(transport, others, n=1, cutoff=_SIMILAR)
        if not found:
            return "", 0.0
        return found[0] + suffix, SequenceMatcher(None, transport, found[0]).ratio()
    if wanted.startswith(_VIRTUAL):
        # And the common beginning here.
        endings = [
            one.removeprefix(_VIRTUAL) for one in choice if one.startswith(_VIRTUAL)
        ]
        found = get_close_matches(wanted.removeprefix(_VIRTUAL), endings, n=1)
        found = [_VIRTUAL + one for one in found]
    else:
        found = get_close_matches(wanted, choice, n=1, cutoff=_SIMILAR)
    if not found:
        return "", 0.0
    return found[0], SequenceMatcher(None, wanted, found[0]).ratio()


def installed_names(files: Files) -> frozenset[str]:
    """The names that the installed Postfix knows, none without a Postfix."""
    return installed_names_of(files.command_directory, files.config_directory)


def installed_names_of(command_directory: str, config_directory: str) -> frozenset[str]:
    """The same, by these directories."""
    return _names_of(installed_postconf(command_directory), config_directory)


@cache
def _names_of(program: str, config_directory: str) -> frozenset[str]:
    output = output_of(
        [program, "-c", config_directory, "-d"], patience_seconds=_PATIENCE_SECONDS
    )
    lines = output.decode(errors="replace").splitlines()
    return frozenset([line.partition(" =")[0] for line in lines])


def _read_only(files: Files, assignment: Assignment) -> Problem:
    return files.problem(
        "PV004",
        f"read-only parameter assignment: {assignment.name}={assignment.value}",
        assignment,
        remedy="remove it",
        commands=postconf(files, "-X", assignment.name),
    )


def defaults() -> Mapping[str, str]:
    """The defaults of all parameters, with their references."""
    return {**builtin_defaults(), **service_defaults("virtual", "virtual")}
