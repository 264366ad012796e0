"""Are there images that belong to nothing?"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from appliance import clock, pack
from appliance.admin import storage
from appliance.admin.repairs.issue import Fix, Issue, Repair
from appliance.config import Settings, settings
from appliance.operations import Run

LEFT_S = 86400.0  # a build without a deployment may be for later


def find(config: Settings) -> Iterator[Issue]:
    found = orphans(config)
    if not found:
        return
    size = sum(found.values()) / 1e9
    are = "image is" if len(found) == 1 else "images are"
    yield Issue(
        "info",
        "Images that belong to nothing",
        f"{len(found)} {are} of no registered version and of no instance, and were not "
        f"used for a day. They take {size:.1f} GB.",
        "They go by themselves once pack.cache_gib is reached.",
        fix=Fix(
            "Delete them",
            "A build of the same Formfile and folder makes them again, from the start.",
        ),
        link="/pack/",
        state=sha256("".join(sorted(found)).encode()).hexdigest(),
    )


def orphans(config: Settings) -> dict[str, int]:
    """Bytes of each, by digest."""
    kept = pack.look(config)
    return {
        item.key: item.bytes
        for item in kept.removable(everything=True)
        if item.kind == "image" and not item.title and clock.now() - item.used > LEFT_S
    }


def mend(run: Run, subject: str) -> None:
    for digest in orphans(settings()):
        run.check()
        size = pack.delete_image(settings(), digest)
        run.log(f"removed the image {digest[:12]}: {size / 1e6:.1f} MB")
    storage.refresh(settings())


REPAIR = Repair("orphans", "Images of nothing", find, mend)
