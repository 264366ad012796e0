"""The node as Prometheus sees it: names and units by its conventions.

Read at each scrape; what cannot be measured is left out. prometheus-client is
imported here alone, so that processes which are never scraped do not carry it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.metadata import version
from typing import get_args

import psutil
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from appliance import clock, identity, metrics, operations, service, state
from appliance.config import settings
from appliance.market import measures as tasks

NODE_GAUGES = (
    ("memory", "memory_used_bytes", "Memory in use"),
    ("memory_promised", "memory_promised_bytes", "Memory promised to instances"),
    ("tasks", "tasks_ended_per_minute", "Tasks that ended in the last minute"),
    ("tasks_failed", "tasks_failed_per_minute", "Of those, the failed ones"),
    ("tasks_waiting", "waiting_tasks", "Tasks that wait for their turn"),
    ("tasks_working", "working_tasks", "Tasks at work"),
    ("dns_queries", "dns_queries_per_second", "DNS queries answered"),
    ("dns_failed", "dns_failed_per_second", "DNS queries that failed, or turned away"),
    ("guests_in", "guests_receive_bytes_per_second", "Network, to all guests"),
    ("guests_out", "guests_transmit_bytes_per_second", "Network, from all guests"),
    ("records", "records", "Records that are kept"),
    ("records_size", "records_size_bytes", "Room that the records take"),
    ("builds", "builds_ended_per_hour", "Builds that ended in the last hour"),
    ("builds_failed", "builds_failed_per_hour", "Of those, the failed ones"),
    ("build_seconds", "build_duration_seconds", "Their mean time"),
    ("layers_made", "build_layers_made_per_hour", "Layers that builds made"),
    ("layers_cached", "build_layers_cached_per_hour", "Layers found in the cache"),
)
INSTANCE_GAUGES = (
    ("cpu", "cpu_usage_ratio", "Share of its vCPUs in use, 0 to 1"),
    ("memory", "memory_used_bytes", "Memory of its process"),
    ("net_in", "network_receive_bytes_per_second", "Network, received"),
    ("net_out", "network_transmit_bytes_per_second", "Network, sent"),
    ("disk_read", "disk_read_bytes_per_second", "Disks, read"),
    ("disk_written", "disk_written_bytes_per_second", "Disks, written"),
    ("tasks", "tasks_ended_per_minute", "Tasks it ended in the last minute"),
    ("tasks_failed", "tasks_failed_per_minute", "Of those, the failed ones"),
)
PROCESS_GAUGES = (
    ("process_cpu", "cpu_usage_ratio", "CPU in use; 1 is one core"),
    ("process_memory", "memory_resident_bytes", "Memory with its children's"),
    ("requests", "requests_per_second", "Requests answered"),
    ("requests_failed", "requests_failed_per_second", "Of those, with 5xx"),
)
RATIOS = ("cpu", "process_cpu")
Families = Iterator[Metric]


def exposition(accept: str) -> tuple[bytes, str]:
    """Body and content type for a scraper that accepts these."""
    registry = CollectorRegistry()
    registry.register(NodeCollector())
    encode, kind = choose_encoder(accept)
    return encode(registry), kind


class NodeCollector(Collector):
    def collect(self) -> Iterable[Metric]:
        latest = metrics.latest(clock.now())
        yield from node_families()
        yield from sampled_families("node", NODE_GAUGES, {metrics.NODE: {}}, latest)
        yield from instance_families(latest)
        yield from process_families(latest)
        yield from service_families()
        yield from work_families()


def gauge(
    name: str, text: str, rows: Iterable[tuple[Mapping[str, str], float]]
) -> Metric:
    """One gauge with a sample for each (labels, value)."""
    found = list(rows)
    labels = list(found[0][0]) if found else []
    family = GaugeMetricFamily(f"formation_{name}", text, labels=labels)
    for values, value in found:
        family.add_metric(list(values.values()), value)
    return family


def node_families() -> Families:
    config = settings()
    own = state.own_node(config)
    labels = {
        "id": identity.node_id(config) or "",
        "name": str(own.get("name", "")),
        "region": str(own.get("region", "")),
        "version": version("formation"),
    }
    yield gauge("node_info", "This node", [(labels, 1)])
    yield gauge("node_cpus", "CPUs", [({}, psutil.cpu_count() or 1)])
    total = psutil.virtual_memory().total
    yield gauge("node_memory_size_bytes", "Memory there is", [({}, total)])
    with suppress(OSError):
        disk = psutil.disk_usage(str(config.data_dir))
        yield gauge("node_disk_size_bytes", "Disk of the data", [({}, disk.total)])
        yield gauge("node_disk_used_bytes", "Disk in use", [({}, disk.used)])
        yield gauge("node_disk_free_bytes", "Disk that is free", [({}, disk.free)])
    yield from counters()


def counters() -> Families:
    """What the machine counts itself: CPU seconds and bytes of its network."""
    cpu = CounterMetricFamily(
        "formation_node_cpu_seconds", "Seconds of all CPUs, by mode", labels=["mode"]
    )
    for mode, seconds in psutil.cpu_times()._asdict().items():
        if not mode.startswith("guest"):  # counted in user and nice already
            cpu.add_metric([mode], seconds)
    yield cpu
    nics = psutil.net_io_counters(pernic=True)
    for direction, field in (("receive", "bytes_recv"), ("transmit", "bytes_sent")):
        family = CounterMetricFamily(
            f"formation_node_network_{direction}_bytes",
            "Bytes by interface",
            labels=["interface"],
        )
        for name, counted in nics.items():
            family.add_metric([name], getattr(counted, field))
        yield family


def sampled_families(
    prefix: str,
    gauges: Iterable[tuple[str, str, str]],
    subjects: Mapping[str, Mapping[str, str]],
    latest: Mapping[tuple[str, str], metrics.Point],
) -> Families:
    """Gauges from the last samples; `subjects` has each one's labels."""
    for metric, name, text in gauges:
        rows = [
            (labels, point.value / (100 if metric in RATIOS else 1))
            for subject, labels in subjects.items()
            if (point := latest.get((subject, metric)))
        ]
        if rows:
            yield gauge(f"{prefix}_{name}", text, rows)


