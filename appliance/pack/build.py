"""From a Formfile and its context to an image: layers, then one file system.

Each INSTALL, COPY and RUN is a layer, named by what it is made from, so that a
changed file repeats only what comes after it. Layers and images are kept under
the data directory; a build that died leaves only `.new` folders, which the next
build of the same thing replaces.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path

from appliance.pack.contract import image_files, setup_script
from appliance.pack.formfile import Copy, Formfile, Install, Run, Step
from appliance.pack.identity import entries
from appliance.pack.sandbox import BuildError, BuildLimits, Stage, Tree, run

SLACK_MIB = 256


@dataclass(frozen=True)
class BuildRequest:
    formfile: Formfile
    context: Path | None
    build_id: str
    base_dir: Path
    data_dir: Path
    images_dir: Path
    limits: BuildLimits = BuildLimits()
    start_id: int = 200000
    refresh: bool = False


@dataclass(frozen=True)
class BuiltImage:
    """`digest` is the hex SHA-256 of the qcow2 at `path`."""

    digest: str
    path: Path
    size_bytes: int
    build_id: str
    reused: bool


Log = Callable[[str], None]


def built(request: BuildRequest) -> BuiltImage | None:
    """The image that this input gave before, if it is still there."""
    index = request.data_dir / "pack" / "builds" / f"{request.build_id}.json"
    try:
        digest = str(json.loads(index.read_text())["digest"])
    except (OSError, ValueError, KeyError):
        return None
    path = request.images_dir / f"{digest}.qcow2"
    if not path.exists():
        return None
    return BuiltImage(digest, path, path.stat().st_size, request.build_id, True)


def build(
    request: BuildRequest,
    log: Log,
    cancelled: Callable[[], bool] = lambda: False,
    progress: Callable[[float], None] = lambda fraction: None,
) -> BuiltImage:
    """Build, or return what was built from the same input; raises BuildError."""
    known = None if request.refresh else built(request)
    if known is not None:
        log("the same input was built before: nothing to do")
        return known
    builder = _Builder(request, log, cancelled)
    steps = [*_implied(request.formfile), *request.formfile.steps]
    for number, step in enumerate(steps):
        progress(number / (len(steps) + 1))
        builder.layer(step)
    progress(len(steps) / (len(steps) + 1))
    return builder.image()


def _implied(formfile: Formfile) -> list[Step]:
    """Packages that USER directives need."""
    wanted = []
    if any(user.sudo for user in formfile.users):
        wanted.append("sudo")
    if any(user.ssh_authorized_keys or user.ssh_pwauth for user in formfile.users):
        wanted.append("openssh-server")
    return [Install(tuple(wanted))] if wanted else []


class _Builder:
    def __init__(
        self, request: BuildRequest, log: Log, cancelled: Callable[[], bool]
    ) -> None:
        self._request = request
        self._log = log
        self._cancelled = cancelled
        self._store = request.data_dir / "pack" / "layers"
        self._store.mkdir(parents=True, exist_ok=True)
        self._store.chmod(0o711)
        self._lowers: list[str] = [str(self._base())]

    def _base(self) -> Path:
        """The base's tree, unpacked once with the build's ids as owners."""
        manifest = self._request.base_dir / "manifest.json"
        if not manifest.exists():
            raise BuildError(
                f"the guest base {self._request.formfile.base} is not there: run "
                "form pack base to make it"
            )
        self._key = str(json.loads(manifest.read_text())["digest"])
        tree = self._store / self._key
        if not tree.exists():
            self._log("unpacking the guest base")
            draft = self._draft(self._key)
            tar = str(self._request.base_dir / "rootfs.tar")
            stage = Stage(
                ("tar", "-x", "-p", "--exclude=./dev/*", "-C", str(draft)), False, tar
            )
            self._run(None, (stage,))
            draft.rename(tree)
        return tree

    def _draft(self, key: str) -> Path:
        draft = self._store / f"{key}.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        os.chown(draft, self._request.start_id, self._request.start_id)
        draft.chmod(0o755)
        return draft

    def _run(self, tree: Tree | None, stages: tuple[Stage, ...]) -> None:
        request = self._request
        run(
            tree,
            stages,
            start_id=request.start_id,
            limits=request.limits,
            log=self._log,
            cancelled=self._cancelled,
        )

    def layer(self, step: Step) -> None:
        """Add the step's layer, from the cache where it is known."""
        title = describe(step)
        self._key = self._next_key(step)
        done = self._store / self._key
        if done.exists() and not self._request.refresh:
            os.utime(done)
            self._log(f"{title}: cached")
        else:
            self._log(title)
            draft = self._draft(self._key)
            try:
                self._fill(step, draft)
            except BuildError as error:
                shutil.rmtree(draft, ignore_errors=True)
                raise BuildError(f"{title}: {error.detail}") from None
            shutil.rmtree(done, ignore_errors=True)
            draft.rename(done)
        self._lowers.insert(0, str(done))

    def _next_key(self, step: Step) -> str:
        reads: object = ""
        if isinstance(step, Copy):
            reads = entries(self._context(), step.source)
        text = json.dumps([self._key, describe(step), reads])
        return sha256(text.encode()).hexdigest()

    def _context(self) -> Path:
        if self._request.context is None:
            raise BuildError("COPY needs a context folder; upload it with the Formfile")
        return self._request.context

    def _fill(self, step: Step, draft: Path) -> None:
        with tempfile.TemporaryDirectory(dir=self._store) as name:
            folder = Path(name)
            folder.chmod(0o711)
            self._stages(step, draft, folder)

    def _stages(self, step: Step, upper: Path, folder: Path) -> None:
        tree = self._tree(upper, folder)
        if isinstance(step, Run):
            self._run(tree, (*_network(folder), Stage(("/bin/sh", "-c", step.command))))
        elif isinstance(step, Install):
            self._run(tree, (*_network(folder), *_apt(folder, step)))
        else:
            archive = folder / "copy.tar"
            kind = pack_source(self._context(), step, archive)
            script = _COPY_DIR if kind == "dir" else _COPY_FILE
            argv = ("/bin/sh", "-ec", script, "copy", step.target)
            self._run(tree, (Stage(argv, True, str(archive)),))

    def _tree(self, upper: Path, folder: Path) -> Tree:
        start = self._request.start_id
        for name in ("work", "merged"):
            (folder / name).mkdir()
            os.chown(folder / name, start, start)
        return Tree(
            tuple(self._lowers),
            str(upper),
            str(folder / "work"),
            str(folder / "merged"),
        )

    def image(self) -> BuiltImage:
        """Write the guest's own files and make the image."""
        request = self._request
        self._log("writing the image")
        with tempfile.TemporaryDirectory(dir=self._store) as name:
            folder = Path(name)
            folder.chmod(0o711)
            upper, out = folder / "upper", folder / "out"
            for path in (upper, out):
                path.mkdir(mode=0o755)
                os.chown(path, request.start_id, request.start_id)
            tree = self._tree(upper, folder)
            raw = out / "disk.raw"
            files = folder / "contract.tar"
            image_files(request.formfile, request.build_id, files)
            script = setup_script(request.formfile)
            mib = self._size_mib()
            mke2fs = ("mke2fs", "-q", "-t", "ext4", "-m", "0", "-E", "root_owner=0:0")
            self._run(
                tree,
                (
                    Stage(("tar", "-x", "-C", "/"), True, str(files)),
                    Stage(("/bin/sh", "-ec", script)),
                ),
            )
            tree2 = Tree((str(upper), *self._lowers), *self._fresh(folder))
            # bare: nothing mounted inside, so that mke2fs sees only the image
            make = Stage((*mke2fs, "-d", tree2.merged, str(raw), f"{mib}M"), False)
            self._run(tree2, (make,))
            return self._keep(raw, folder)

    def _fresh(self, folder: Path) -> tuple[str, str, str]:
        names = []
        for name in ("upper2", "work2", "merged2"):
            (folder / name).mkdir(mode=0o755)
            os.chown(folder / name, self._request.start_id, self._request.start_id)
            names.append(str(folder / name))
        return names[0], names[1], names[2]

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
        done = subprocess.run(convert, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BuildError(f"qemu-img: {done.stderr.strip()}")
        with draft.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
        request.images_dir.mkdir(parents=True, exist_ok=True)
        path = request.images_dir / f"{digest}.qcow2"
        draft.chmod(0o644)
        if not path.exists():
            shutil.move(draft, path.with_suffix(".new"))
            path.with_suffix(".new").rename(path)
        index = request.data_dir / "pack" / "builds"
        index.mkdir(parents=True, exist_ok=True)
        note = index / f"{request.build_id}.json"
        note.with_suffix(".new").write_text(json.dumps({"digest": digest}))
        note.with_suffix(".new").rename(note)
        size = path.stat().st_size
        return BuiltImage(digest, path, size, request.build_id, False)


_COPY_DIR = 'mkdir -p "$1"; tar -x --no-same-owner -C "$1" --strip-components=1'
_COPY_FILE = """
case "$1" in */) mkdir -p "$1" ;; *) mkdir -p "$(dirname "$1")" ;; esac
if [ -d "$1" ]; then exec tar -x --no-same-owner -C "$1"; fi
mkdir /tmp/copied; tar -x --no-same-owner -C /tmp/copied; mv /tmp/copied/* "$1"
"""


def describe(step: Step) -> str:
    """The step as the Formfile has it."""
    if isinstance(step, Install):
        return f"INSTALL {' '.join(step.packages)}"
    if isinstance(step, Copy):
        return f"COPY {step.source} {step.target}"
    return f"RUN {step.command}"


def pack_source(context: Path, step: Copy, archive: Path) -> str:
    """Tar what a COPY reads, as root's; says whether it is a dir or a file."""
    root = context.resolve()
    source = (root / step.source).resolve()
    if not source.exists() or not source.is_relative_to(root):
        raise BuildError(f"{step.source} is not inside the context folder")

    def own(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if not (info.isreg() or info.isdir() or info.issym()):
            return None
        info.uid = info.gid = 0
        info.uname = info.gname = "root"
        return info

    with tarfile.open(archive, "w") as tar:
        tar.add(source, arcname=Path(step.source).name or "context", filter=own)
    archive.chmod(0o644)
    return "dir" if source.is_dir() else "file"


def _network(folder: Path) -> tuple[Stage, ...]:
    """Resolver and trusted certificates of the machine, for the step only."""
    archive = folder / "network.tar"
    with tarfile.open(archive, "w") as tar:
        for name in ("/etc/resolv.conf", "/etc/hosts"):
            tar.add(Path(name).resolve(), arcname=name.lstrip("/"))
    archive.chmod(0o644)
    return (Stage(("tar", "-x", "--no-same-owner", "-C", "/"), True, str(archive)),)


def _apt(folder: Path, step: Install) -> tuple[Stage, ...]:
    options = ("-q", "-y", "-o", "APT::Sandbox::User=root", "-o", "Dpkg::Use-Pty=0")
    install = ("apt-get", *options, "install", "--no-install-recommends")
    return (
        Stage(("apt-get", *options, "update")),
        Stage((*install, *step.packages)),
        Stage(("/bin/sh", "-c", "apt-get clean; rm -rf /var/lib/apt/lists/*")),
    )
