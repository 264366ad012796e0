"""The gateway as `launch` starts it: a real gunicorn, without machines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from appliance import identity, reloading, state
from appliance.admin import accounts, tokens
from appliance.admin.programs import programs
from appliance.config import Settings, config_file
from appliance.service import choose, read_status, services, status_file
from appliance.state.server import StateServer
from tests.market.agents import Agent

ROOT = Path(__file__).parents[2]
RUN = "/api/v1/market/agents/ann/echo/run_task"


def until(found: Callable[[], object]) -> None:
    pause = threading.Event()
    for _ in range(300):
        if found():
            return
        pause.wait(0.1)
    pytest.fail("not within 30 s")


@pytest.fixture
def gateway(settings: Settings, records: StateServer) -> Iterator[httpx.Client]:
    identity.sealing_key(settings)
    choose(settings, ["marketplace"])
    running = {"state": "running", "reason": "", "since": 1.0, "beat": 1e12}
    note = settings.run_dir / "state" / "form-state.json"
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps(running))
    command = next(p.command for p in programs(settings) if p.name == "gateway")
    socket = str(settings.run_dir / "gateway.sock")
    marketplace = services()["marketplace"]
    status_file(settings, marketplace).unlink(missing_ok=True)  # it is to say so itself
    process = subprocess.Popen(
        [*command, f"--bind=unix:{socket}"],
        cwd=ROOT,
        env={**os.environ, "FORMATION_PROCESS": "gateway"},
    )
    transport = httpx.HTTPTransport(uds=socket)
    try:
        until(lambda: read_status(settings, marketplace).state == "running")
        with httpx.Client(transport=transport, base_url="http://localhost") as client:
            yield client
    finally:
        process.terminate()
        process.wait(20)
    assert read_status(settings, marketplace).state == "stopped"


def callable_echo(server: Agent) -> dict[str, str]:
    """The agent ann/echo, and the headers of who may call it."""
    account = accounts.create(
        "ada", accounts.hash_password("correct horse battery"), ("operator",)
    )
    token, _ = tokens.create(account, "test", ["admin"])
    bearer = {"Authorization": f"Bearer {token}"}
    agent = {"owner": "1", "owner_name": "ann", "name": "echo", "latest": "0.1.0"}
    state.put("agent", "ann/echo", agent)
    where = {"address": "127.0.0.1", "port": server.port, "node": "n"}
    about = {"agent": "ann/echo", "version": "0.1.0", "state": "healthy"}
    state.put("instance", "i", {**where, **about, "reason": ""})
    return bearer


def test_deltas_come_one_by_one_while_the_agent_works(
    gateway: httpx.Client,
) -> None:
    server = Agent(streaming=True)
    try:
        bearer = callable_echo(server)
        wish = {"input": {"text": "x", "do": "hold"}}
        headers = {**bearer, "Accept": "text/event-stream"}
        with gateway.stream("POST", RUN, json=wish, headers=headers) as answer:
            for line in answer.iter_lines():
                if line == 'data: {"text": "a"}':
                    break  # it came while the agent was still at work
        assert not server.release.is_set()
        server.release.set()
        done = gateway.post(RUN, json={"input": {"text": "hi"}}, headers=bearer)
        assert done.json()["output"] == {"text": "hi"}
    finally:
        server.close()


def test_a_reload_under_load_loses_no_request_and_no_stream(
    gateway: httpx.Client, settings: Settings
) -> None:
    """SIGHUP to the master: the same worker goes on, with the new settings."""
    server = Agent(streaming=True)
    (master,) = (
        child
        for child in psutil.Process().children()
        if str(settings.run_dir) in " ".join(child.cmdline())
    )
    workers = master.children()
    stop, answers = threading.Event(), []

    def call() -> None:
        transport = httpx.HTTPTransport(uds=str(settings.run_dir / "gateway.sock"))
        with httpx.Client(transport=transport, base_url="http://localhost") as client:
            while not stop.is_set():
                answers.append(client.get("/healthz").status_code)

    clients = [threading.Thread(target=call) for _ in range(4)]
    try:
        bearer = callable_echo(server)
        wish = {"input": {"text": "x", "do": "hold"}}
        headers = {**bearer, "Accept": "text/event-stream"}
        with gateway.stream("POST", RUN, json=wish, headers=headers) as answer:
            assert answer.status_code == 200, answer.read()
            lines = answer.iter_lines()
            assert 'data: {"text": "a"}' in lines
            for client in clients:
                client.start()
            for size in range(1, 6):
                reload_with(settings, master, f"[market]\nmax_output_mib = {size}\n")
            server.release.set()
            assert any("completed" in line for line in lines)
        stop.set()
        for client in clients:
            client.join()
        assert len(answers) > 20 and set(answers) == {200}
        assert master.children() == workers
    finally:
        stop.set()
        server.close()


def reload_with(settings: Settings, master: psutil.Process, text: str) -> None:
    """Change the settings, and wait until the gateway has read them."""
    config_file().write_text(text)
    note = reloading.report_file(settings, "gateway")
    before = note.stat().st_ino
    master.send_signal(signal.SIGHUP)
    until(lambda: note.stat().st_ino != before)
    report = reloading.read(settings, "gateway")
    assert report and report.trouble == ""


def test_a_body_that_is_too_large_is_read_on_so_that_its_sender_sees_why(
    gateway: httpx.Client,
) -> None:
    account = accounts.create(
        "ada", accounts.hash_password("correct horse battery"), ("operator",)
    )
    token, _ = tokens.create(account, "test", ["admin"])
    agent = {"owner": "1", "owner_name": "ann", "name": "echo", "latest": "0.1.0"}
    state.put("agent", "ann/echo", agent)
    pieces = (b" " * 65536 for _ in range(64))
    bearer = {"Authorization": f"Bearer {token}"}
    answer = gateway.post(RUN, content=pieces, headers=bearer)
    assert answer.status_code == 413
    assert next(pieces, None) is None


def test_a_master_that_is_killed_takes_its_worker_along(
    settings: Settings, records: StateServer
) -> None:
    command = next(p.command for p in programs(settings) if p.name == "web")
    socket = settings.run_dir / "web.sock"
    (settings.run_dir / "web" / "admin.json").unlink()
    master = subprocess.Popen(
        [*command, f"--bind=unix:{socket}"],
        cwd=ROOT,
        env={**os.environ, "FORMATION_PROCESS": "web"},
    )
    status = settings.run_dir / "web" / "admin.json"
    until(status.exists)  # the worker is at work
    workers = psutil.Process(master.pid).children()
    master.kill()
    master.wait(10)
    assert len(workers) == 1
    until(lambda: not any(worker.is_running() for worker in workers))
