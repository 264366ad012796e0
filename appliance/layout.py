"""The folders of the node, with who may look into them."""

from __future__ import annotations

from appliance.config import Settings

_FOLDERS = {
    "": 0o711,
    "base": 0o755,
    "contexts": 0o700,
    "images": 0o755,
    "instances": 0o711,
    "keys": 0o700,
    "node": 0o770,
    "pack": 0o711,
    "state": 0o750,
    "tls": 0o750,
    "uploads": 0o770,
    "vmm": 0o755,
}


def prepare(settings: Settings) -> None:
    """Make what is missing; leave what is there."""
    for name, mode in _FOLDERS.items():
        folder = settings.data_dir / name
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(mode)
    for folder in (settings.run_dir, settings.log_dir):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
