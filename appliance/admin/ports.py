"""The ports that the node's processes listen on, by the settings."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.config import Settings


@dataclass(frozen=True)
class Port:
    """A port that the process of this name listens on, by which setting."""

    setting: str
    kind: str
    host: str
    number: int
    process: str

    def __str__(self) -> str:
        return f"{self.kind.upper()} port {self.number}"

    @property
    def variable(self) -> str:
        """What sets it in the environment."""
        return f"FORMATION_{self.setting.replace('.', '__').upper()}"


def wanted(settings: Settings) -> tuple[Port, ...]:
    http, dns = settings.http, settings.dns
    return (
        Port("http.port", "tcp", "127.0.0.1", http.port, "caddy"),
        Port("http.https_port", "tcp", http.https_host, http.https_port, "caddy"),
        Port("dns.port", "udp", dns.host, dns.port, "dns"),
        Port("dns.port", "tcp", dns.host, dns.port, "dns"),
    )
