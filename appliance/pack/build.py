"""From a Formfile and its context to an image: layers, then one file system.

Each INSTALL, COPY and RUN is a layer, named by what it is made from, so that a
changed file repeats only what comes after it. Layers and images are kept under
the data directory; what a build that died has left is swept away by `sweep`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import file_digest, sha256
from ipaddress import IPv4Network
from pathlib import Path

from appliance import clock, formnet
from appliance.config import Settings
from appliance.pack import cgroup, network, place, reach
from appliance.pack.accounts import setup_script
from appliance.pack.base import ensure_base
from appliance.pack.contract import image_files
from appliance.pack.formfile import Copy, Formfile, Install, Step
from appliance.pack.identity import build_id, entries
from appliance.pack.images import drop_drafts, image_file, take
from appliance.pack.limits import BuildError, BuildLimits
from appliance.pack.sandbox import (
    Outside,
    Stage,
    Tree,
    Watch,
    free_mib,
    is_short,
    run,
)
from appliance.pack.steps import describe, explain, stages
from appliance.pack.store import DRAFT, Store
from appliance.pack.tally import Tally
from appliance.problems import DiskFull

SLACK_MIB = 256


@dataclass(frozen=True)
class BuildRequest:
    """`block` is the range of builds' own networks; `closed` what they may not
    reach beside private ranges; `forwarding` the folder that says who needs it."""

    formfile: Formfile
    context: Path | None
    build_id: str
    base_dir: Path
    data_dir: Path
    images_dir: Path
    limits: BuildLimits = BuildLimits()
    start_id: int = 200000
    refresh: bool = False
    block: IPv4Network = IPv4Network("198.18.255.0/24")
    closed: tuple[IPv4Network, ...] = ()
    forwarding: Path | None = None

    @property
    def layers_dir(self) -> Path:
        return self.data_dir / "pack" / "layers"

    @property
    def note(self) -> Path:
        """Where it is written which image this input gave."""
        return self.data_dir / "pack" / "builds" / f"{self.build_id}.json"


@dataclass(frozen=True)
class BuiltImage:
    """`digest` is the hex SHA-256 of the qcow2 at `path`."""

    digest: str
    path: Path
    size_bytes: int
    build_id: str
    reused: bool


Log = Callable[[str], None]


def request(
    settings: Settings, formfile: Formfile, context: Path | None, refresh: bool = False
) -> BuildRequest:
    """What to build, with this node's folders and limits."""
    config = settings.pack
    return BuildRequest(
        formfile=formfile,
        context=context,
        build_id=build_id(formfile, formfile.base, context),
        base_dir=settings.base_dir / formfile.base.replace(":", "-"),
        data_dir=settings.data_dir,
        images_dir=settings.images_dir,
        limits=limits(settings),
        start_id=config.subuid_start,
        refresh=refresh,
        block=config.build_range,
        closed=(settings.formnet.cidr,),
        forwarding=formnet.forwarding_folder(settings),
    )


def limits(settings: Settings) -> BuildLimits:
    config = settings.pack
    return BuildLimits(
        seconds=config.build_timeout_s,
        memory_mib=config.build_memory_mib,
        processes=config.build_processes,
        disk_mib=config.build_disk_gib * 1024,
    )


def built(request: BuildRequest) -> BuiltImage | None:
    """The image that this input gave before, if it is still there."""
    try:
        digest = str(json.loads(request.note.read_text())["digest"])
    except (OSError, ValueError, KeyError):
        return None
    path = image_file(request.images_dir, digest)
    if not take(path):
        return None
    return BuiltImage(digest, path, path.stat().st_size, request.build_id, True)


def build(
    request: BuildRequest,
    log: Log,
    cancelled: Callable[[], bool] = lambda: False,
    progress: Callable[[float], None] = lambda fraction: None,
    tally: Tally | None = None,
) -> BuiltImage:
    """Build, or return what was built from the same input; raises BuildError."""
    tally = tally or Tally()
    ensure_base(request.formfile.base, request.base_dir, log, cancelled)
    known = None if request.refresh else built(request)
    if known is None:
        builds = Store(request.layers_dir.with_name("images"), request.start_id)
        must_fit(request)
        with builds.making(request.build_id, cancelled):
            known = None if request.refresh else built(request)
            if known is None:
                made = _Builder(request, log, cancelled, tally)
                with contextlib.closing(made) as builder:
                    return builder.build(progress)
    tally.reused = True
    log("the same input was built before: nothing to do")
    return known


