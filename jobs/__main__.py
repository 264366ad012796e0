"""formation-jobs: the timetable and the operation runner, as root."""

from __future__ import annotations

import os
import threading

import structlog

from appliance import identity, older, pack, schema, vmm, wake
from appliance.admin.rights import authorise
from appliance.config import Settings, settings
from appliance.host import Host
from appliance.process import opened, run_rounds, set_up_logging
from appliance.runner import Runner
from jobs.clock import ending, timetable

log = structlog.get_logger()


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
    scheduler = timetable(config)
    scheduler.start()

    def leave() -> None:
        ending.set()
        scheduler.shutdown(wait=False)
        runner.stop()

    waiter = wake.Waiter(config.run_dir, "jobs")
    run_rounds(host, waiter, runner.round, leave)


if __name__ == "__main__":
    main()
