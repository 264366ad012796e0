"""Bridges that nobody uses are found and removed; in a network namespace."""

from __future__ import annotations

import json
import subprocess
import sys

from appliance.config import Settings

SCRIPT = """
import json, subprocess
from appliance import formnet
from appliance.config import settings

def ip(*words):
    subprocess.run(["ip", *words], check=True)

def bridges():
    return [formnet.leftovers(settings(), runs) for runs in (True, False)]

found = [bridges()]
for name, address in (("formation0", "10.42.0.1"), ("older0", "10.42.0.1"),
                      ("busy0", "10.42.0.1"), ("other0", "10.9.9.1")):
    ip("link", "add", name, "type", "bridge")
    ip("addr", "add", f"{address}/24", "dev", name)
ip("link", "add", "guest0", "type", "veth", "peer", "name", "far0")
ip("link", "set", "guest0", "master", "busy0")
found.append(bridges())
formnet.remove_leftover(settings(), "older0")
found.append(bridges())
print(json.dumps(found))
"""


def test_only_bridges_of_ours_that_nobody_uses_are_left_over(
    settings: Settings,
) -> None:
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        [[], []],
        [["older0"], ["formation0", "older0"]],
        [[], ["formation0"]],
    ]
