"""The shell script that makes an image's users, folders and services' environment,
run as root inside the tree. What cannot be done ends it with a sentence."""

from __future__ import annotations

from shlex import quote

from appliance.pack.contract import scoped, systemd_environment
from appliance.pack.formfile import Formfile, GuestUser

FUNCTIONS = r"""
fail() { echo "$*"; exit 1; }
text() { printf '%s\n' "$1"; }
home_of() { getent passwd "$1" | cut -d: -f6; }
# a user, whose group may be there already: add_user NAME OPTIONS
add_user() {
    name=$1
    shift
    if getent group "$name" >/dev/null; then set -- "$@" -g "$name"; fi
    useradd "$@" "$name"
}
# a folder that nothing made belongs to the agent
own_folder() { [ -d "$1" ] || { mkdir -p "$1" && chown "$2" "$1"; }; }
"""
SYSTEMD = "[ -x /lib/systemd/systemd ]"


def setup_script(formfile: Formfile) -> str:
    """For `/bin/sh -e`."""
    lines = [FUNCTIONS, "rm -f /etc/resolv.conf"]
    for user in formfile.users:
        lines += _user(user)
    runas = quote(formfile.runas)
    lines.append(f"id {runas} >/dev/null 2>&1 || add_user {runas} -r -M")
    folders = (formfile.workdir, *formfile.volumes)
    lines += [f"own_folder {quote(path)} {runas}" for path in folders]
    for name in _named(formfile, "user:"):
        lines += _user_environment(formfile, name)
    lines.append(f"! {SYSTEMD} || /usr/lib/formation/setup-systemd")
    lines += _service_environments(formfile)
    if any(user.disable_root for user in formfile.users):
        lines.append("passwd -q -l root")  # sudo -i needs root's shell, not its login
    return "\n".join(lines)


def _user(user: GuestUser) -> list[str]:
    name, shell = quote(user.username), quote(user.shell)
    missing = f"USER {user.username}: {user.shell} is not in the image; INSTALL it"
    lines = [
        f"[ -x {shell} ] || fail {quote(missing)}",
        f"if id {name} >/dev/null 2>&1; then usermod -s {shell} {name}; "
        f"else add_user {name} -m -s {shell}; fi",
        f"home=$(home_of {name})",
    ]
    for group in map(quote, user.groups):
        lines.append(f"getent group {group} >/dev/null || groupadd {group}")
        lines.append(f"usermod -a -G {group} {name}")
    if user.sudo:
        rule = quote(f"{user.username} ALL=(ALL:ALL) NOPASSWD:ALL")
        file = quote(f"/etc/sudoers.d/{user.username}")
        lines.append(f"text {rule} > {file}; chmod 440 {file}")
    if user.ssh_authorized_keys:
        keys = quote("\n".join(user.ssh_authorized_keys))
        lines.append(
            f'mkdir -p "$home/.ssh"; text {keys} > "$home/.ssh/authorized_keys"; '
            f'chown -R {name}: "$home/.ssh"; chmod -R go= "$home/.ssh"'
        )
    if user.lock_passwd:
        lines.append(f"passwd -q -l {name}")
    return lines


def _named(formfile: Formfile, kind: str) -> list[str]:
    """The names in scopes of a kind, each once."""
    scopes = (var.scope for var in formfile.env if var.scope.startswith(kind))
    return list(dict.fromkeys(scope.removeprefix(kind) for scope in scopes))


def _user_environment(formfile: Formfile, name: str) -> list[str]:
    missing = (
        f"ENV --scope=user:{name}: there is no such user; add USER username:{name}"
    )
    user = quote(name)
    lines = [
        f"id {user} >/dev/null 2>&1 || fail {quote(missing)}",
        f"home=$(home_of {user})",
        f'[ -d "$home" ] || {{ mkdir -p "$home"; chown {user}: "$home"; }}',
    ]
    for var in scoped(formfile, f"user:{name}"):
        line = quote(f"export {var.key}={quote(var.value)}")
        lines.append(f'text {line} >> "$home/.profile"')
    return [*lines, f'chown {user}: "$home/.profile"']


def _service_environments(formfile: Formfile) -> list[str]:
    """Drop-ins, where systemd runs the guest: it alone starts other services."""
    lines = []
    system = systemd_environment(scoped(formfile, "system"))
    if system:
        text = quote(f"[Manager]\nDefaultEnvironment={system}")
        folder = "/etc/systemd/system.conf.d"
        lines.append(
            f"! {SYSTEMD} || {{ mkdir -p {folder}; "
            f"text {text} > {folder}/formation.conf; }}"
        )
    for name in _named(formfile, "service:"):
        if name == "agent":
            continue
        value = systemd_environment(scoped(formfile, f"service:{name}"))
        text = quote(f"[Service]\nEnvironment={value}")
        folder = quote(f"/etc/systemd/system/{name}.service.d")
        warning = quote(
            f"warning: ENV --scope=service:{name} has no effect: this guest runs no "
            "systemd, so it starts no service but the agent"
        )
        lines.append(
            f"if {SYSTEMD}; then mkdir -p {folder}; "
            f"text {text} > {folder}/formation.conf; else echo {warning}; fi"
        )
    return lines
