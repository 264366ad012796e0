"""form-pack: from a Formfile and its context to a bootable image."""

from appliance.pack.archive import ArchiveError, unpack_isolated
from appliance.pack.base import SUITES, ensure_base
from appliance.pack.build import (
    BuildRequest,
    BuiltImage,
    build,
    dead_networks,
    limits,
    request,
    sweep,
    sweep_networks,
)
from appliance.pack.collection import (
    Kept,
    collect,
    collectable,
    delete_image,
    look,
    must_be_free,
)
from appliance.pack.files import check_file, pack_folder
from appliance.pack.formfile import Diagnostic, Formfile
from appliance.pack.identity import as_document, build_id, from_document
from appliance.pack.limits import BuildError, BuildLimits
from appliance.pack.parser import (
    Checked,
    check,
    conceal,
    conceal_roughly,
    decoded,
    diagnostics_json,
)
from appliance.pack.passwd import hash_password
from appliance.pack.place import settle_for_all
from appliance.pack.tally import noted
from appliance.pack.tally import trim as trim_builds
from appliance.pack.upload import Upload, of_archive, of_files, of_folder

__all__ = [
    "ArchiveError",
    "BuildError",
    "BuildLimits",
    "BuildRequest",
    "BuiltImage",
    "Checked",
    "Diagnostic",
    "Formfile",
    "SUITES",
    "Upload",
    "Kept",
    "as_document",
    "build",
    "build_id",
    "check",
    "check_file",
    "conceal",
    "conceal_roughly",
    "dead_networks",
    "decoded",
    "collect",
    "collectable",
    "delete_image",
    "diagnostics_json",
    "ensure_base",
    "from_document",
    "hash_password",
    "limits",
    "look",
    "must_be_free",
    "noted",
    "request",
    "settle_for_all",
    "sweep",
    "trim_builds",
    "sweep_networks",
    "of_archive",
    "of_files",
    "of_folder",
    "pack_folder",
    "unpack_isolated",
]
