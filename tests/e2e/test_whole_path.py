"""From a fresh node to an agent that answers by name, as a person does it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

from appliance.formnet import port

from .conftest import FORM, ROOT, Node, until

pytestmark = [pytest.mark.vm, pytest.mark.browser, pytest.mark.timeout(600)]
PASSWORD = "correct horse battery"  # noqa: S105
NAME = "echo.formation.internal"


@pytest.fixture(scope="module")
def tab() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser: Browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        yield browser.new_page()
        browser.close()


def visit(tab: Page, url: str) -> None:
    """Go there; Chromium cuts what it loads while an address of the machine changes,
    as when the node makes its bridge, and then a person's would load it again."""
    try:
        tab.goto(url)
    except Error as error:
        if "ERR_NETWORK_CHANGED" not in error.message:
            raise
        tab.goto(url)


def test_the_wizard_sets_the_node_up(node: Node, tab: Page) -> None:
    visit(tab, node.url)
    tab.fill("#code", "wrong")
    tab.click("button.first")
    expect(tab.locator(".error").first).to_contain_text("not the claim code")
    tab.fill("#code", node.claim)
    tab.click("button.first")
    tab.click("button.first")  # checks
    tab.fill("#name", "cellar")
    tab.click("button.first")
    tab.fill("#name", "ada")
    tab.fill("#password", PASSWORD)
    tab.fill("#again", PASSWORD)
    tab.click("button.first")
    tab.click("button.first")  # services
    tab.click("button.first")
    until(lambda: node.form("status").count("running") == 7, 30, "all services run")
    visit(tab, node.url)
    expect(tab.locator("h1")).to_have_text("No agents run yet")
    assert httpx.get(f"{node.url}/setup/").status_code == 410


USERS = {
    "state": "formation-state",
    "dns": "formation-dns",
    "web": "formation-web",
    "gateway": "formation-web",
    "caddy": "caddy",
    "jobs": "root",
    "libvirtd": "root",
}


def test_every_process_runs_as_its_own_user(node: Node) -> None:
    found: dict[str, set[str]] = {}
    for process in psutil.process_iter(["username", "environ"]):
        environ = process.info["environ"] or {}
        if environ.get("FORMATION_RUN_DIR") == str(node.folder / "run"):
            name = environ.get("FORMATION_PROCESS", "supervisord")
            found.setdefault(name, set()).add(process.info["username"])
    found.pop("supervisord")
    assert found == {name: {user} for name, user in USERS.items()}


