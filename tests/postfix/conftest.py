"""A private genuine Postfix whose `virtual` is postvirt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest

from postvirt.standin.demonstration import launcher
from postvirt.standin.instance import Instance
from postvirt.standin.postfix import PrivatePostfix

StartPostfix = Callable[..., PrivatePostfix]


@pytest.fixture
def start_postfix(instance: Instance) -> Iterator[StartPostfix]:
    """Start a Postfix with these mailboxes and parameters; stopped at the end."""
    started: list[PrivatePostfix] = []

    def start(
        mailboxes: Mapping[str, str],
        table_type: str = "hash",
        services: Sequence[str] = (),
        **parameters: str,
    ) -> PrivatePostfix:
        maps = instance.add_table(table_type, "mailboxes", mailboxes)
        domains = {address.rpartition("@")[2] for address in mailboxes}
        postfix = PrivatePostfix(
            instance,
            launcher(),
            {
                "virtual_mailbox_maps": maps,
                "virtual_mailbox_domains": " ".join(sorted(domains)),
                "recipient_delimiter": "+",
            }
            | parameters,
            services,
        )
        started.append(postfix)
        postfix.__enter__()
        return postfix

    yield start
    for postfix in started:
        postfix.stop()