def must_fit(request: BuildRequest) -> None:
    """Raise DiskFull when the disk cannot hold even base and context, written as a
    layer, as a file system and as an image."""
    base = (request.base_dir / "rootfs.tar").stat().st_size
    files = request.context.rglob("*") if request.context else ()
    copied = sum(path.lstat().st_size for path in files)
    need = request.limits.keep_free_mib + (3 * (base + copied) >> 20)
    free = free_mib(request.data_dir)
    if free < need:
        raise full(f"the build needs at least {need} MiB and {free} are free")


def full(why: str) -> DiskFull:
    return DiskFull(
        f"{why}. form pack collect --all frees what nothing uses; form storage shows "
        "what else takes the disk."
    )


def sweep(settings: Settings) -> None:
    """Take away what builds left that were killed: drafts, networks, groups."""
    Store(settings.data_dir / "pack" / "layers", settings.pack.subuid_start).sweep()
    drop_drafts(settings.images_dir)
    network.sweep(formnet.forwarding_folder(settings))
    cgroup.sweep()


def sweep_networks(settings: Settings) -> None:
    """Take away the networks that builds left that were killed."""
    network.sweep(formnet.forwarding_folder(settings))


def dead_networks(settings: Settings) -> list[str]:
    """Their links, by name."""
    return network.dead(formnet.forwarding_folder(settings))


def implied(formfile: Formfile) -> list[Step]:
    """Packages that USER directives need."""
    wanted = []
    if any(user.sudo for user in formfile.users):
        wanted.append("sudo")
    if any(user.ssh_authorized_keys or user.ssh_pwauth for user in formfile.users):
        wanted.append("openssh-server")
    return [Install(tuple(wanted))] if wanted else []


SYSTEMD = Install(("systemd-sysv", "udev", "dbus"))  # what setup-systemd needs


