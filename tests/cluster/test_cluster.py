"""Three hosts, one mail store, and failures: nothing is lost, bounced or torn.

`scripts/cluster` does the same, many times, and says how long recovery takes.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cluster.galera import Galera
from tests.cluster.gluster import Gluster
from tests.cluster.laboratory import missing
from tests.cluster.postgres import Postgres
from tests.harness import databases

pytestmark = [pytest.mark.postfix, pytest.mark.timeout(180)]


def cluster(*arguments: str) -> str:
    """What the command prints; all promises are kept."""
    if reason := missing():
        databases.missing(reason)
    done = subprocess.run(
        [sys.executable, "-m", "tests.cluster", "--rounds", "1", *arguments],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_mail_arrives_whatever_happens_to_hosts() -> None:
    """What they share cannot fail."""
    said = cluster("network", "host", "row", "clocks", "name")
    assert said.count("accepted") == 5, said


def test_mail_arrives_whatever_fails() -> None:
    """Mailboxes on GlusterFS, tables in MariaDB with Galera."""
    for reason in (Gluster.missing(), Galera.missing()):
        if reason:
            databases.missing(reason)
    said = cluster(
        *("row", "lag", "database", "primary", "network", "host"),
        *("--together", "--storage", "gluster", "--database", "galera"),
    )
    assert "host, new mail waits" in said, said


def test_mail_arrives_whatever_fails_of_a_primary_and_its_standbys() -> None:
    """Tables in PostgreSQL."""
    if reason := Postgres.missing():
        databases.missing(reason)
    said = cluster(
        *("lag", "primary", "database", "--together", "--database", "postgres")
    )
    assert "lag, all hosts know it" in said, said
