"""Ask for metrics as Prometheus does."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass

TIMEOUT_SECONDS = 20.0

_REQUEST = b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Metrics:
    """What was served: values by name and labels, and the names of the families."""

    samples: Mapping[tuple[str, frozenset[tuple[str, str]]], float]
    families: frozenset[str]

    def value(self, name: str, **labels: str) -> float:
        """The value of a sample with exactly these labels."""
        return self.samples[name, frozenset(labels.items())]

    def labels(self, name: str, label: str) -> set[str]:
        """The values that a label has."""
        return {
            dict(labels)[label] for sample, labels in self.samples if sample == name
        }


def connect(address: str) -> socket.socket:
    """A connection to a value of postvirt_metrics_address."""
    if address.startswith("/"):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(TIMEOUT_SECONDS)
        client.connect(address)
        return client
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), TIMEOUT_SECONDS)


def scrape(address: str) -> Metrics:
    """Everything that is served there."""
    from prometheus_client.parser import text_string_to_metric_families

    with connect(address) as client:
        client.sendall(_REQUEST)
        with client.makefile("rb") as answer:
            head, _, body = answer.read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK\r\n"), head
    families = list(text_string_to_metric_families(body.decode()))
    return Metrics(
        {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        },
        frozenset(family.name for family in families),
    )
