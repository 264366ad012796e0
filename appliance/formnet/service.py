"""formnet as a service: bridge and firewall kept as they should be, in
formation-jobs."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Network

import structlog
from peewee import PeeweeException

from appliance import clock, events, state
from appliance.config import Settings, settings
from appliance.formnet import nft
from appliance.formnet.bridge import dissolve, mend, own_network
from appliance.formnet.firewall import blockers
from appliance.formnet.routes import clash, routes
from appliance.problems import Problem
from appliance.service import Chart, Check, Page, Service, State, Verdict, write_json

ROUND_S = 5.0
log = structlog.get_logger()


@dataclass(frozen=True)
class Report:
    """What formation-jobs tells the pages: rules as loaded, and what they counted."""

    time: float
    rules: str
    packets: dict[str, int] = field(default_factory=dict)
    blocked_by: list[str] = field(default_factory=list)


class FormnetRuntime:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ended = threading.Event()
        self._trouble = ""
        self._thread = threading.Thread(target=self._rounds, daemon=True)

    def start(self) -> None:
        mend(self._settings)
        self._report()
        self._thread.start()

    def stop(self) -> None:
        """Leave nothing behind; guests that stay keep their network."""
        self._ended.set()
        if self._thread.ident:
            self._thread.join(10)
        dissolve(self._settings)

    def reload(self) -> None:
        self._settings = settings()
        mend(self._settings)

    def status(self) -> tuple[State, str]:
        if not self._thread.is_alive():
            return "failed", "its thread ended; the log of formation-jobs says why"
        return ("degraded", self._trouble) if self._trouble else ("running", "")

    def _rounds(self) -> None:
        while not self._ended.wait(ROUND_S):
            try:
                self._round()
            except (Problem, PeeweeException, OSError) as error:
                self._trouble = str(error)
                log.warning("formnet.round", why=str(error))

    def _round(self) -> None:
        mended = mend(self._settings)
        if mended:
            text = f"The guest network was mended: {', '.join(mended)}"
            events.happened(text, service="formnet", level="warning")
        self._report()

    def _report(self) -> None:
        bridge = self._settings.formnet.bridge
        found = blockers(nft.listing("ruleset"), bridge)
        sentences = [blocker.sentence(bridge) for blocker in found]
        overlap = clash(own_network(self._settings).block, routes(bridge))
        sentences += [overlap] if overlap else []
        objects = nft.in_force()
        report = Report(clock.now(), nft.text(), nft.packets(objects), sentences)
        path = self._settings.run_dir / "formnet" / "report.json"
        write_json(path, asdict(report))
        self._trouble = "; ".join(sentences)


def check_range(settings: Settings) -> Verdict:
    """Whether the range that is proposed, or in use, is free on this machine."""
    cidr = state.own_node(settings).get("cidr", settings.formnet.cidr)
    found = clash(IPv4Network(cidr), routes(settings.formnet.bridge))
    if found is None:
        return Verdict(True, f"{own_network(settings).block} is free for guests")
    return Verdict(True, found, "Choose another range at the next step.", warning=True)


SERVICE = Service(
    name="formnet",
    title="Guest network",
    segment="formnet",
    process="jobs",
    runtime=FormnetRuntime,
    section="formnet",
    depends=("form-state",),
    summary="The bridge that instances are plugged into, and what they may reach.",
    without="Guests keep their network; new ones get none.",
    measures="appliance.formnet.measures",
    charts=(Chart("Guests' network", ("guests_in", "guests_out")),),
    pages=(Page("/formnet/", "Guest network", "Network", rank=10, role="auditor"),),
    checks=lambda: (Check("range", "Guests' range", check_range),),
)
