"""Every setting of the node, typed, with its default and its meaning.

Order: defaults, then the TOML file, then `FORMATION_<SECTION>__<KEY>`. The
variables of the older network are accepted as aliases (see `older.py`).
"""

from __future__ import annotations

import os
import re
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from appliance import trust
from appliance.older import translate
from appliance.problems import Problem

DEFAULT_FILE = Path("/etc/formation/formation.toml")

# How a setting applies, where not by a reload: what must be restarted (processes, or
# the whole node), or that set-up alone asks for it.
NODE: dict[str, Any] = {"restart": ["node"]}
JOBS: dict[str, Any] = {"restart": ["jobs"]}
SET_UP: dict[str, Any] = {"set_up": True}


def address(text: str) -> str:
    """An IPv4 or IPv6 address, as text."""
    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError("must be an IPv4 or IPv6 address") from None


def place(text: str) -> str:
    """`host:port`."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise ValueError("must be host:port, as in 192.0.2.1:5432")
    return text


def host_name(text: str) -> str:
    """A name such as a browser sends it, without scheme and port."""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", text.lower()):
        raise ValueError("must be a name alone, as in node.example.org")
    return text.lower()


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HttpSettings(Section):
    """Where people and programs reach the node."""

    port: int = Field(
        8080,
        ge=1,
        le=65535,
        description="Plain HTTP, loopback only.",
    )
    https_host: str = Field("", description="Address of HTTPS; empty for all.")
    https_port: int = Field(8443, ge=1, le=65535, description="HTTPS port.")
    max_upload_mib: int = Field(512, ge=1, description="Largest upload, in MiB.")
    host_names: list[Annotated[str, AfterValidator(host_name)]] = Field(
        [],
        description="Names besides the machine's own that people and programs may "
        "call the node by; addresses always do.",
    )


class AuthSettings(Section):
    """Sessions, throttling, and who is trusted without a password."""

    session_hours: int = Field(72, ge=1, description="A session ends after this.")
    idle_hours: int = Field(
        12, ge=1, description="A session that was not used for this long ends."
    )
    proof_minutes: int = Field(
        10,
        ge=1,
        le=1440,
        description="For this long after a log-in, or after the password was asked for "
        "again, a session does dangerous things without being asked.",
    )
    attempts: int = Field(
        10,
        ge=1,
        description="Failed log-ins or claim codes per address per 10 minutes; an "
        "account has five times as many, from addresses where it never logged in.",
    )
    operator_group: str = Field(
        "formation",
        description="Its members are operators on the CLI socket.",
        json_schema_extra=NODE,
    )
    loopback_trust: Literal["off", "auditor", "operator"] = Field(
        "off",
        description="What anybody on this machine may do without logging in: nothing, "
        "read all (auditor), or everything. Leave it off where a proxy of your own or "
        "an SSH tunnel leads here: what comes by it comes from this machine.",
    )
    trusted_nodes: list[Annotated[str, AfterValidator(trust.node)]] = Field(
        [],
        description="Ids of nodes whose signed requests are taken, as auditor, or as "
        "operator with `=operator` behind the id.",
    )
    trusted_addresses: list[Annotated[str, AfterValidator(trust.network)]] = Field(
        [],
        description="Addresses and networks (192.0.2.0/24) that need not log in, as "
        "auditor, or as operator with `=operator` behind; never those of guests, nor "
        "through another proxy.",
    )


class VmmSettings(Section):
    """Virtual machines."""

    uri: str = Field(
        "qemu:///system", description="The libvirt connection.", json_schema_extra=JOBS
    )
    accelerator: Literal["probe", "kvm", "tcg"] = Field(
        "probe", description="KVM, emulation, or what the boot probe finds."
    )
    on_exit: Literal["shutdown", "keep"] = Field(
        "shutdown", description="What happens to VMs when the node's processes stop."
    )
    boot_timeout_s: int = Field(
        120, ge=5, description="An instance must be healthy within this, in seconds."
    )
    reserve_memory_mib: int = Field(
        512, ge=0, description="Memory that is never promised to instances."
    )
    reserve_disk_gib: int = Field(
        2, ge=0, description="Disk space that images and instances leave free."
    )
    disk_overcommit: float = Field(
        4.0,
        gt=0,
        description="Disk promised to instances for each GiB that they may take; "
        "their disks grow only as they are written.",
    )
    cpu_overcommit: float = Field(
        8.0, gt=0, description="Promised vCPUs for each of the node's."
    )
    images_dir: Path | None = Field(
        None,
        description="Images; default `images` in the data directory.",
        json_schema_extra=NODE,
    )
    instances_dir: Path | None = Field(
        None,
        description="Instances; default `instances` in the data directory.",
        json_schema_extra=NODE,
    )


class PackSettings(Section):
    """Building images."""

    build_timeout_s: int = Field(1800, ge=10, description="Longest build, in seconds.")
    build_memory_mib: int = Field(2048, ge=128, description="Memory of a build.")
    build_processes: int = Field(512, ge=16, description="Processes of a build.")
    build_disk_gib: int = Field(8, ge=1, description="Disk that a build may write.")
    cache_gib: int = Field(20, ge=1, description="Layers and images kept at most.")
    subuid_start: int = Field(
        200000, ge=65536, description="First host uid that builds' users map to."
    )
    build_range: IPv4Network = Field(
        IPv4Network("198.18.255.0/24"),
        description="Range of builds' own networks, four addresses each.",
    )


class FormnetSettings(Section):
    """The bridge that guests are plugged into, and what they may reach."""

    cidr: IPv4Network = Field(
        IPv4Network("10.42.0.0/16"),
        description="The federation's IPv4 range.",
        json_schema_extra=SET_UP,
    )
    bridge: str = Field(
        "formation0",
        max_length=15,
        description="Bridge of this node's guests.",
        json_schema_extra=NODE,
    )
    listen_port: int = Field(
        51820, ge=1, le=65535, description="WireGuard port, for the mesh to come."
    )
    external_endpoint: str = Field(
        "auto", description="Address for other nodes, for the mesh to come."
    )
    guest_access: list[IPv4Network] = Field(
        [], description="Private ranges that guests may reach nevertheless."
    )


class DnsSettings(Section):
    """Names."""

    zone: str = Field(
        "formation.internal",
        description="The zone of agents' names.",
        json_schema_extra=SET_UP,
    )
    host: Annotated[str, AfterValidator(address)] = Field(
        "127.0.0.1", description="Address that answers queries."
    )
    port: int = Field(5453, ge=1, le=65535, description="UDP and TCP port.")
    ttl: int = Field(5, ge=0, le=86400, description="Seconds that answers are kept.")
    forward: list[IPv4Address | IPv6Address] = Field(
        [], description="Resolvers for other names; empty: those of resolv.conf."
    )


class MarketSettings(Section):
    """The gateway."""

    workers: int = Field(
        64, ge=1, description="Tasks that run at once; an idle agent gets one on top."
    )
    tasks_per_agent: int = Field(
        16, ge=1, description="Tasks of one agent that run at once; more are queued."
    )
    calls: int = Field(
        192, ge=1, description="Requests that wait for tasks at once, as run_task does."
    )
    calls_per_agent: int = Field(
        32, ge=1, description="Of those for one agent; more are refused (429)."
    )
    max_input_mib: float = Field(1, gt=0, description="Largest task body, in MiB.")
    max_output_mib: float = Field(16, gt=0, description="Largest answer, in MiB.")
    keep_days: int = Field(30, ge=1, description="Finished tasks are kept this long.")


class StateSettings(Section):
    """Records."""

    headers_kept: int = Field(
        5, ge=1, description="Headers of a record's last versions that are kept."
    )


class AdminSettings(Section):
    """This node's own pages and processes."""

    events_kept: int = Field(5000, ge=100, description="Events kept.")
    metrics_mib: int = Field(
        256, ge=8, description="Size of the measurements, in MiB; the oldest go first."
    )
    audit_kept: int = Field(100_000, ge=1000, description="Lines of the audit log.")
    alerts_kept: int = Field(
        1000, ge=10, description="Resolved alerts kept, and lines of their deliveries."
    )
    console_shell: bool = Field(
        False,
        description="The console's menu has a shell as root, for operators who say "
        "their password.",
    )
    operations_kept: int = Field(
        1000, ge=10, description="Ended operations kept, for 30 days at most."
    )
    log_mib: int = Field(
        16, ge=1, description="Size at which a log is rotated.", json_schema_extra=NODE
    )


