"""What check-config suggests is made for the installed Postfix."""

from __future__ import annotations

from tests.harness.builds import add_postconf
from tests.harness.installations import Installation, problems_of


def test_the_example_has_the_default_table_type(installation: Installation) -> None:
    """Some builds have no Berkeley DB, and their files may be elsewhere."""
    commands = add_postconf(installation.root / "sbin", default_database_type="lmdb")
    installation.set(command_directory=commands, virtual_mailbox_maps="")
    (remedy,) = [one.remedy for one in problems_of(installation) if one.code == "PV103"]
    assert remedy == (
        f"set virtual_mailbox_maps, for example to lmdb:{installation.etc}/table"
    )
