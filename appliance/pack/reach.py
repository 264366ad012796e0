"""What a build needs of the machine's surroundings: resolvers, mirrors, proxies.

They may have private addresses, which a build cannot reach otherwise. Where they
are is read from resolv.conf and from the settings of apt, pip and npm.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path
from urllib.parse import urlsplit

RESOLV, OWN_CERTIFICATES = Path("/etc/resolv.conf"), "/usr/local/share/ca-certificates"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
PIP = ("/etc/pip.conf", "~/.config/pip/pip.conf", "~/.pip/pip.conf")
NPM = ("/etc/npmrc", "/usr/etc/npmrc", "~/.npmrc")
PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")
INDEXES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "npm_config_registry")
PORTS = {"http": 80, "https": 443, "ftp": 21, "socks5": 1080}
_URL = re.compile(r"(?:https?|ftp|socks5h?)://[^\s\"';,]+")


@dataclass(frozen=True)
class Reach:
    """`endpoints` are private (address, port) of mirrors and proxies; `environment`
    is what the machine's own programs find them by."""

    resolvers: tuple[IPv4Address, ...] = ()
    options: tuple[str, ...] = ()
    endpoints: tuple[tuple[IPv4Address, int], ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    apt: tuple[str, ...] = ()

    @property
    def local_resolver(self) -> IPv4Address | None:
        """The first resolver on loopback, which a build has no way to by itself."""
        return next((a for a in self.resolvers if a.is_loopback), None)

    def resolv_conf(self, gateway: IPv4Address) -> str:
        """resolv.conf of a build; what listens on loopback is at the gateway."""
        found = [gateway if a.is_loopback else a for a in self.resolvers]
        lines = [f"nameserver {address}" for address in dict.fromkeys(found)]
        return "\n".join([*lines, *self.options]) + "\n"


def measure() -> Reach:
    """What this machine uses now; names are looked up."""
    resolvers, options = resolv(RESOLV.read_text() if RESOLV.exists() else "")
    apt = _said("apt-config", "dump")
    names = {n for name in (*PROXIES, *INDEXES) for n in (name, name.upper())}
    environment = {n: os.environ[n] for n in sorted(names) if os.environ.get(n)}
    sites = _said("apt-get", "indextargets", "--format", "$(SITE)")
    texts = [sites, *apt_proxies(apt), *environment.values(), *_files(PIP + NPM)]
    endpoints = {place for text in texts for place in _places(text)}
    return Reach(
        tuple(resolvers),
        tuple(options),
        tuple(sorted(endpoints)),
        tuple(environment.items()),
        tuple(apt_proxies(apt)),
    )


def resolv(text: str) -> tuple[list[IPv4Address], list[str]]:
    """IPv4 resolvers of a resolv.conf, and its other lines that matter."""
    resolvers, options = [], []
    for line in text.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word in ("search", "domain", "options"):
            options.append(line.strip())
        elif word == "nameserver":
            try:
                resolvers.append(IPv4Address(rest.strip()))
            except AddressValueError:
                continue  # a build's network is IPv4
    return resolvers, options


def apt_proxies(dump: str) -> list[str]:
    """`Acquire::…::Proxy=…` of what `apt-config dump` prints."""
    pattern = r"^(Acquire::[\w:.-]*Proxy[\w:.-]*) \"(.+)\";$"
    return [f"{key}={value}" for key, value in re.findall(pattern, dump, re.MULTILINE)]


def hosts(text: str) -> set[tuple[str, int]]:
    """(host, port) of every address that a text names."""
    found = set()
    for url in _URL.findall(text):
        try:
            parts = urlsplit(url)
            port = parts.port or PORTS.get(parts.scheme.removesuffix("h"), 80)
        except ValueError:
            continue
        if parts.hostname:
            found.add((parts.hostname, port))
    return found


def _places(text: str) -> Iterable[tuple[IPv4Address, int]]:
    for host, port in hosts(text):
        try:
            answers = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)
        except OSError:
            continue  # the build will say what it misses
        for answer in answers:
            address = IPv4Address(answer[4][0])
            if not address.is_global and not address.is_loopback:
                yield address, port


def _files(names: Iterable[str]) -> Iterable[str]:
    for name in names:
        try:
            yield Path(name).expanduser().read_text()
        except (OSError, UnicodeDecodeError, RuntimeError):
            continue


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout


def certificates() -> Path | None:
    """The machine's trusted certificates, where somebody added own ones."""
    own = Path(OWN_CERTIFICATES)
    added = own.is_dir() and any(own.iterdir())
    return CERTIFICATES if added and CERTIFICATES.exists() else None
