"""The `form` command. Heavy imports stay inside the commands: help is instant."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from appliance.commands.accounts import account, admin, audit, token
from appliance.commands.agents import agent
from appliance.commands.alerts import alerts
from appliance.commands.console import console
from appliance.commands.instances import vmm
from appliance.commands.logs import logs
from appliance.commands.machine import machine
from appliance.commands.repairs import repairs
from appliance.commands.secrets import secret
from appliance.commands.services import processes, services
from appliance.commands.settings import settings_group
from appliance.commands.support import support
from appliance.commands.tasks import run, tasks
from appliance.commands.versions import redeploy
from appliance.terminal import at, call, follow, plain_errors


@click.group()
@click.version_option(package_name="formation")
def main() -> None:
    """Formation: this machine as a node of a cloud for AI agents."""


@main.command()
@click.option("--base", "with_base", is_flag=True, help="Make the guest base first.")
@plain_errors
def serve(with_base: bool) -> None:
    """Run the node's processes and engines in the foreground."""
    from appliance import identity, older
    from appliance.admin import phrase, setup
    from appliance.admin.caddy import ensure_certificate, fingerprint
    from appliance.admin.serve import serve as run
    from appliance.admin.serving import must_be_free, must_be_root
    from appliance.config import settings
    from appliance.layout import prepare

    config = settings()
    must_be_root("serve")
    must_be_free(config)
    if with_base:
        make_base("trixie", config.base_dir)
    prepare(config)
    if said := phrase.adopt(config, os.environ):
        click.echo(said, err=True)
        settings.cache_clear()
        config = settings()
    for note in older.translate(os.environ).notes:
        click.echo(note, err=True)
    identity.must_open(config)
    ensure_certificate(config)
    click.echo(f"Formation answers at http://127.0.0.1:{config.http.port}")
    click.echo(f"From other machines: https on port {config.http.https_port}, with")
    click.echo(f"certificate {fingerprint(config)}")
    if not setup.is_done(config):
        click.echo(f"Claim code: {setup.new_claim(config)}")
    click.echo(f"Logs are in {config.log_dir}. Ctrl-C stops the node.")
    run(config)


@main.command()
@click.option("--users", "only_users", is_flag=True, help="Make only the users.")
@plain_errors
def prepare(only_users: bool) -> None:
    """Make users, folders and certificate; systemd does it at the node's start."""
    from appliance import layout
    from appliance.admin import setup
    from appliance.admin.preparing import (
        must_be_alone,
        prepare_node,
        prepare_units,
    )
    from appliance.admin.serving import must_be_root
    from appliance.admin.users import ensure_users
    from appliance.config import settings
    from appliance.supervision import SYSTEMD

    must_be_root("prepare")
    if only_users:
        ensure_users(settings())
        return
    if SYSTEMD.exists():
        must_be_alone(settings().run_dir / "supervisor.sock")
    layout.prepare(settings())
    if not setup.is_done(settings()):
        setup.new_claim(settings())
    prepare_node(settings())
    if SYSTEMD.exists():
        prepare_units(settings())


@main.command()
@plain_errors
def claim() -> None:
    """Show where a new node is set up, and the code that says it is yours."""
    from appliance.admin import setup
    from appliance.admin.caddy import certificate_files, fingerprint
    from appliance.admin.serving import must_be_root
    from appliance.config import settings
    from appliance.problems import NotFound

    must_be_root("claim")
    config = settings()
    if not certificate_files(config)[0].exists():
        raise NotFound("never-started", "The node has not started yet.")
    click.echo(f"Formation answers at http://127.0.0.1:{config.http.port}")
    click.echo(f"From other machines: https on port {config.http.https_port}, with")
    click.echo(f"certificate {fingerprint(config)}")
    if setup.is_done(config):
        click.echo("It is set up: log in.")
    else:
        click.echo(f"Claim code: {setup.claim_file(config).read_text()}")


@main.command("setup")
@click.option("--from", "file", type=click.Path(path_type=Path), help="The TOML file.")
@click.option("--seed", is_flag=True, help="Look for formation-seed.toml on sticks.")
@plain_errors
def setup_command(file: Path | None, seed: bool) -> None:
    """Set the node up from a TOML file, as the wizard would."""
    from appliance import schema, wake
    from appliance.admin import serving, setup
    from appliance.config import settings

    if (file is None) != seed:
        raise click.UsageError("Name the file, --from FILE, or look for one: --seed.")
    config = settings()
    serving.wait_while_starting(config, "state.sock")
    schema.open_all(config)
    if file is None:
        from appliance.admin.seed import run

        click.echo(run(config) or "No seed file is there, or the node is set up.")
        return
    operator = setup.from_file(config, file)
    for process in wake.PROCESSES:
        wake.notify(config.run_dir, process, "setup")
    click.echo(f"Set up; the operator is {operator.name}.")


