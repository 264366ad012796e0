"""What is measured, with the words and units that pages and API use."""

from __future__ import annotations

from dataclasses import dataclass

NODE = "node"


@dataclass(frozen=True)
class Metric:
    """`unit` is one of: percent, bytes, bytes/s, tasks/min, queries/s."""

    name: str
    title: str
    unit: str


METRICS = {
    metric.name: metric
    for metric in (
        Metric("cpu", "CPU", "percent"),
        Metric("memory", "Memory", "bytes"),
        Metric("memory_promised", "Memory promised to instances", "bytes"),
        Metric("disk_used", "Disk used", "bytes"),
        Metric("net_in", "Network in", "bytes/s"),
        Metric("net_out", "Network out", "bytes/s"),
        Metric("disk_read", "Disk read", "bytes/s"),
        Metric("disk_written", "Disk written", "bytes/s"),
        Metric("tasks", "Tasks", "tasks/min"),
        Metric("tasks_failed", "Failed tasks", "tasks/min"),
        Metric("dns_queries", "DNS queries", "queries/s"),
    )
}
