"""Running processes read their settings anew, and lose nothing that they serve."""

from __future__ import annotations

import os
import signal

from appliance import config, reloading, wake
from appliance.config import Settings
from appliance.host import Host
from appliance.market.engine import Engine
from appliance.market.shares import Shares
from appliance.process import run_rounds


def set_(settings: Settings, text: str) -> None:
    config.config_file().write_text(text)


def test_a_process_reads_them_when_it_is_asked_to(settings: Settings) -> None:
    host, told = Host(settings, "web"), []
    host.follow(lambda found: told.append(found.dns.ttl))
    host.tick()
    set_(settings, "[dns]\nttl = 77\n")
    host.tick()
    assert config.settings().dns.ttl == 5 and told == []
    asked = reloading.ask(settings)
    host.tick()
    host.tick()
    assert config.settings().dns.ttl == 77 and told == [77]
    report = reloading.read(settings, "web")
    assert report and (report.answered, report.trouble) == (asked, "")
    assert report.started["dns"]["ttl"] == 5


def test_wrong_settings_change_nothing_and_the_process_says_so(
    settings: Settings,
) -> None:
    host = Host(settings, "web")
    set_(settings, "[dns]\nttl = -1\n")
    asked = reloading.ask(settings)
    host.tick()
    report = reloading.read(settings, "web")
    assert report and report.answered == asked and "dns.ttl" in report.trouble
    assert config.settings().dns.ttl == 5


def test_a_process_that_starts_later_does_not_read_them_twice(
    settings: Settings,
) -> None:
    reloading.ask(settings)
    host, told = Host(settings, "web"), []
    host.follow(told.append)
    host.tick()
    assert told == []


def test_two_questions_at_one_moment_are_two(settings: Settings) -> None:
    assert reloading.ask(settings) < reloading.ask(settings)


def test_sighup_makes_a_process_read_them(settings: Settings) -> None:
    """In the main thread, as run_rounds wants."""
    host, waiter = Host(settings, "dns"), wake.Waiter(settings.run_dir, "dns")
    set_(settings, "[log]\nlevel = 'error'\n")
    rounds = 0

    def work() -> None:
        nonlocal rounds
        rounds += 1
        os.kill(os.getpid(), signal.SIGHUP if rounds == 1 else signal.SIGTERM)

    before = {n: signal.getsignal(n) for n in (signal.SIGHUP, signal.SIGTERM)}
    before[signal.SIGINT] = signal.getsignal(signal.SIGINT)
    try:
        run_rounds(host, waiter, work)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert config.settings().log.level == "error"


def test_the_gateways_bounds_follow_and_what_runs_goes_on(settings: Settings) -> None:
    shares = Shares(1, 1)
    assert shares.take("a") and not shares.take("a")
    shares.resize(2, 2)
    assert shares.take("a")
    shares.resize(1, 1)
    assert shares.taken("a") == 2
    engine = Engine(settings)
    set_(settings, "[market]\nmax_output_mib = 2\n")
    engine.reload(config.reload())
    assert engine._limit == 2 << 20