@main.command()
@plain_errors
def status() -> None:
    """Show every service with its state."""
    from appliance.config import settings
    from appliance.service import read_status, services

    for service in services().values():
        found = read_status(settings(), service)
        click.echo(f"{service.name:12} {found.state:10} {found.reason}")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--refresh", is_flag=True, help="Build again, for newer packages.")
@plain_errors
def deploy(folder: Path, refresh: bool) -> None:
    """Build and run the agent that FOLDER describes."""
    from appliance.pack import pack_folder

    checked_folder(folder)
    with tempfile.TemporaryFile() as archive:
        try:
            pack_folder(folder, archive, packing())
            must_be_sendable(archive.tell())
            archive.seek(0)
            found = call(
                "POST",
                "/api/v1/pack/deployments",
                files={"archive": ("context.tar.gz", archive)},
                data={"refresh": "1"} if refresh else {},
            )
        except KeyboardInterrupt:
            click.echo("\nEnded before all was sent: nothing is deployed.", err=True)
            sys.exit(130)
    follow(found["id"])


def checked_folder(folder: Path) -> Any:
    """The Formfile of a folder; what is wrong is printed and ends the command."""
    from appliance.pack import check_file
    from appliance.problems import Problem

    if not folder.is_dir():
        why = "is no folder" if folder.exists() else "does not exist"
        text = f"{folder} {why}; name the folder that holds the agent's Formfile."
        raise Problem("formfile-missing", text)
    checked = check_file(folder)
    show(checked.diagnostics)
    if checked.formfile is None:
        sys.exit(1)
    return checked.formfile


def packing() -> Callable[[int, int], None]:
    """Says how far the packing of a large folder is, once a second."""
    from time import monotonic

    said = monotonic()

    def packed(files: int, size: int) -> None:
        nonlocal said
        if monotonic() - said >= 1:
            said = monotonic()
            click.echo(f"packing: {files} files, {in_mb(size)}", err=True)

    return packed


def must_be_sendable(size: int) -> None:
    """Refuse here what the node would refuse."""
    from appliance.config import settings
    from appliance.problems import Problem

    most = settings().http.max_upload_mib
    if size > most << 20:
        raise Problem(
            "too-large",
            f"The folder has {size >> 20} MiB packed, and at most {most} MiB can be "
            "sent; leave out what is not needed, or raise http.max_upload_mib.",
            status=413,
        )


@main.group("operations")
def operations_group() -> None:
    """What the node does that takes its time."""


@operations_group.command("list")
@plain_errors
def operations_list() -> None:
    """The newest first."""
    for item in call("GET", "/api/v1/operations")["operations"]:
        click.echo(
            f"{item['id']} {item['state']:10} {item['created']} {item['title']} "
            f"{item['subject']}"
        )


@operations_group.command("show")
@click.argument("operation")
@plain_errors
def operations_show(operation: str) -> None:
    """Steps and log of OPERATION, followed to its end."""
    follow(operation)


@operations_group.command("cancel")
@click.argument("operation")
@plain_errors
def operations_cancel(operation: str) -> None:
    """Ask OPERATION to end and to undo what it made."""
    call("DELETE", at("/api/v1/operations", operation))
    follow(operation)


@main.command("metrics")
@click.argument("subject", default="node")
@plain_errors
def metrics_command(subject: str) -> None:
    """Print the last measurements of the node, or of SUBJECT: an instance's id, or
    process/NAME."""
    found = call("GET", "/api/v1/admin/metrics", params={"subject": subject})
    for name, item in found["metrics"].items():
        click.echo(f"{name:16} {item['value']:18,.1f} {item['unit']}")


def show(diagnostics: Any) -> None:
    for item in diagnostics:
        where = f"{item.line}:{item.column}"
        text = f"{where} {item.level}: {item.message}. {item.hint}"
        click.echo(text.rstrip(), err=True)


@main.group()
def pack() -> None:
    """Formfiles and images."""


@pack.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@plain_errors
def pack_check(file: Path, as_json: bool) -> None:
    """Check a Formfile, or that of a folder; status 1 when it has errors."""
    from appliance.pack import check_file, diagnostics_json

    checked = check_file(file)
    if as_json:
        click.echo(diagnostics_json(checked.diagnostics))
    else:
        show(checked.diagnostics)
    sys.exit(0 if checked.formfile else 1)


