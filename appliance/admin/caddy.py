"""Caddy's configuration and the node's own long-lived certificate."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from appliance.config import Settings

YEARS = 10
SAID = ("Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via")  # of a client, by proxies


def certificate_files(settings: Settings) -> tuple[Path, Path]:
    folder = settings.data_dir / "tls"
    return folder / "node.crt", folder / "node.key"


def ensure_certificate(settings: Settings) -> None:
    """Make a self-signed certificate for this machine's name, once."""
    if not certificate_files(settings)[0].exists():
        renew_certificate(settings)


def renew_certificate(settings: Settings) -> None:
    """Make a self-signed certificate in place of the one that is there."""
    cert_file, key_file = certificate_files(settings)
    key = ec.generate_private_key(ec.SECP256R1())
    host = socket.gethostname() or "formation"
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365 * YEARS))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName(host), x509.DNSName("localhost")]
            ),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    _replace(key_file, private)
    _replace(cert_file, certificate.public_bytes(serialization.Encoding.PEM))


def _replace(file: Path, content: bytes) -> None:
    """In one step; the group that may read it is its folder's."""
    draft = file.with_name(f".{file.name}")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o640)
    os.chown(draft, -1, file.parent.stat().st_gid)
    draft.write_bytes(content)
    draft.replace(file)


def fingerprint(settings: Settings) -> str:
    """SHA-256 of the certificate, as browsers show it."""
    pem = certificate_files(settings)[0].read_bytes()
    digest = x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256()).hex()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2)).upper()


def caddyfile(settings: Settings) -> str:
    """Task calls and event streams go to the gateway, all else to web.

    What a client says of its own address is dropped; that it came by a proxy is not.
    Of a request that failed neither address nor headers are logged: they may be secret.
    """
    run = settings.run_dir
    cert, key = certificate_files(settings)
    http = settings.http
    proxied = "".join(f"{{header.{name}}}" for name in SAID)
    return f"""{{
    admin unix/{run}/caddy/admin.sock
    auto_https off
    storage file_system {settings.data_dir}/caddy
    log {{
        format filter {{
            wrap json
            fields {{
                request>uri delete
                request>headers delete
            }}
        }}
    }}
}}
(client) {{
    header_up X-Forwarded-For {{remote_host}}
    header_up Formation-Proxied "{proxied}"
    header_up -Forwarded
    header_up -X-Real-Ip
}}
(node) {{
    @tasks path_regexp ^/api/v1/market/(tasks($|/)|agents/.+/(run_task|submit_task)$)
    @events path_regexp /events$
    handle @tasks {{
        reverse_proxy unix/{run}/gateway.sock {{
            flush_interval -1
            import client
        }}
    }}
    handle @events {{
        reverse_proxy unix/{run}/gateway.sock {{
            flush_interval -1
            import client
        }}
    }}
    handle {{
        reverse_proxy unix/{run}/web.sock {{
            import client
        }}
    }}
}}
http://:{http.port} {{
    bind 127.0.0.1
    import node
}}
https://{http.https_host}:{http.https_port} {{
    tls {cert} {key}
    import node
}}
"""
