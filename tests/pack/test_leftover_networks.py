"""What killed builds left of their networks is told and removed; in a namespace."""

from __future__ import annotations

import json
import subprocess
import sys

from appliance.config import Settings

SCRIPT = """
import json, os, subprocess
from appliance import pack
from appliance.config import settings

def run(*words):
    subprocess.run(words, check=True)

run("mount", "-t", "sysfs", "none", "/sys")  # whose interfaces are the namespace's
found = [pack.dead_networks(settings())]
for number, pid in ((3, 2**22 + 1), (5, os.getpid())):
    run("nft", "add", "table", "inet", f"formation_build_{number}")
    run("ip", "link", "add", f"fbuild{number}", "type", "bridge")
    run("ip", "link", "set", f"fbuild{number}", "alias", str(pid))
run("nft", "add", "table", "inet", "formation_build_7")
found.append(pack.dead_networks(settings()))
pack.sweep_networks(settings())
found.append(pack.dead_networks(settings()))
listed = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True)
found.append(listed.stdout.split())
print(json.dumps(found))
"""


def test_only_networks_of_dead_builds_are_left_over(settings: Settings) -> None:
    done = subprocess.run(
        ["unshare", "--net", "--mount", sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        [],
        ["fbuild3", "fbuild7"],
        [],
        ["table", "inet", "formation_build_5"],
    ]
