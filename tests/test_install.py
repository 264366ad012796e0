"""What run.sh and test.sh install: only what is missing, also on a bare machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
SAID = {
    "python3": "install ok installed",
    "curl": "deinstall ok config-files",
    "caddy": "hold ok installed",
}
SCRIPT = """
set -euo pipefail
. ./install.sh
apt_get() { echo "apt-get $*"; }
no_service_starts() { :; }
services_may_start() { :; }
dpkg() { :; }
dpkg-query() {
  local status=0 name
  for name in "${@:4}"; do
    case $name in %s *) status=1 ;; esac
  done
  return $status
}
PACKAGES=""
install_packages %s
echo done
"""


def installed(*names: str) -> list[str]:
    """What install_packages says and does, under the shell options of run.sh."""
    cases = " ".join(f"{n}) echo '{n} {status}' ;;" for n, status in SAID.items())
    script = SCRIPT % (cases, " ".join(names))
    command = ["bash", "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_what_is_installed_is_left_alone() -> None:
    assert installed("python3", "caddy") == ["done"]


def test_only_what_is_missing_is_installed() -> None:
    assert installed("python3", "curl", "no-such", "caddy") == [
        "Installing: curl no-such",
        "apt-get update",
        "apt-get install -y --no-install-recommends curl no-such",
        "done",
    ]
