"""Metrics of a service, with real processes."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator

import pytest

from postvirt.codec.delivery import encode_request
from postvirt.standin.instance import Instance
from postvirt.standin.queue_file import encode_content
from tests.harness.child import public_directory
from tests.harness.metrics import Metrics, scrape
from tests.harness.ports import free_port
from tests.harness.requests import request_for
from tests.harness.scenario import BOB, MBOX, NOBODY
from tests.harness.service import Service, changed_command, wait_for_end

pytest.importorskip("prometheus_client")

# Takes the place of an installation without the library.
_HIDES_IT = """\
from importlib.machinery import PathFinder
found = PathFinder.find_spec
def find_spec(name, *more):
    return None if name == "prometheus_client" else found(name, *more)
PathFinder.find_spec = find_spec
"""


@pytest.fixture
def service() -> Iterator[Service]:
    with public_directory() as root:
        service = Service(Instance(root))
        configure(service, f"127.0.0.1:{free_port()}")
        yield service
        service.end()


def configure(service: Service, address: str, **more: str) -> None:
    mailboxes = {"bob@example.com": "bob/", "mbox@example.com": "mbox"}
    values = {
        "virtual_mailbox_maps": service.instance.add_table("texthash", "m", mailboxes),
        "virtual_minimum_uid": "1",
        "postvirt_metrics_address": address,
    }
    service.instance.main_cf(values | more)


def deliver(service: Service) -> int:
    """One message for three recipients, of whom one is unknown; the worker."""
    service.no_lines()  # whose socket must not be full
    recipients = (BOB, MBOX, NOBODY)
    content = encode_content(b"Subject: a\n\n")
    queued = service.instance.add_message(b"3F1A2B0001", b"", recipients, content)
    service.ask(encode_request(request_for(queued)))
    return service.wait_for_line("to=<mbox@example.com>").pid


def wait_until_serving(service: Service) -> str:
    """Where metrics are."""
    while (status := service.status()["exporter"])["state"] != "serving":
        pass
    address: str = status["address"]
    return address


def sent(metrics: Metrics) -> tuple[float, float]:
    """How many to maildirs, and to mbox files."""
    name = "postvirt_deliveries_total"
    return (
        metrics.value(name, outcome="sent", format="maildir"),
        metrics.value(name, outcome="sent", format="mbox"),
    )


def test_deliveries_are_counted(service: Service) -> None:
    service.start()
    address = wait_until_serving(service)
    deliver(service)
    deliver(service)
    found = scrape(address)
    assert sent(found) == (2, 2)
    # Nobody is there to take the bounce, so that it is put off.
    labels = {"outcome": "deferred", "format": "none"}
    assert found.value("postvirt_deliveries_total", **labels) == 2
    for stage, count in {
        "queue": 6,
        "lookup": 6,
        "write": 4,
        "commit": 4,
        "total": 6,
    }.items():
        assert found.value("postvirt_stage_seconds_count", stage=stage) == count
        assert stage == "queue" or found.value(
            "postvirt_stage_seconds_sum", stage=stage
        )
    assert found.value("postvirt_commit_group_files_sum") == 4
    assert found.value("postvirt_workers") == 1
    tables = found.labels("postvirt_table_age_seconds", "table")
    assert tables == {f"texthash:{service.instance.etc}/m"}
    service.stop()


def test_what_quotas_make_necessary_is_counted(service: Service) -> None:
    """The second message is one too many for the maildir; all are for the mbox file."""
    configure(
        service,
        f"127.0.0.1:{free_port()}",
        virtual_mailbox_limit_maps="inline:{bob@example.com=1C, mbox@example.com=5}",
        virtual_mailbox_limit_override="yes",
        virtual_maildir_extended="yes",
        postvirt_quota_warning_percent="90",
    )
    service.start()
    address = wait_until_serving(service)
    deliver(service)
    deliver(service)
    found = scrape(address)
    assert sent(found) == (1, 0)
    refusals = {
        (outcome, reason): found.value(
            "postvirt_quota_refusals_total", outcome=outcome, reason=reason
        )
        for outcome in ("deferred", "bounced")
        for reason in ("message", "size", "messages")
    }
    # No service takes the bounce, so that it is deferred.
    expected = {("deferred", "messages"): 1, ("deferred", "message"): 2}
    assert {labels: count for labels, count in refusals.items() if count} == expected
    assert found.value("postvirt_quota_recount_seconds_count") >= 1
    assert found.value("postvirt_quota_recount_seconds_sum") > 0
    assert found.value("postvirt_quota_recounted_files_total") >= 0
    assert found.value("postvirt_quota_warnings_total") == 1
    service.stop()


def test_what_workers_counted_outlives_them(service: Service) -> None:
    service.start()
    address = wait_until_serving(service)
    worker = deliver(service)
    os.kill(worker, signal.SIGKILL)
    service.wait_for_line("killed by signal 9")
    deliver(service)
    old = service.workers()
    assert service.command("reload").returncode == 0
    wait_for_end(*old)
    deliver(service)
    name = "postvirt_worker_restarts_total"
    while scrape(address).value(name, reason="reload") < 1:
        pass
    found = scrape(address)
    assert sent(found) == (3, 3)
    assert found.value(name, reason="killed") == 1
    assert found.value(name, reason="reload") == 1
    # The client that was being served when its worker was killed does not count.
    assert found.value("postvirt_clients_served_total") >= 2
    service.stop()


def test_why_workers_were_replaced(service: Service) -> None:
    configure(service, f"127.0.0.1:{free_port()}", max_use="1", postvirt_workers="1")
    service.start()
    address = wait_until_serving(service)
    while service.status()["watcher"]["state"] != "watching":
        pass
    deliver(service)
    deliver(service)
    service.instance.add_table("texthash", "m", {"mbox@example.com": "mbox"})
    service.wait_for_line("has changed -- restarting")
    deliver(service)
    name = "postvirt_worker_restarts_total"
    while scrape(address).value(name, reason="max_use") < 3:
        pass
    found = scrape(address)
    assert found.value(name, reason="changed_table") == 1
    assert found.value(name, reason="max_use") == 3
    service.stop()


def test_it_ends_with_the_service(service: Service) -> None:
    path = service.instance.root / "metrics"
    configure(service, f"unix:{path}")
    service.start()
    wait_until_serving(service)
    service.wait_for_line(f"metrics: listening on unix:{path}")
    scrape(str(path))
    processes = service.processes()
    assert len(processes) == 4  # itself, a worker, the watcher, the exporter
    assert (
        f"metrics: serving on unix:{path} (process " in service.command("status").stdout
    )
    service.stop()
    wait_for_end(*processes)
    assert not path.exists()


def test_it_ends_with_a_service_that_is_killed(service: Service) -> None:
    service.start()
    wait_until_serving(service)
    processes = service.processes()
    os.kill(service.pid, signal.SIGKILL)
    wait_for_end(*processes)


def test_it_is_replaced_when_it_dies(service: Service) -> None:
    service.start()
    wait_until_serving(service)
    deliver(service)
    exporter = service.status()["exporter"]["pid"]
    os.kill(exporter, signal.SIGKILL)
    service.wait_for_line(f"exporter process {exporter} died: next one at once")
    while service.status()["exporter"]["pid"] == exporter:
        pass
    assert sent(scrape(wait_until_serving(service))) == (1, 1)
    service.stop()


def test_a_reload_begins_and_ends_it(service: Service) -> None:
    configure(service, "")
    service.start()
    assert service.status()["exporter"] is None
    assert "metrics" not in service.command("status").stdout
    deliver(service)
    one, other = (f"127.0.0.1:{free_port()}" for _ in range(2))
    for address in (one, other):
        configure(service, address)
        assert service.command("reload").returncode == 0
        assert wait_until_serving(service) == address
        service.wait_for_line(f"metrics: listening on {address}")
    deliver(service)
    assert sent(scrape(other)) == (1, 1)  # the first was counted by nobody
    with pytest.raises(ConnectionRefusedError):
        scrape(one)
    configure(service, "")
    exporter = service.status()["exporter"]["pid"]
    assert service.command("reload").returncode == 0
    wait_for_end(exporter)
    deliver(service)
    service.stop()


def test_an_address_in_use_is_one_line_and_no_harm(service: Service) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        configure(service, address)
        service.start()
        line = service.wait_for_line("metrics: ")
        assert line.text == (
            f"warning: metrics: cannot listen on {address}: Address already in use: "
            "trying again every few seconds"
        )
        deliver(service)
        status = service.command("status").stdout
        assert f"metrics: waiting on {address}" in status
        assert ": Address already in use\n" in status
        assert service.command("reload").returncode == 0  # it tries at once
    assert service.command("reload").returncode == 0
    assert sent(scrape(wait_until_serving(service)))[0] >= 0
    lines = [line for line in service.no_lines() if "metrics: " in line]
    assert lines == [f"metrics: listening on {address}"]
    service.stop()


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("0.0.0.0:9154", "0.0.0.0 is not a loopback address"),
        ("localhost:9154", "the host must be an address, not a name"),
    ],
)
def test_other_addresses_are_refused(service: Service, address: str, why: str) -> None:
    configure(service, address)
    for command in ("start", "check-config"):
        done = (
            service.command(command)
            if command == "start"
            else service.plain_command(command)
        )
        assert done.returncode == 1
        said = done.stdout + done.stderr
        assert f'bad postvirt_metrics_address "{address}": {why}' in said
        assert "write 127.0.0.1:9154, [::1]:9154, or unix:/run/" in said
    assert service.processes() == []


def test_without_the_library_a_start_and_a_reload_are_refused(
    service: Service,
) -> None:
    service.program = changed_command(service.instance.root, _HIDES_IT)
    done = service.command("start")
    assert done.returncode == 1
    said = (
        "postvirt_metrics_address is set, but Python package prometheus_client is not"
    )
    assert said in done.stderr
    assert "postvirt[metrics]" in done.stderr
    assert said in service.plain_command("check-config").stdout
    configure(service, "")
    service.start()
    configure(service, f"127.0.0.1:{free_port()}")
    done = service.command("reload")
    assert done.returncode == 1
    assert said in done.stderr
    assert "main.cf" in done.stderr
    deliver(service)
    service.stop()