@dataclass
class _Builder:
    _request: BuildRequest
    _log: Log
    _cancelled: Callable[[], bool]
    _tally: Tally = field(default_factory=Tally)
    _key: str = ""
    _parent: str = ""
    _generation: str = ""
    _lowers: list[str] = field(default_factory=list)
    _held: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        end = time.monotonic() + self._request.limits.seconds
        disk = self._request.data_dir
        self._watch = Watch(self._log, self._cancelled, end, disk)
        self._store = Store(self._request.layers_dir, self._request.start_id)
        if place.settle(self._request.layers_dir):
            self._log("layers are kept in memory until the node stops")

    def close(self) -> None:
        """Let go of the layers."""
        for descriptor in self._held:
            os.close(descriptor)

    @cached_property
    def _outside(self) -> Outside:
        """Measured once a build, when the first step needs the network."""
        request = self._request
        forwarding = request.forwarding or request.data_dir / "pack" / "forwarding"
        return Outside(reach.measure(), request.block, forwarding, request.closed)

    def build(self, progress: Callable[[float], None]) -> BuiltImage:
        steps = [*implied(self._request.formfile), *self._request.formfile.steps]
        self._base()
        for number, step in enumerate(steps):
            progress(number / (len(steps) + 1))
            self._step(step)
        if self._has_systemd():
            self._log("what is installed needs systemd, which becomes the guest's init")
            self._step(SYSTEMD)
        progress(len(steps) / (len(steps) + 1))
        return self._image()

    def _base(self) -> None:
        """The base's tree, unpacked once with the build's ids as owners."""
        folder = self._request.base_dir
        self._key = str(json.loads((folder / "manifest.json").read_text())["digest"])

        def fill(draft: Path) -> None:
            self._log("unpacking the guest base")
            argv = ("tar", "-x", "-p", "--exclude=./dev/*", "-C", str(draft))
            tar = str(folder / "rootfs.tar")
            self._run(None, (Stage(argv, False, tar),))

        self._layer(self._request.formfile.base, fill, refresh=False)

    def _step(self, step: Step) -> None:
        title = describe(step)
        self._parent, self._key = self._key, self._next_key(step)

        def fill(draft: Path) -> None:
            self._log(title)
            with explain(step, self._watch) as watch, self._scratch() as folder:
                made = stages(step, self._request.context, folder)
                outside = None if isinstance(step, Copy) else self._outside
                self._run(self._tree(draft, folder), made, watch, outside)

        if self._layer(title, fill, self._request.refresh):
            self._tally.made += 1
        else:
            self._tally.cached += 1
            self._log(f"{title}: cached")

    def _layer(self, title: str, fill: Callable[[Path], None], refresh: bool) -> bool:
        """Take the layer of the present key, or make it: whether it was made."""
        if not refresh and self._take():
            return False
        with self._store.making(self._key, self._cancelled):
            if not refresh and self._take():
                return False
            made = "" if self._parent == "" else clock.new_id()
            with self._store.draft(self._key, title, self._parent, made) as draft:
                fill(draft)
            if not self._take():
                raise BuildError(f"{title}: its layer was taken away; build again")
        return True

    def _take(self) -> bool:
        held = self._store.hold(self._key)
        if held is None:
            return False
        self._held.append(held.descriptor)
        self._generation = held.generation
        self._lowers.insert(0, str(self._store.folder / self._key))
        return True

    def _has_systemd(self) -> bool:
        """Whether a step, or what it depends on, brought systemd."""
        return any(
            (Path(layer) / "usr/lib/systemd/systemd").exists() for layer in self._lowers
        )

    def _next_key(self, step: Step) -> str:
        reads: object = ""
        if isinstance(step, Copy) and self._request.context is not None:
            reads = entries(self._request.context, step.source)
        below = [self._key, self._generation] if self._generation else [self._key]
        text = json.dumps([*below, describe(step), reads])
        return sha256(text.encode()).hexdigest()

    def _run(
        self,
        tree: Tree | None,
        what: tuple[Stage, ...],
        watch: Watch | None = None,
        outside: Outside | None = None,
    ) -> None:
        request = self._request
        with self._room():
            run(
                tree,
                what,
                start_id=request.start_id,
                limits=request.limits,
                watch=watch or self._watch,
                outside=outside,
            )

    @contextlib.contextmanager
    def _room(self) -> Iterator[None]:
        """What fails while the disk is full fails because of that."""
        try:
            yield
        except BuildError as error:
            if is_short(self._request.data_dir, self._request.limits):
                raise full(error.detail) from None
            raise

    @contextlib.contextmanager
    def _scratch(self) -> Iterator[Path]:
        with self._store.scratch() as folder:
            yield folder

    def _folder(self, path: Path) -> str:
        path.mkdir()
        self._store.give(path)
        return str(path)

    def _tree(self, upper: Path, folder: Path) -> Tree:
        work, merged = self._folder(folder / "work"), self._folder(folder / "merged")
        return Tree(tuple(self._lowers), str(upper), work, merged)

    def _image(self) -> BuiltImage:
        """Write the guest's own files and make the image."""
        request = self._request
        self._log("writing the image")
        with self._store.scratch() as folder:
            upper = Path(self._folder(folder / "upper"))
            raw = Path(self._folder(folder / "out")) / "disk.raw"
            files = folder / "contract.tar"
            image_files(request.formfile, request.build_id, files)
            unpack = Stage(("tar", "-x", "-C", "/"), True, str(files))
            set_up = Stage(("/bin/sh", "-ec", setup_script(request.formfile)))
            self._run(self._tree(upper, folder), (unpack, set_up))
            lowers = (str(upper), *self._lowers)
            rest = (self._folder(folder / n) for n in ("upper2", "work2", "merged2"))
            # bare: nothing mounted inside, so that mke2fs sees only the image
            tree = Tree(lowers, *rest)
            mke2fs = ("mke2fs", "-q", "-t", "ext4", "-m", "0", "-E", "root_owner=0:0")
            size = (str(raw), f"{self._size_mib()}M")
            self._run(tree, (Stage((*mke2fs, "-d", tree.merged, *size), False),))
            return self._keep(raw, folder)

    def _size_mib(self) -> int:
        done = subprocess.run(
            ["du", "-c", "-s", "-m", *self._lowers],
            capture_output=True,
            text=True,
            check=True,
        )
        used = int(done.stdout.splitlines()[-1].split()[0])
        disk = self._request.formfile.disk_gib * 1024
        if used + SLACK_MIB > disk:
            raise BuildError(
                f"the image has {used} MiB and DISK only {disk}; raise DISK to "
                f"{(used + SLACK_MIB) // 1024 + 1} or install less"
            )
        return min(disk, used + used // 5 + SLACK_MIB)

    def _keep(self, raw: Path, folder: Path) -> BuiltImage:
        request = self._request
        draft = folder / "image.qcow2"
        convert = ["qemu-img", "convert", "-O", "qcow2", str(raw), str(draft)]
        with self._room():
            done = subprocess.run(convert, capture_output=True, text=True, check=False)
            if done.returncode:
                raise BuildError(f"qemu-img: {done.stderr.strip()}")
        with draft.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
        request.images_dir.mkdir(parents=True, exist_ok=True)
        path = image_file(request.images_dir, digest)
        draft.chmod(0o644)
        if not take(path):
            new = request.images_dir / f"{digest}.{os.getpid()}{DRAFT}"
            shutil.move(draft, new)
            new.rename(path)
        note = request.note
        note.parent.mkdir(parents=True, exist_ok=True)
        note.with_suffix(DRAFT).write_text(json.dumps({"digest": digest}))
        note.with_suffix(DRAFT).rename(note)
        size = path.stat().st_size
        return BuiltImage(digest, path, size, request.build_id, False)
