"""form-pack as a service: builds run as operations in formation-jobs."""

from __future__ import annotations

import shutil

from appliance.config import Settings
from appliance.pack import place
from appliance.service import Chart, Page, Served, Service, State


class PackRuntime(Served):
    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._base = settings.base_dir / "debian-13" / "manifest.json"

    def start(self) -> None:
        """Take away what a crash left of builds."""
        from appliance.pack.build import sweep

        sweep(self._settings)

    def stop(self) -> None:
        place.vacate(place.layers(self._settings))

    def status(self) -> tuple[State, str]:
        if shutil.which("mke2fs", path="/sbin:/usr/sbin:/bin:/usr/bin") is None:
            return "degraded", "mke2fs is missing: apt install e2fsprogs"
        if not self._base.exists():
            return "running", "the first build makes the guest base"
        return "running", ""


SERVICE = Service(
    name="form-pack",
    title="Images",
    segment="pack",
    process="jobs",
    runtime=PackRuntime,
    section="pack",
    depends=("form-state",),
    summary="Builds images from Formfiles.",
    without="Nothing new can be built.",
    measures="appliance.pack.measures",
    charts=(
        Chart("Builds an hour", ("builds", "builds_failed")),
        Chart("Time of a build", ("build_seconds",)),
        Chart("Layers an hour", ("layers_made", "layers_cached")),
    ),
    pages=(
        Page("/pack/deploy", "Deploy", rank=40, role="developer"),
        Page("/pack/", "Images", rank=45, role="auditor"),
    ),
)
