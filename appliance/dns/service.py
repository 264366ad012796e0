"""form-dns as a service: the zone kept fresh and the listeners, in formation-dns."""

from __future__ import annotations

import ipaddress
import threading
from dataclasses import asdict, dataclass, field, replace

import structlog
from peewee import PeeweeException

from appliance import clock, formnet, state
from appliance.config import Settings, settings
from appliance.dns import apex
from appliance.dns.forward import Forwarder, resolvers
from appliance.dns.names import read_zone
from appliance.dns.server import Counts, DnsServer
from appliance.dns.zone import Zone, make_zone
from appliance.problems import Problem
from appliance.service import Chart, Page, Service, State, write_json

ROUND_S = 0.2
SLOW_S = 5.0  # between looks at resolv.conf, and reports of counts
log = structlog.get_logger()


@dataclass(frozen=True)
class Report:
    """What formation-dns tells the pages of itself."""

    since: float
    listens: list[str] = field(default_factory=list)
    forwarders: list[str] = field(default_factory=list)
    queries: dict[str, int] = field(default_factory=dict)


def newer(before: Zone, found: Zone) -> Zone:
    """The zone to serve from now on: the same object where nothing changed, else
    one with a serial that grew."""
    same = (before.apex, before.addresses) == (found.apex, found.addresses)
    if same and before.holders == found.holders:
        return before
    return replace(found, serial=max(found.serial, before.serial + 1))


class DnsRuntime:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._zone = make_zone(settings.dns.zone, [], 0)
        self._servers: dict[str, DnsServer] = {}
        self._counts = Counts()
        self._forwarder = Forwarder([])
        self._since = clock.now()
        self._seen, self._slow_at = -1, 0.0
        self._trouble = ""
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._rounds, daemon=True)

    def start(self) -> None:
        self._refresh()
        self._listen(self._settings.dns.host)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        if self._thread.ident:
            self._thread.join(5)
        for server in self._servers.values():
            server.stop()
        self._forwarder.stop()

    def reload(self) -> None:
        """The listeners stay; the next round opens others where the address is new."""
        self._settings = settings()
        for server in list(self._servers.values()):
            server.keep_for(self._settings.dns.ttl)
        self._slow_at = 0.0
        self._refresh()

    def status(self) -> tuple[State, str]:
        if not self._thread.is_alive():
            return "failed", "its thread ended; the log of formation-dns says why"
        if self._settings.dns.host not in self._servers:
            return "failed", f"nothing listens at {self._settings.dns.host}"
        return ("degraded", self._trouble) if self._trouble else ("running", "")

    def responds(self) -> bool:
        """Whether every listener still takes queries."""
        servers = list(self._servers.values())
        return self._thread.is_alive() and all(one.responds() for one in servers)

    def _refresh(self) -> None:
        with self._lock:
            found = read_zone(self._settings, apex(self._settings))
            self._zone = newer(self._zone, found)

    def _listen(self, host: str) -> None:
        config = self._settings.dns
        server = DnsServer(
            host,
            config.port,
            lambda: self._zone,
            config.ttl,
            self._forwarder,
            formnet.own_network(self._settings).block,
            self._counts,
        )
        server.start()
        self._servers[host] = server

    def _rounds(self) -> None:
        while True:
            try:
                self._round()
                self._trouble = ""
            except (Problem, PeeweeException, OSError, KeyError) as error:
                if str(error) != self._trouble:
                    log.warning("dns.round", why=str(error))
                self._trouble = str(error)
            if self._ended.wait(ROUND_S):
                return

    def _round(self) -> None:
        marker = state.changed_marker()
        if marker != self._seen:
            self._refresh()
            self._seen = marker
        self._attend()
        if clock.now() - self._slow_at >= SLOW_S or clock.now() < self._slow_at:
            self._slow_at = clock.now()
            self._look_around()

    def _attend(self) -> None:
        """A listener at the setting's address, and one for the guests as soon as
        their bridge is there; those that died are replaced."""
        host, port = self._settings.dns.host, self._settings.dns.port
        gateway = formnet.own_network(self._settings).gateway
        wanted = {host} if is_wildcard(host) else {host, gateway}
        for name, server in list(self._servers.items()):
            if name not in wanted or server.port != port or not server.is_alive:
                server.stop()
                del self._servers[name]
        for name in sorted(wanted - set(self._servers)):
            try:
                self._listen(name)
            except OSError:
                if name == host:
                    raise  # the guests' bridge may come later; this address must be

    def _look_around(self) -> None:
        config = self._settings.dns
        own = [(host, config.port) for host in self._servers]
        self._forwarder.upstream = resolvers(config.forward, own)
        report = Report(
            self._since,
            [f"{host} port {port}" for host, port in own],
            [address for address, _ in self._forwarder.upstream],
            dict(self._counts.now()),
        )
        write_json(self._settings.run_dir / "dns" / "report.json", asdict(report))


def is_wildcard(host: str) -> bool:
    return ipaddress.ip_address(host).is_unspecified


SERVICE = Service(
    name="form-dns",
    title="Names",
    segment="dns",
    process="dns",
    runtime=DnsRuntime,
    section="dns",
    depends=("form-state",),
    summary="Answers for agents' names, and forwards others for local clients.",
    without="No name of this node is answered.",
    measures="appliance.dns.measures",
    charts=(Chart("Queries a second", ("dns_queries", "dns_failed")),),
    pages=(Page("/dns/", "Names", "Network", rank=20),),
)
