"""The one module that speaks to libvirt; it reconnects when libvirtd was gone."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from xml.etree.ElementTree import fromstring

import libvirt

from appliance.config import settings
from appliance.problems import EngineGone, Unavailable
from appliance.vmm.domain import GUEST_AGENT, domain_name

_lock = threading.Lock()
_connection: libvirt.virConnect | None = None
libvirt.registerErrorHandler(lambda context, error: None, None)

_listener: Callable[[], None] | None = None
GONE = (libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE)
KEEPALIVE_S = 5
TRAFFIC = {
    "net_in": ("net", "rx.bytes"),
    "net_out": ("net", "tx.bytes"),
    "disk_read": ("block", "rd.bytes"),
    "disk_written": ("block", "wr.bytes"),
}


def on_change(listener: Callable[[], None]) -> None:
    """Call `listener`, in a thread of libvirt's event loop, whenever a domain
    starts or ends and when the connection breaks."""
    global _connection, _listener
    if _listener is None:
        libvirt.virEventRegisterDefaultImpl()
        threading.Thread(target=_turn, name="libvirt-events", daemon=True).start()
    with _lock:
        _listener, _connection = listener, None


def _turn() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()


def _open() -> libvirt.virConnect:
    connection = libvirt.open(settings().vmm.uri)
    tell = _listener
    if tell is not None:
        connection.domainEventRegisterAny(
            None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lambda *event: tell(), None
        )
        connection.registerCloseCallback(lambda *event: tell(), None)
        with contextlib.suppress(libvirt.libvirtError):  # libvirt's test driver
            connection.setKeepAlive(KEEPALIVE_S, 3)
    return connection


@contextlib.contextmanager
def connected() -> Iterator[libvirt.virConnect]:
    """The connection; libvirt's own errors come out as Unavailable."""
    global _connection
    try:
        with _lock:
            if _connection is None or not _connection.isAlive():
                _connection = _open()
            connection = _connection
        yield connection
    except libvirt.libvirtError as error:
        kind = EngineGone if error.get_error_domain() in GONE else Unavailable
        if kind is EngineGone:
            _connection = None
        raise kind(
            "libvirt-unavailable", f"libvirt: {error}. Its log says more."
        ) from None


def _find(connection: libvirt.virConnect, instance: str) -> libvirt.virDomain | None:
    for domain in connection.listAllDomains():
        if domain.name() == domain_name(instance):
            return domain
    return None


@contextlib.contextmanager
def _unless_gone() -> Iterator[None]:
    """To end a domain that somebody else ended just now is no error."""
    try:
        yield
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise


def define(xml: str) -> None:
    with connected() as connection:
        connection.defineXML(xml)


def start(instance: str) -> None:
    """Start the domain unless it runs."""
    with connected() as connection:
        domain = connection.lookupByName(domain_name(instance))
        if not domain.isActive():
            domain.create()


def ask_shutdown(instance: str) -> None:
    """Ask the guest, by its agent or else by the power button."""
    with connected() as connection, _unless_gone():
        domain = _find(connection, instance)
        if domain is None or not domain.isActive():
            return
        try:
            domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_GUEST_AGENT)
        except libvirt.libvirtError:
            domain.shutdown()


def destroy(instance: str) -> None:
    """Cut the power."""
    with connected() as connection, _unless_gone():
        domain = _find(connection, instance)
        if domain is not None and domain.isActive():
            with contextlib.suppress(libvirt.libvirtError):
                domain.destroy()


def undefine(instance: str) -> None:
    """Cut the power and forget the domain."""
    destroy(instance)
    with connected() as connection, _unless_gone():
        domain = _find(connection, instance)
        if domain is not None:
            domain.undefine()


def guest_agent_answers(instance: str) -> bool:
    """Whether the agent in the guest has opened its end of the channel."""
    with connected() as connection:
        domain = _find(connection, instance)
        xml = domain.XMLDesc() if domain is not None else "<domain/>"
    return agent_state(xml) == "connected"


def agent_state(xml: str) -> str:
    """What libvirt says of the guest agent's channel in a domain's XML."""
    path = f"devices/channel/target[@name='{GUEST_AGENT}']"
    target = fromstring(xml).find(path)  # noqa: S314 - libvirt wrote it
    return "" if target is None else target.get("state", "")


def state(instance: str) -> str:
    """`running`, `off` or `absent`."""
    return states().get(instance, "absent")


def states() -> dict[str, str]:
    """Every instance that libvirt knows, with `running` or `off`."""
    prefix = domain_name("")
    kinds = (
        ("off", libvirt.VIR_CONNECT_LIST_DOMAINS_INACTIVE),
        ("running", libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE),
    )
    with connected() as connection:
        return {
            domain.name().removeprefix(prefix): word
            for word, flag in kinds
            for domain in connection.listAllDomains(flag)
            if domain.name().startswith(prefix)
        }


def about() -> dict[str, str | int]:
    """What the connection leads to; of versions a major one counts 1000000."""
    with connected() as connection:
        return {
            "uri": connection.getURI(),
            "type": connection.getType(),
            "libvirt": connection.getLibVersion(),
            "hypervisor": connection.getVersion(),
        }


def stats() -> dict[str, dict[str, float]]:
    """What libvirt measures of each running instance; see `measured`."""
    prefix = domain_name("")
    with connected() as connection:
        found = connection.getAllDomainStats(
            0, libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_RUNNING
        )
        return {
            domain.name().removeprefix(prefix): measured(values)
            for domain, values in found
            if domain.name().startswith(prefix)
        }


def measured(values: dict[str, int]) -> dict[str, float]:
    """From libvirt's names: `cpu` in 100 CPU seconds of each vCPU, `memory` of the
    VM's process, `net_*` and `disk_*` over all its interfaces and disks, in bytes.
    What libvirt does not say is left out."""
    found: dict[str, float] = {}
    if "cpu.time" in values:
        vcpus = values.get("vcpu.current") or 1
        found["cpu"] = values["cpu.time"] / 1e9 * 100 / vcpus
    if "balloon.rss" in values:
        found["memory"] = values["balloon.rss"] * 1024.0
    for metric, (group, name) in TRAFFIC.items():
        each = [
            values[key]
            for number in range(values.get(f"{group}.count", 0))
            if (key := f"{group}.{number}.{name}") in values
        ]
        if each:
            found[metric] = float(sum(each))
    return found
