"""The process that would deliver: an entry of master.cf with its settings.

Raises: ConfigError when there is no such entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from postvirt.config.load import Loaded, check, load
from postvirt.config.master_cf import MasterCf, Service, read_master_cf
from postvirt.errors import ConfigError
from postvirt.installation.own_transport import is_own_service, is_said_to_run

# The default name of the entry. The service that postvirt runs by itself uses the
# options of this entry, too.
USUAL_NAME = "virtual"


class DeliveryService(NamedTuple):
    """A process with its settings.

    service  the transport through which mail reaches it
    entry    its entry in master.cf, None when it has none
    remark   a warning about that, "" for none
    """

    service: str
    entry: Service | None
    loaded: Loaded
    remark: str = ""

    @property
    def chroot(self) -> str:
        """The directory of its chroot jail, "" for none."""
        if self.entry is None or not self.entry.chroot:
            return ""
        return self.loaded.settings.queue_directory


def delivery_service(
    config_directory: str | None,
    overrides: Sequence[tuple[str, str]],
    wanted: str = "",
) -> DeliveryService:
    """The process that serves a transport, by default that of virtual_transport."""
    try:
        master_cf = read_master_cf(config_directory)
    except ConfigError:
        if wanted:
            raise
        master_cf = None  # `postvirt deliver` needs none
    transport, queue_directory = _virtual_transport(config_directory, overrides)
    service = wanted or transport
    entry = master_cf.entry(service) if master_cf else None
    remark = ""
    read = load
    if entry is not None and not entry.is_delivery_agent:
        if wanted:
            raise ConfigError(
                f"service {wanted} in {_path(master_cf)} runs {entry.command}, not"
                " virtual"
            )
        remark = f"service {service} runs {entry.command}: no mail is routed here"
        service, entry = USUAL_NAME, _agent(master_cf)
        read = _as_far_as_possible
    elif entry is None and wanted:
        raise ConfigError(f"{_path(master_cf)} has no service {wanted}")
    elif entry is None:
        entry = _agent(master_cf)
        if is_said_to_run(queue_directory, service):
            remark = ""
        elif master_cf is not None and is_own_service(queue_directory, service):
            remark = (
                f"master.cf has no service {service}: `postvirt start` must provide it"
            )
        elif master_cf is not None:
            remark = f"master.cf has no service {service}: its mail stays in the queue"
            service, read = USUAL_NAME, _as_far_as_possible
    options = [*(entry.overrides if entry else ()), *overrides]
    program = entry.program if entry else USUAL_NAME
    loaded = read(config_directory, options, process_name=program, service_name=service)
    return DeliveryService(service, entry, loaded, remark)


def _as_far_as_possible(
    config_directory: str | None = None,
    overrides: Sequence[tuple[str, str]] = (),
    *,
    process_name: str,
    service_name: str,
) -> Loaded:
    """The settings, with the defaults of values that cannot be used.

    Nobody has noticed these in an agent without mail, such as a message_size_limit
    above virtual_mailbox_limit where Dovecot delivers.
    Raises: ConfigError when main.cf cannot be read.
    """
    checked = check(
        config_directory,
        overrides,
        process_name=process_name,
        service_name=service_name,
    )
    if checked.settings is None:
        raise checked.problems[0]
    told = [text for one in checked.problems for text in (*one.warnings, one.text)]
    return Loaded(checked.settings, tuple(dict.fromkeys(told)), checked.texts)


def _virtual_transport(
    config_directory: str | None, overrides: Sequence[tuple[str, str]]
) -> tuple[str, str]:
    """Its service, and the queue directory."""
    checked = check(
        config_directory, overrides, process_name=USUAL_NAME, service_name=USUAL_NAME
    )
    settings = checked.settings
    if settings is None:
        return USUAL_NAME, ""
    service = settings.virtual_transport.partition(":")[0]
    return service or USUAL_NAME, settings.queue_directory


def _agent(master_cf: MasterCf | None) -> Service | None:
    """The entry whose options apply when the transport has none of its own."""
    entry = master_cf.entry(USUAL_NAME) if master_cf else None
    return entry if entry and entry.is_delivery_agent else None


def _path(master_cf: MasterCf | None) -> str:
    return master_cf.path if master_cf else "master.cf"
