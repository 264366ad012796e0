"""formation-jobs: the timetable and the operation runner, as root."""

from __future__ import annotations

import os
import threading

import structlog

from appliance import clock, identity, notify, older, pack, schema, vmm, wake
from appliance.admin.rights import authorise
from appliance.config import Settings, settings
from appliance.host import Host
from appliance.process import opened, run_rounds, set_up_logging
from appliance.runner import Runner
from jobs.clock import ending, timetable

log = structlog.get_logger()
PULSE_S, LONGEST_ROUND_S = 5, 600.0


class Pulse:
    """Fed by the timetable, so that it fails with it, and only while rounds go on: one
    may take long, as where libvirtd is waited for or KVM is tried."""

    def __init__(self) -> None:
        self._beat = clock.monotonic()

    def beat(self) -> None:
        self._beat = clock.monotonic()

    def tell(self) -> None:
        if clock.monotonic() - self._beat < LONGEST_ROUND_S:
            notify.alive()


def new_runner(config: Settings) -> Runner:
    """What runs operations here: it asks again whether their accounts still may."""
    return Runner(
        authorise=authorise,
        make_room=lambda: pack.collect(config, everything=True),
    )


def main() -> None:
    config = settings()
    set_up_logging(config)
    for note in older.translate(os.environ).notes:
        log.warning("older.variable", note=note)
    schema.open_all(config)
    host = Host(config, "jobs")
    opened(host, lambda: identity.sealing_key(config))
    threading.Thread(target=vmm.accelerator, args=(config,), daemon=True).start()
    runner = new_runner(config)
    runner.recover()
    scheduler, pulse = timetable(config), Pulse()
    scheduler.add_job(pulse.tell, "interval", seconds=PULSE_S, id="pulse")
    scheduler.start()

    def leave() -> None:
        ending.set()
        scheduler.shutdown(wait=False)
        runner.stop()

    waiter = wake.Waiter(config.run_dir, "jobs")
    run_rounds(host, waiter, runner.round, leave, pulse.beat)


if __name__ == "__main__":
    main()