class LogSettings(Section):
    """Logs of our processes."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least severe level that is logged."
    )
    format: Literal["json", "text"] = Field("json", description="One object a line.")


class NodeSettings(Section):
    """Start-up of the whole node."""

    passphrase_file: Path | None = Field(
        None,
        description="File with the pass phrase that seals the node's keys.",
        json_schema_extra=NODE,
    )
    wait_for: list[Annotated[str, AfterValidator(place)]] = Field(
        [],
        description="`host:port` that must accept connections before services start.",
    )


class Settings(BaseSettings):
    """The whole configuration; `settings()` is the loaded one."""

    model_config = SettingsConfigDict(
        env_prefix="FORMATION_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
    )
    data_dir: Path = Field(
        Path("/var/lib/formation"),
        description="Databases, keys, images, packs.",
        json_schema_extra=NODE,
    )
    run_dir: Path = Field(
        Path("/run/formation"), description="Sockets.", json_schema_extra=NODE
    )
    log_dir: Path = Field(
        Path("/var/log/formation"), description="Logs.", json_schema_extra=NODE
    )
    node: NodeSettings = NodeSettings()
    http: HttpSettings = HttpSettings()
    auth: AuthSettings = AuthSettings()
    state: StateSettings = StateSettings()
    formnet: FormnetSettings = FormnetSettings()
    dns: DnsSettings = DnsSettings()
    vmm: VmmSettings = VmmSettings()
    pack: PackSettings = PackSettings()
    market: MarketSettings = MarketSettings()
    admin: AdminSettings = AdminSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = TomlConfigSettingsSource(settings_cls, toml_file=config_file())
        older = OlderSource(settings_cls)
        return init_settings, env_settings, older, file

    @property
    def images_dir(self) -> Path:
        return self.vmm.images_dir or self.data_dir / "images"

    @property
    def instances_dir(self) -> Path:
        return self.vmm.instances_dir or self.data_dir / "instances"

    @property
    def base_dir(self) -> Path:
        return self.data_dir / "base"


class OlderSource(PydanticBaseSettingsSource):
    """Values of the older network's variables, where they are set."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        return translate(os.environ).values