def test_what_is_roots_is_closed_to_the_process_that_serves_pages(node: Node) -> None:
    for closed in ("data/keys/seal.key", "data/state/node.key", "data/tls/node.key"):
        assert (node.folder / closed).is_file()
        user = ["setpriv", "--reuid=formation-web", "--regid=formation-web"]
        command = [*user, "--init-groups", "cat", str(node.folder / closed)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert "Permission denied" in done.stderr


def test_mistakes_in_the_editor_are_shown_while_typing(node: Node, tab: Page) -> None:
    visit(tab, f"{node.url}/pack/deploy")
    tab.fill("#formfile", "NAME a\nMEM 128\nENTRYPOINT x\n")
    expect(tab.locator("#findings .error")).to_contain_text("at least 512")


def test_an_uploaded_folder_becomes_a_healthy_agent(
    node: Node, tab: Page, tmp_path: Path
) -> None:
    archive = tmp_path / "echo.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(ROOT / "examples/echo", arcname="echo")
    visit(tab, f"{node.url}/pack/deploy")
    tab.set_input_files("#archive", archive)
    tab.click("button:has-text('Deploy')")
    ended = tab.locator("#operation p.error, #operation p:has-text('It answers at')")
    expect(ended).to_be_visible(timeout=240_000)
    expect(ended).to_contain_text("It answers at")


def test_try_it_answers(node: Node, tab: Page) -> None:
    visit(tab, f"{node.url}/market/ada/echo")
    tab.fill("#input", '{"text": "hello"}')
    tab.click("main button.first")
    expect(tab.locator("#answer")).to_contain_text("hello")


def test_run_answers_and_refuses_what_is_no_input(node: Node) -> None:
    assert '{"text": "hi"}' in node.form("run", "echo", "--input", '{"text":"hi"}')
    wrong = node.form("run", "echo", "--input", '{"txt":1}', check=False)
    assert "schema" in wrong
    assert "not JSON" in node.form("run", "echo", "--input", "hi", check=False)
    assert "no agent" in node.form("run", "nobody", "--input", "1", check=False)


def test_the_guest_agent_answers(node: Node, tab: Page) -> None:
    visit(tab, f"{node.url}/vmm/{node.form('vmm', 'list').split()[0]}")
    expect(tab.locator("#guest_agent")).to_contain_text("answers", timeout=20_000)


def test_the_name_leads_to_the_instance(node: Node) -> None:
    assert node.dig(NAME, "+short").startswith("10.213.0.")
    assert "SOA" in node.dig(NAME, "AAAA")
    assert "NXDOMAIN" in node.dig("nobody.formation.internal")


def test_the_guest_is_bound_to_its_port_and_reaches_what_it_may(node: Node) -> None:
    shown = node.form("formnet", "show")
    address = node.dig(NAME, "+short").strip()
    assert f"{address:16} healthy" in shown
    assert Path("/sys/class/net", port(address), "brport").exists()
    assert "spoofed" in shown
    assert "spoofed          0 packets" in shown


def test_every_record_is_genuine_and_linked(node: Node) -> None:
    assert "database: ok" in node.form("state", "verify")
    agent = json.loads(node.form("state", "show", "agent", "ada/echo"))
    kinds = {end["kind"] for end in agent["links"] + agent["linked_from"]}
    assert kinds == {"account", "version", "deployment", "instance", "domain"}


def test_the_instance_is_found_again_after_jobs_is_killed(node: Node) -> None:
    node.kill("jobs")
    until(lambda: node.form("status").count("running") == 7, 60, "jobs is back")
    assert "hi" in node.form("run", "echo", "--input", '{"text":"hi"}')


@pytest.mark.parametrize(
    ("process", "step"),
    [
        ("jobs", "build"),
        ("jobs", "boot"),
        ("jobs", "healthy"),
        ("state", "build"),
        ("libvirtd", "healthy"),
    ],
)
def test_a_deployment_survives_kill_9_in_its_middle(
    node: Node, tmp_path: Path, process: str, step: str
) -> None:
    shutil.copytree(ROOT / "examples/echo", tmp_path / "echo")
    with (tmp_path / "echo/agent.py").open("a") as file:
        file.write(f"# {process} {step}\n")
    deploying = subprocess.Popen(
        [FORM, "deploy", str(tmp_path / "echo")],
        env=node.environment,
        cwd=ROOT,
    )
    until(lambda: node.step() == step, 90, f"the deployment is at {step}")
    node.kill(process)
    assert deploying.wait(180) == 0
    assert node.form("vmm", "list").count("ada/echo") == 1
    assert "hi" in node.form("run", "echo", "--input", '{"text":"hi"}')


def test_a_guest_that_dies_is_started_again(node: Node) -> None:
    instance = node.form("vmm", "list").split()[0]
    (pid,) = (
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if f"guest=formation-{instance}," in " ".join(process.info["cmdline"] or [])
    )
    os.kill(pid, signal.SIGKILL)
    until(lambda: "unhealthy" in node.form("vmm", "list"), 20, "its end is seen")
    until(lambda: "unhealthy" not in node.form("vmm", "list"), 60, "it is healthy")
    assert "hi" in node.form("run", "echo", "--input", '{"text":"hi"}')


def test_instances_outlive_libvirtd_and_are_found_again(node: Node) -> None:
    node.kill("libvirtd")
    assert "hi" in node.form("run", "echo", "--input", '{"text":"hi"}')
    instance = node.form("vmm", "list").split()[0]
    node.form("vmm", "reboot", instance)
    assert "hi" in node.form("run", "echo", "--input", '{"text":"hi"}')


def test_what_libvirtd_is_needed_for_waits_until_it_is_back(node: Node) -> None:
    """It is away for as long as it takes to see that everything waits: 90 s would be
    borne (ENGINE_WAIT_S), and nothing but the end of that tells ten from sixty."""
    instance = node.form("vmm", "list").split()[0]
    node.supervise("stop", "libvirtd")
    until(lambda: "degraded" in node.form("status"), 30, "its absence is told")
    assert "hi" in node.form("run", "echo", "--input", '{"text":"hi"}')
    rebooting = subprocess.Popen(
        [FORM, "vmm", "reboot", instance],
        env=node.environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    until(lambda: node.step() == "reboot", 30, "the reboot is asked for")
    assert rebooting.poll() is None
    node.supervise("start", "libvirtd")
    said, _ = rebooting.communicate(timeout=60)
    assert rebooting.returncode == 0, said
    assert "waiting: libvirt" in said
    until(lambda: node.form("status").count("running") == 7, 30, "all services run")
    assert "hi" in node.form("run", "echo", "--input", '{"text":"hi"}')


def test_a_guest_that_does_not_hear_the_power_button_is_cut_off(
    node: Node, tmp_path: Path
) -> None:
    """After SHUTDOWN_S, 10 s, which is no setting."""
    (tmp_path / "Formfile").write_text(
        "NAME deaf\nHEALTHCHECK /\n"
        "ENTRYPOINT ln -sf /bin/true /usr/lib/formation/power; cd /tmp; "
        "echo ok > index.html; exec /usr/lib/formation/busybox httpd -f -p 8000\n"
    )
    node.form("deploy", str(tmp_path))
    line = next(x for x in node.form("vmm", "list").splitlines() if "deaf" in x)
    instance = line.split()[0]
    node.form("vmm", "stop", instance)
    assert "stopped" in node.form("vmm", "list")
    assert not any(f"guest=formation-{instance}," in one for one in node.processes())
    assert "stopping" not in node.form("vmm", "console", instance)
    node.form("vmm", "delete", instance)


def test_a_broken_agent_fails_with_its_log_and_leaves_the_old_one(
    node: Node, tmp_path: Path
) -> None:
    (tmp_path / "Formfile").write_text(
        "NAME echo\nRUN echo no luck; exit 3\nENTRYPOINT true\n"
    )
    said = node.form("deploy", str(tmp_path), check=False)
    assert "ended with status 3" in said
    assert "no luck" in said
    assert "hi" in node.form("run", "echo", "--input", '{"text":"hi"}')


def test_an_entrypoint_that_dies_is_told_with_its_log(
    node: Node, tmp_path: Path
) -> None:
    (tmp_path / "Formfile").write_text("NAME doomed\nENTRYPOINT echo my end; exit 3\n")
    said = node.form("deploy", str(tmp_path), check=False)
    assert "keeps ending" in said
    assert "my end" in said
    assert "doomed" not in node.form("vmm", "list")


def test_an_agent_that_needs_systemd_gets_it(node: Node, tmp_path: Path) -> None:
    (tmp_path / "Formfile").write_text(
        "NAME heavy\nINSTALL systemd python3\nHEALTHCHECK /init\nENTRYPOINT cd /tmp;"
        "cat /proc/1/comm > init; exec python3 -m http.server 8000\n"
    )
    assert "becomes the guest's init" in node.form("deploy", str(tmp_path))
    line = next(x for x in node.form("vmm", "list").splitlines() if "heavy" in x)
    instance, address = line.split()[0], line.split()[4]
    assert httpx.get(f"http://{address}:8000/init").text == "systemd\n"
    node.form("vmm", "stop", instance)
    node.form("vmm", "delete", instance)


def test_a_volume_outlives_its_instance_until_a_person_deletes_it(
    node: Node, tmp_path: Path
) -> None:
    (tmp_path / "Formfile").write_text(
        "NAME keeper\nINSTALL python3\nVOLUME /data\nHEALTHCHECK /kept\nENTRYPOINT "
        "cd /data; echo kept > kept; exec python3 -m http.server 8000\n"
    )
    node.form("deploy", str(tmp_path))
    delete = ("vmm", "volume-delete", "ada/keeper", "/data")
    until(lambda: "ada/keeper data" in node.form("vmm", "volumes"), 60, "it is shown")
    assert "needed by an instance of ada/keeper" in node.form(*delete, check=False)
    line = next(x for x in node.form("vmm", "list").splitlines() if "keeper" in x)
    node.form("vmm", "delete", line.split()[0])
    assert "were freed" in node.form(*delete)
    assert "keeper" not in node.form("vmm", "volumes")


def test_space_is_freed_and_what_runs_still_does(node: Node) -> None:
    assert "ada/echo" in node.form("pack", "images")
    assert "Build layers" in node.form("storage")
    assert "removed the layer" in node.form("pack", "collect", "--all")
    left = node.form("pack", "collect", "--all", "--dry-run")
    assert left.splitlines()[-1] == "0 MB would be freed"
    line = next(x for x in node.form("vmm", "list").splitlines() if "echo" in x)
    node.form("vmm", "reboot", line.split()[0])
    assert "hi" in node.form("run", "echo", "--input", '{"text":"hi"}')


def test_the_whole_node_stops_and_comes_back(node: Node) -> None:
    node.process.send_signal(signal.SIGINT)
    node.process.wait(90)
    assert node.processes() == []
    node.start()
    assert "unhealthy" in node.form("vmm", "list")
    until(lambda: "unhealthy" not in node.form("vmm", "list"), 90, "it is healthy")
    assert "hi" in node.form("run", "echo", "--input", '{"text":"hi"}')


def test_a_deployment_that_the_nodes_end_cut_short_goes_on(
    node: Node, tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "examples/echo", tmp_path / "echo")
    with (tmp_path / "echo/agent.py").open("a") as file:
        file.write("# stopped\n")
    deploying = subprocess.Popen(
        [FORM, "deploy", str(tmp_path / "echo")],
        env=node.environment,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(lambda: node.step() == "healthy", 90, "the deployment waits for its guest")
    node.process.send_signal(signal.SIGINT)
    node.process.wait(90)
    deploying.wait(90)
    assert node.processes() == [], "a guest stayed behind"
    node.start()
    newest = partial(node.form, "operations", "list")
    ended = ("completed", "failed", "canceled")
    until(lambda: newest().split()[1] in ended, 90, "it goes on")
    id_, state, *_ = newest().split()
    assert state == "completed", node.form("operations", "show", id_) + node.logs()
    until(lambda: "unhealthy" not in node.form("vmm", "list"), 90, "it is healthy")
    assert "hi" in node.form("run", "echo", "--input", '{"text":"hi"}')


def test_stop_start_and_delete(node: Node) -> None:
    instance = node.form("vmm", "list").split()[0]
    node.form("vmm", "stop", instance)
    until(lambda: not node.dig(NAME, "+short"), 10, "the name has no answer")
    gone = node.form("run", "echo", "--input", '{"text":"hi"}', check=False)
    assert "no healthy instance" in gone
    node.form("vmm", "start", instance)
    until(lambda: node.dig(NAME, "+short"), 10, "the name answers again")
    node.form("vmm", "delete", instance)
    until(lambda: "NXDOMAIN" in node.dig(NAME), 10, "the name is gone")
    assert node.form("vmm", "list") == ""
    assert node.form("state", "list", "deployment") == ""
    assert "database: ok" in node.form("state", "verify")
