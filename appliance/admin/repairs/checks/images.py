"""Is everything there that instances start from?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from appliance import pack, state, vmm
from appliance.admin.repairs.issue import Fix, Issue, Repair
from appliance.config import Settings, settings
from appliance.operations import Run

NEEDED = ("manifest.json", "vmlinuz", "initrd.img")


def find(config: Settings) -> Iterator[Issue]:
    backing = vmm.backing_images(config)
    bases: dict[str, list[str]] = {}
    for record in state.select("instance"):
        body, digest = record.body, backing.get(record.id)
        if digest and not (config.images_dir / f"{digest}.qcow2").exists():
            yield of_image(record.id, body["agent"], digest)
        if base := base_of(body):
            bases.setdefault(base, []).append(body["agent"])
    for base, agents in sorted(bases.items()):
        if gone := missing(folder_of(config, base)):
            yield of_base(base, folder_of(config, base), gone, agents)


def base_of(body: dict[str, str]) -> str:
    """The guest base that an instance boots; empty where its version is not known."""
    version = state.find("version", f"{body['agent']}@{body['version']}")
    return str(version.body["formfile"].get("base", "")) if version else ""


def folder_of(config: Settings, base: str) -> Path:
    return config.base_dir / base.replace(":", "-")


def missing(folder: Path) -> list[str]:
    return [name for name in NEEDED if not (folder / name).exists()]


def of_image(instance: str, agent: str, digest: str) -> Issue:
    return Issue(
        "critical",
        "An instance's image is gone",
        f"The disk of {agent} ({instance}) stands on the image {digest[:12]}, which is "
        "not there. It goes on while it runs, and cannot start again.",
        "Deploy the agent's folder again: form deploy DIR. Its volumes are kept.",
        subject=instance,
        link=f"/vmm/{instance}",
    )


def of_base(base: str, folder: Path, gone: list[str], agents: list[str]) -> Issue:
    who = ", ".join(sorted(set(agents))[:5])
    return Issue(
        "critical",
        "A guest base is gone",
        f"{', '.join(gone)} of {base} are missing in {folder}. Instances of {who} boot "
        "by its kernel: they go on while they run, and cannot start again.",
        f"Make it again, then deploy those agents anew: its kernel may be a newer one. "
        f"As root: form pack base --suite {pack.SUITES.get(base, base)}",
        subject=base.replace(":", "-"),
        fix=Fix("Make the base") if base in pack.SUITES else None,
        state=base,
    )


def mend(run: Run, subject: str) -> None:
    """Of a base: what is left of it goes, so that it is made whole."""
    base = next(name for name in pack.SUITES if name.replace(":", "-") == subject)
    folder = folder_of(settings(), base)
    if missing(folder):
        (folder / NEEDED[0]).unlink(missing_ok=True)
    run.progress(None, "this takes some minutes")
    pack.ensure_base(base, folder, run.log, run.should_end)


REPAIR = Repair("images", "Images of instances", find, mend)
