"""What is measured, with the words and units that pages and API use."""

from __future__ import annotations

from dataclasses import dataclass

NODE = "node"


def process(name: str) -> str:
    """The subject that stands for a process or engine."""
    return f"process/{name}"


@dataclass(frozen=True)
class Metric:
    """`unit` is what pages write numbers in; empty for what is only counted."""

    name: str
    title: str
    unit: str


METRICS = {
    metric.name: metric
    for metric in (
        Metric("cpu", "CPU", "percent"),
        Metric("memory", "Memory", "bytes"),
        Metric("memory_promised", "Promised", "bytes"),
        Metric("disk_used", "Disk used", "bytes"),
        Metric("net_in", "Network in", "bytes/s"),
        Metric("net_out", "Network out", "bytes/s"),
        Metric("disk_read", "Disk read", "bytes/s"),
        Metric("disk_written", "Disk written", "bytes/s"),
        Metric("instances", "Instances that run", ""),
        Metric("tasks", "Tasks", "tasks/min"),
        Metric("tasks_failed", "Failed tasks", "tasks/min"),
        Metric("tasks_waiting", "Tasks that wait", ""),
        Metric("tasks_working", "Tasks at work", ""),
        Metric("dns_queries", "DNS queries", "queries/s"),
        Metric("dns_failed", "Failed or turned away", "queries/s"),
        Metric("guests_in", "To guests", "bytes/s"),
        Metric("guests_out", "From guests", "bytes/s"),
        Metric("records", "Records", ""),
        Metric("records_size", "Size of the records", "bytes"),
        Metric("builds", "Builds", "builds/h"),
        Metric("builds_failed", "Failed builds", "builds/h"),
        Metric("build_seconds", "Time of a build", "s"),
        Metric("layers_made", "Layers made", "layers/h"),
        Metric("layers_cached", "Layers from the cache", "layers/h"),
        Metric("process_cpu", "CPU of the process", "percent"),
        Metric("process_memory", "Memory of the process", "bytes"),
        Metric("requests", "Requests", "requests/s"),
        Metric("requests_failed", "Failed requests", "requests/s"),
    )
}