def instance_families(latest: Mapping[tuple[str, str], metrics.Point]) -> Families:
    found = state.select("instance")
    if not found:
        return
    subjects = {r.id: {"instance": r.id, "agent": r.body["agent"]} for r in found}
    states = [
        (subjects[r.id] | {"version": r.body["version"], "state": r.body["state"]}, 1.0)
        for r in found
    ]
    yield gauge("instance_state", "State of each instance; always 1", states)
    yield from sampled_families("instance", INSTANCE_GAUGES, subjects, latest)


def process_families(latest: Mapping[tuple[str, str], metrics.Point]) -> Families:
    found = sorted({of for of, metric in latest if metric == "process_cpu"})
    subjects = {of: {"process": of.removeprefix(metrics.process(""))} for of in found}
    yield from sampled_families("process", PROCESS_GAUGES, subjects, latest)


def service_families() -> Families:
    rows = []
    for one in service.services().values():
        now = service.read_status(settings(), one).state
        for known in get_args(service.State):
            labels = {"service": one.name, "process": one.process, "state": known}
            rows.append((labels, float(known == now)))
    yield gauge("service_state", "1 for the state that a service is in", rows)


def work_families() -> Families:
    """Operations, builds and tasks that are kept, by state."""
    found = [
        ({"kind": kind, "state": how}, float(count))
        for (kind, how), count in operations.counts().items()
    ]
    yield gauge("operations", "Operations that are kept", found)
    builds = operations.step_counts("build").items()
    yield gauge("builds", "Builds, by outcome", [({"state": s}, n) for s, n in builds])
    ended = tasks.counts().items()
    yield gauge("tasks", "Tasks that are kept", [({"state": s}, n) for s, n in ended])
