"""What many hosts need, calculated from what a few have cost.

Assumptions:

* All machines are as fast as the one that was measured, have `PROCESSORS` processors,
  and do one thing: mail, storage or the database. Above 70 % of what it can do, one
  answers too slowly.
* Mailboxes are spread evenly over groups of three storage nodes, each of which has a
  copy and does everything. So a group does no more than one of its nodes.
* A node's disk confirms `COMMITS` commits in a second.
* Deliveries only read tables, so database nodes share the work.
* Each host has a queue of its own, so hosts do not wait for each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

PROCESSORS = 4
COMMITS = 2000.0
# max_connections of MariaDB, by default. PostgreSQL's is 100.
CONNECTIONS = 151

_USABLE = 0.7


@dataclass(frozen=True, slots=True)
class Costs:
    """What one delivery costs, and what one busy host has open.

    host_seconds       processor time of Postfix, postvirt and the volume's client
    storage_seconds    on each storage node of a group
    commits            on each storage node of a group
    database_seconds   on a database node
    connections        to the database, of one host
    """

    host_seconds: float
    storage_seconds: float
    commits: float
    database_seconds: float
    connections: int

    def rates(self) -> dict[str, float]:
        """Deliveries per second that one of each can do."""
        usable = _USABLE * PROCESSORS
        return {
            "host": usable / self.host_seconds,
            "processors of a storage group": usable / self.storage_seconds,
            "disks of a storage group": _USABLE * COMMITS / self.commits,
            "database node": usable / self.database_seconds,
        }


@dataclass(frozen=True, slots=True)
class Needs:
    """What so many hosts need.

    rate                  deliveries per second, of all of them
    storage_groups        each of three nodes
    database_nodes        enough for the queries, and for the connections
    connections           of all of them
    first                 what is not enough first, with one of each
    """

    hosts: int
    rate: float
    storage_groups: int
    database_nodes: int
    connections: int
    first: str


def needs(costs: Costs, hosts: int, rate_each: float) -> Needs:
    """What hosts need that deliver so much each."""
    rate = hosts * rate_each
    of_one = costs.rates()
    of_one["host"] *= hosts
    shares = {what: rate / most for what, most in of_one.items()}
    connections = hosts * costs.connections
    shares["connections of a database node"] = connections / CONNECTIONS
    storage = [shares[what] for what in shares if "storage" in what]
    database = [shares[what] for what in shares if "database" in what]
    first = max(shares, key=lambda what: shares[what])
    return Needs(
        hosts,
        rate,
        storage_groups=math.ceil(max(storage)),
        database_nodes=math.ceil(max(database)),
        connections=connections,
        first=first if shares[first] > 1 else "nothing",
    )
