"""The one module that speaks to libvirt; it reconnects when libvirtd was gone."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import libvirt

from appliance.config import settings
from appliance.problems import EngineGone, Unavailable
from appliance.vmm.domain import domain_name

_lock = threading.Lock()
_connection: libvirt.virConnect | None = None
libvirt.registerErrorHandler(lambda context, error: None, None)

_listener: Callable[[], None] | None = None
GONE = (libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE)
KEEPALIVE_S = 5


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
    with connected() as connection:
        domain = _find(connection, instance)
        if domain is None or not domain.isActive():
            return
        try:
            domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_GUEST_AGENT)
        except libvirt.libvirtError:
            domain.shutdown()


def destroy(instance: str) -> None:
    """Cut the power."""
    with connected() as connection:
        domain = _find(connection, instance)
        if domain is not None and domain.isActive():
            with contextlib.suppress(libvirt.libvirtError):
                domain.destroy()


def undefine(instance: str) -> None:
    """Cut the power and forget the domain."""
    destroy(instance)
    with connected() as connection:
        domain = _find(connection, instance)
        if domain is not None:
            domain.undefine()


def state(instance: str) -> str:
    """`running`, `off` or `absent`."""
    return states().get(instance, "absent")


def states() -> dict[str, str]:
    """Every instance that libvirt knows, with `running` or `off`."""
    prefix = domain_name("")
    with connected() as connection:
        return {
            domain.name().removeprefix(prefix): "running"
            if domain.isActive()
            else "off"
            for domain in connection.listAllDomains()
            if domain.name().startswith(prefix)
        }


def stats() -> dict[str, dict[str, float]]:
    """CPU seconds, memory bytes, disk and network bytes of running instances."""
    prefix = domain_name("")
    found: dict[str, dict[str, float]] = {}
    with connected() as connection:
        for domain, values in connection.getAllDomainStats(0, 0):
            name = domain.name()
            if name.startswith(prefix) and domain.isActive():
                found[name.removeprefix(prefix)] = {
                    "cpu_s": values.get("cpu.time", 0) / 1e9,
                    "memory": values.get("balloon.rss", 0) * 1024.0,
                    "net_in": float(values.get("net.0.rx.bytes", 0)),
                    "net_out": float(values.get("net.0.tx.bytes", 0)),
                    "disk_read": float(values.get("block.0.rd.bytes", 0)),
                    "disk_written": float(values.get("block.0.wr.bytes", 0)),
                }
    return found
