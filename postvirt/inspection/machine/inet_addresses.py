"""Whether this machine has the addresses that inet_interfaces lists.

A configuration that comes from another machine, or a new address of this one, is enough
to stop all of Postfix. postvirt goes on, because a delivery rarely needs them.

Parity: the fatal errors of src/global/own_inet_addr.c, which end every program.
Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from postvirt.config.networks import address_sizes, own_interfaces
from postvirt.errors import ConfigError
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject

_PARAMETER = "inet_interfaces"


def check_interfaces(subject: Subject) -> Iterator[Problem]:
    """Checked where Postfix runs: where master.cf has an entry."""
    if subject.process.entry is None:
        return
    settings = subject.settings
    try:
        own_interfaces(settings.inet_interfaces, address_sizes(settings.inet_protocols))
    except ConfigError as error:
        unknown = error.text.rpartition(" ")[2]
        yield subject.problem(
            "PV611",
            error.text,
            _PARAMETER,
            item=unknown if unknown in settings.inet_interfaces else "",
            remedy=f"correct {unknown}, give it to an interface of this machine, or set"
            f" {_PARAMETER} = all",
        )