def config_file() -> Path:
    """The settings file: `FORMATION_CONFIG`, its older name, or the default."""
    older = os.environ.get("PACK_MANAGER_CONFIG_PATH")
    return Path(os.environ.get("FORMATION_CONFIG") or older or DEFAULT_FILE)


def load() -> Settings:
    """Read the settings; raises Problem with every wrong field named."""
    try:
        return Settings()
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}"
            for item in error.errors()
        ]
        raise Problem(
            "settings-invalid", f"{config_file()} or environment: " + "; ".join(lines)
        ) from None
    except OSError as error:
        raise Problem(
            "settings-unreadable",
            f"{config_file()}: {error.strerror}. The node's own users read it: "
            "chmod 644, and its folder 755.",
        ) from None
    except ValueError as error:
        raise Problem(
            "settings-invalid",
            f"{config_file()} is not a TOML file: {error}. Correct it or move it away.",
        ) from None


@cache
def settings() -> Settings:
    """The settings of this process, loaded once and at each `reload`."""
    return load()


class Fileless(Settings):
    """The settings as defaults and environment have them."""

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], *sources: Any, **named: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return super().settings_customise_sources(settings_cls, *sources, **named)[:-1]


def usable() -> Settings:
    """The settings; without their file where that is wrong, for who must reach the node
    in order to mend it. Raises Problem where the environment is wrong too."""
    try:
        return settings()
    except Problem as problem:
        try:
            return Fileless()
        except ValidationError:
            raise problem from None


def reload() -> Settings:
    """Read the settings anew; where they are wrong the former go on (Problem)."""
    load()
    settings.cache_clear()
    return settings()
