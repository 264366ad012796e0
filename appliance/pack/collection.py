"""What is kept of images and layers, and its collection; in formation-jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from appliance.config import Settings
from appliance.pack import images, needed
from appliance.pack.collect import choose
from appliance.pack.store import Item, Store
from appliance.problems import Conflict, NotFound


@dataclass(frozen=True)
class Kept:
    """`users` has, by key, who needs an item; `bound` is in bytes."""

    items: tuple[Item, ...]
    users: Mapping[str, list[str]]
    bound: int

    @property
    def bytes(self) -> int:
        return sum(item.bytes for item in self.items)

    def removable(self, everything: bool = False) -> list[Item]:
        """What a collection removes: down to the bound, or all that nothing uses."""
        return choose(self.items, self.users, 0 if everything else self.bound)


def look(settings: Settings) -> Kept:
    """What is there now."""
    store = _store(settings)
    layers = store.layers()
    found = images.images(settings.images_dir)
    users = needed.needed(settings, found)
    users |= {layer.key: ["a build"] for layer in layers if store.is_held(layer.key)}
    names = needed.titles()
    titled = [replace(item, title=names.get(item.key, "")) for item in found]
    return Kept((*titled, *layers), users, settings.pack.cache_gib << 30)


def collect(
    settings: Settings,
    everything: bool = False,
    log: Callable[[str], None] = lambda line: None,
) -> int:
    """Remove what nothing needs, down to the bound or all; returns bytes freed."""
    freed = 0
    store = _store(settings)
    store.sweep()
    images.drop_drafts(settings.images_dir)
    for item in look(settings).removable(everything):
        gone = images.remove(item) if item.kind == "image" else store.remove(item.key)
        if gone:
            freed += item.bytes
            log(f"removed {name(item)}: {item.bytes / 1e6:.1f} MB")
        else:
            log(f"left {name(item)}: it was taken meanwhile")
    images.forget_builds(settings.data_dir / "pack" / "builds", settings.images_dir)
    return freed


def collectable(settings: Settings) -> int:
    """Bytes of all that nothing uses."""
    return sum(item.bytes for item in look(settings).removable(everything=True))


def name(item: Item) -> str:
    title = item.title[:100] or "of no registered version"
    return f"the {item.kind} {item.key[:12]} ({title})"


def delete_image(settings: Settings, digest: str) -> int:
    """Remove one image that nothing needs; returns its bytes."""
    kept = look(settings)
    item = next((i for i in kept.items if (i.kind, i.key) == ("image", digest)), None)
    if item is None:
        raise NotFound("image-unknown", f"There is no image {digest[:64]}.")
    must_be_free(digest, kept.users.get(digest))
    if not images.remove(item):
        must_be_free(digest, ["a build that took it just now"])
    images.forget_builds(settings.data_dir / "pack" / "builds", settings.images_dir)
    return item.bytes


def must_be_free(digest: str, users: list[str] | None) -> None:
    """Raise Conflict with who needs the image."""
    if users is None:
        return
    who = "; ".join(users) or "the disk of an instance"
    raise Conflict(
        "image-in-use",
        f"The image {digest[:12]} is needed by {who}. Delete that first.",
    )


def _store(settings: Settings) -> Store:
    folder = settings.data_dir / "pack" / "layers"
    return Store(folder, settings.pack.subuid_start)
