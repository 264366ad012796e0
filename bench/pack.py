"""Building examples/echo: cold, with one changed file, with no change.

Prints one JSON line for each figure. Builds in a folder of its own on the node's
guest base (FORMATION_TEST_BASE for another). The peer is buildah with the same
steps on the same tree, to one file as well (an OCI archive; ours is a bootable
qcow2). Each round has a new folder, and both take turns at being first. Without
buildah the peer is null: apt install buildah.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
START_ID = 1_600_000_000
DOCKERFILE = """FROM scratch
ADD rootfs.tar /
RUN apt-get -q update && apt-get -q -y -o APT::Sandbox::User=root install \\
    --no-install-recommends python3 && apt-get clean && rm -rf /var/lib/apt/lists/*
COPY agent.py /app/agent.py
WORKDIR /app
EXPOSE 8000
ENTRYPOINT ["python3", "/app/agent.py"]
"""
FIGURES = (
    ("pack, cold build of examples/echo", "cold", None),
    ("pack, one changed file", "changed", 6.0),
    ("pack, no change", "same", 0.5),
)


def ours(folder: Path, base: Path) -> Callable[[], None]:
    """A build as form-pack makes it."""
    from appliance import pack
    from appliance.config import settings

    context, data = folder / "context", folder / "data"
    data.mkdir(mode=0o711)

    def build() -> None:
        checked = pack.check((context / "Formfile").read_bytes(), context)
        if checked.formfile is None:
            raise SystemExit(f"examples/echo does not check: {checked.diagnostics}")
        request = replace(
            pack.request(settings(), checked.formfile, context),
            base_dir=base,
            data_dir=data,
            images_dir=data / "images",
            start_id=START_ID,
        )
        pack.build(request, lambda line: None)

    return build


def buildah(folder: Path, base: Path) -> Callable[[], None] | None:
    """The peer's build, to an archive where something was made."""
    if shutil.which("buildah") is None:
        print("no peer: apt install buildah", file=sys.stderr)
        return None
    context, archive = folder / "context", folder / "echo.oci"
    shutil.copyfile(base / "rootfs.tar", context / "rootfs.tar")
    (folder / "Dockerfile").write_text(DOCKERFILE)
    store = ["--root", str(folder / "store"), "--runroot", str(folder / "run")]
    make = ["build", "--isolation=chroot", "--layers", "-q", "-t", "echo"]
    before: list[str] = []

    def run(*arguments: str) -> str:
        command = ["buildah", *store, *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}: {done.stderr[-800:]}")
        return done.stdout.strip()

    def build() -> None:
        made = run(*make, "-f", str(folder / "Dockerfile"), str(context))
        if before != [made]:
            archive.unlink(missing_ok=True)
            run("push", "-q", "echo", f"oci-archive:{archive}")
            before[:] = [made]

    return build


def seconds(build: Callable[[], None] | None) -> float | None:
    if build is None:
        return None
    began = time.monotonic()
    build()
    return time.monotonic() - began


def measure(folder: Path, base: Path, swap: bool) -> dict[str, list[float | None]]:
    """The times of both for each figure; `swap` says that the peer goes first."""
    context = folder / "context"
    shutil.copytree(ROOT / "examples" / "echo", context)
    builds = (ours(folder, base), buildah(folder, base))

    def both() -> list[float | None]:
        order = (1, 0) if swap else (0, 1)
        times = {number: seconds(builds[number]) for number in order}
        return [times[0], times[1]]

    cold = both()
    with (context / "agent.py").open("a") as file:
        file.write("# changed\n")
    return {"cold": cold, "changed": both(), "same": both()}


def figure(name: str, times: list[list[float | None]], goal: float | None) -> str:
    value = statistics.median(pair[0] for pair in times if pair[0] is not None)
    peers = [pair[1] for pair in times if pair[1] is not None]
    peer = statistics.median(peers) if peers else None
    return json.dumps(
        {
            "figure": name,
            "value": round(value, 3),
            "unit": "s",
            "peer": "buildah, the same steps to an OCI archive",
            "peer_value": round(peer, 2) if peer is not None else None,
            "ratio": round(value / peer, 2) if peer else None,
            "goal": f"at most {goal:g} s" if goal else None,
            "met": value <= goal if goal else None,
        }
    )


def main() -> None:
    from appliance.config import settings

    base = os.environ.get("FORMATION_TEST_BASE", settings().base_dir / "debian-13")
    rounds = []
    for number in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="bench-pack-", dir="/var/tmp") as name:
            Path(name).chmod(0o711)  # a build's user must reach its layers
            rounds.append(measure(Path(name), Path(base), swap=bool(number % 2)))
    for title, key, goal in FIGURES:
        print(figure(title, [times[key] for times in rounds], goal))


if __name__ == "__main__":
    main()