@pack.command("build")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--refresh", is_flag=True, help="Build again, for newer packages.")
@click.option("--register", "registered", is_flag=True, help="In the catalogue too.")
@plain_errors
def pack_build(folder: Path, refresh: bool, registered: bool) -> None:
    """Build the image of FOLDER without running it."""
    from appliance import pack as form_pack
    from appliance.config import settings

    formfile = checked_folder(folder)
    request = form_pack.request(settings(), formfile, folder, refresh)
    made = form_pack.build(request, lambda line: click.echo(line, err=True))
    click.echo(f"{made.path} {made.size_bytes / 1e6:.0f} MB")
    if registered:
        register(formfile, made.build_id, made.digest)


def register(formfile: Any, build_id: str, image: str) -> None:
    """Register a build under the version that it has, or that the node chooses."""
    from appliance.market.names import Known, next_version
    from appliance.pack import as_document
    from appliance.problems import Problem

    owner = call("GET", "/api/v1/admin/account")["name"]
    path = f"/api/v1/market/agents/{owner}/{formfile.name}"
    try:
        before = call("GET", path)["versions"]
    except Problem as problem:
        if problem.status != 404:
            raise
        before = []
    known = [Known(v["version"], v["build_id"], v["image"]) for v in before]
    version = formfile.version or next_version(known, build_id, image)
    manifest = {"build_id": build_id, "image": image, "formfile": as_document(formfile)}
    call("PUT", f"{path}/versions/{version}", json=manifest)
    click.echo(f"registered: {owner}/{formfile.name} {version}")


@pack.command("base")
@click.option(
    "--suite",
    type=click.Choice(["trixie", "bookworm"]),
    default="trixie",
    show_default=True,
)
@plain_errors
def pack_base(suite: str) -> None:
    """Make the guest base image, once."""
    from appliance.config import settings

    make_base(suite, settings().base_dir)


def make_base(suite: str, folder: Path) -> None:
    """Make a guest base in `folder` unless it is there; a failure ends the command."""
    import subprocess

    names = {"trixie": "debian-13", "bookworm": "debian-12"}
    out = folder / names.get(suite, suite)
    command = [sys.executable, "-m", "image.guest.build", "--suite", suite]
    done = subprocess.run([*command, "--out", str(out)], check=False)
    if done.returncode:
        raise click.ClickException("The guest base was not made; above is why.")


@pack.command("images")
@plain_errors
def pack_images() -> None:
    """List the images of this node: digest, size, of what, and who needs it."""
    found = call("GET", "/api/v1/pack/images")
    for item in found["images"]:
        users = "; ".join(item["users"]) or ("unused" if item["unused"] else "in use")
        title = item["title"] or "no registered version"
        click.echo(f"{item['key'][:12]} {in_mb(item['bytes'])}  {title}  ({users})")
    click.echo(
        f"images and layers: {in_mb(found['kept'])} of {in_mb(found['bound'])}; "
        f"nothing uses {in_mb(found['unused_bytes'])}"
    )


def in_mb(size: float) -> str:
    return f"{size / 1e6:.0f} MB"


@pack.command("collect")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--all", "everything", is_flag=True, help="All that nothing uses.")
@plain_errors
def pack_collect(dry_run: bool, everything: bool) -> None:
    """Remove the oldest images and layers beyond pack.cache_gib."""
    if not dry_run:
        body = {"everything": everything}
        follow(call("POST", "/api/v1/pack/collect", json=body)["id"])
        return
    mark, total = "unused" if everything else "over", 0
    for kind in ("images", "layers"):
        for item in call("GET", f"/api/v1/pack/{kind}")[kind]:
            if item[mark]:
                total += item["bytes"]
                click.echo(
                    f"{item['key'][:12]} {in_mb(item['bytes'])}  {item['title']}"
                )
    click.echo(f"{in_mb(total)} would be freed")


@pack.command("image-delete")
@click.argument("digest")
@plain_errors
def pack_image_delete(digest: str) -> None:
    """Delete the image DIGEST (its beginning is enough), where nothing uses it."""
    follow(call("DELETE", at("/api/v1/pack/images", digest))["id"])


