"""form-dns as a service: the zone kept fresh and the listeners, in formation-dns."""

from __future__ import annotations

import threading

from appliance import clock, formnet, state
from appliance.config import Settings
from appliance.dns import apex
from appliance.dns.server import DnsServer, resolvers
from appliance.dns.zone import Named, Zone, make_zone
from appliance.service import Page, Service, State

ROUND_S = 0.2


def read_zone(zone: str) -> Zone:
    """The zone from the records as they are now."""
    named = [
        Named(b["owner_name"], b["name"], b["address"], b["state"] == "healthy")
        for b in (record.body for record in state.select("instance"))
    ]
    agents = [
        Named(b["owner_name"], b["name"], None, False)
        for b in (record.body for record in state.select("agent"))
        if not any(n.name == b["name"] and n.owner == b["owner_name"] for n in named)
        and state.select("instance", name=b["name"])
    ]
    claims = {
        name: owner
        for record in state.select("domain")
        for owner, name in [record.body["agent"].split("/")]
        if record.id == f"{name}.{zone}"
    }
    return make_zone(zone, [*named, *agents], int(clock.now()), claims)


class DnsRuntime:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._zone = make_zone(settings.dns.zone, [], int(clock.now()))
        self._servers: dict[str, DnsServer] = {}
        self._ended = threading.Event()

    def start(self) -> None:
        self._zone = read_zone(apex(self._settings))
        self._listen(self._settings.dns.host)
        threading.Thread(target=self._rounds, daemon=True).start()

    def stop(self) -> None:
        self._ended.set()
        for server in self._servers.values():
            server.stop()

    def reload(self) -> None:
        self._zone = read_zone(apex(self._settings))

    def status(self) -> tuple[State, str]:
        return ("running", "") if self._servers else ("failed", "nothing listens")

    def _listen(self, host: str) -> None:
        config = self._settings
        network = formnet.own_network(config)
        server = DnsServer(
            host,
            config.dns.port,
            lambda: self._zone,
            config.dns.ttl,
            resolvers(config.dns.forward),
            network.block,
        )
        server.start()
        self._servers[host] = server

    def _rounds(self) -> None:
        seen = -1
        config = self._settings
        gateway = formnet.own_network(config).gateway
        while not self._ended.wait(ROUND_S):
            marker = state.changed_marker()
            if marker != seen:
                seen = marker
                self._zone = read_zone(apex(config))
            if gateway not in self._servers:
                self._try(gateway)

    def _try(self, host: str) -> None:
        try:
            self._listen(host)
        except OSError:
            return  # the bridge is not there yet; the next round tries again


SERVICE = Service(
    name="form-dns",
    title="Names",
    segment="dns",
    process="dns",
    runtime=DnsRuntime,
    section="dns",
    depends=("form-state",),
    summary="Answers for agents' names, and forwards others for local clients.",
    pages=(Page("/dns/", "Names", "Network", rank=20),),
)