@main.command()
@plain_errors
def storage() -> None:
    """Show what takes this node's disk, and what bounds it."""
    found = call("GET", "/api/v1/admin/storage")
    for item in found["parts"]:
        click.echo(f"{item['title']:16} {in_mb(item['bytes']):>10}  {item['bound']}")
    click.echo(f"{in_mb(found['free'])} of {in_mb(found['total'])} are free")
    click.echo(f"form pack collect --all frees {in_mb(found['unused_bytes'])}")


@main.group("dns")
def dns_group() -> None:
    """Names."""


@dns_group.command("names")
@plain_errors
def dns_names() -> None:
    """List agents' names with health and addresses, and the domains that are kept."""
    found = call("GET", "/api/v1/dns/names")
    for item in found["agents"]:
        addresses = ", ".join(item["addresses"]) or "–"
        click.echo(
            f"{item['fqdn']:40} {item['health']:10} {addresses:16} {item['agent']}"
        )
    for item in found["domains"]:
        click.echo(f"{item['domain']:40} {'kept':10} {'–':16} {item['agent']}")


@main.group("formnet")
def formnet_group() -> None:
    """The guests' network."""


@formnet_group.command("show")
@click.option("--rules", is_flag=True, help="Print the rules as nft has them, too.")
@plain_errors
def formnet_show(rules: bool) -> None:
    """Show range, addresses in use, what was let through and what was refused."""
    found = call("GET", "/api/v1/formnet/network")
    for key in ("range", "block", "bridge", "gateway"):
        click.echo(f"{key:10} {found[key]}")
    click.echo(f"{'granted':10} {', '.join(found['granted']) or 'no private range'}")
    for item in found["addresses"]:
        click.echo(f"{item['address']:16} {item['state']:10} {item['agent']}")
    loaded = found["loaded"] or {"packets": {}, "blocked_by": [], "rules": ""}
    for name, count in loaded["packets"].items():
        click.echo(f"{name.replace('_', ' '):16} {count} packets")
    for sentence in loaded["blocked_by"]:
        click.echo(sentence, err=True)
    if rules:
        click.echo(loaded["rules"])


@main.group("state")
def state_group() -> None:
    """Records."""


@state_group.command("list")
@click.argument("kind")
@plain_errors
def state_list(kind: str) -> None:
    """List the records of KIND: node, account, agent, version, build, …"""
    after: str | None = ""
    while after is not None:
        query = {"kind": kind, "after": after}
        found = call("GET", "/api/v1/state/records", params=query)
        for item in found["records"]:
            click.echo(f"{item['time']} {item['seq']:8} {item['id']}")
        after = found["next"]


@state_group.command("show")
@click.argument("kind")
@click.argument("id_", metavar="ID")
@plain_errors
def state_show(kind: str, id_: str) -> None:
    """Print a record: body, stamp, signature's verdict, links both ways."""
    found = call("GET", at("/api/v1/state/records", kind, id_))
    click.echo(json.dumps(found, indent=2, ensure_ascii=False))


@state_group.command("verify")
@plain_errors
def state_verify() -> None:
    """Check every signature, stamp and link; status 1 when one is wrong."""
    found = call("GET", "/api/v1/state/verification")
    for what in ("wrong_signatures", "repeated_stamps", "dangling_links"):
        for line in found[what]:
            click.echo(f"{what.replace('_', ' ')}: {line}", err=True)
    click.echo(f"{found['records']} records; database: {found['integrity']}")
    sys.exit(0 if found["is_fine"] else 1)


@vmm.command("volumes")
@plain_errors
def vmm_volumes() -> None:
    """List volumes: agent, name, bytes taken, size, and who needs it."""
    for item in call("GET", "/api/v1/vmm/volumes")["volumes"]:
        users = "; ".join(item["users"]) or "unused"
        click.echo(
            f"{item['owner']}/{item['agent']} {item['name']:16} "
            f"{in_mb(item['bytes']):>8} of {in_mb(item['size'])}  {users}"
        )


@vmm.command("volume-delete")
@click.argument("agent")
@click.argument("name")
@plain_errors
def vmm_volume_delete(agent: str, name: str) -> None:
    """Delete the volume NAME of AGENT (OWNER/NAME) with all that is on it."""
    name = name.strip("/").replace("/", "=")
    follow(call("DELETE", at("/api/v1/vmm/volumes", *agent.split("/"), name))["id"])


for _command in (
    run,
    tasks,
    alerts,
    agent,
    redeploy,
    vmm,
    account,
    token,
    audit,
    admin,
    secret,
    services,
    processes,
    settings_group,
    logs,
    repairs,
    support,
    console,
    machine,
):
    main.add_command(_command)


if __name__ == "__main__":
    main()
