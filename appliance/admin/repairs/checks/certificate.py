"""Can browsers and programs go on trusting the node's certificate?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from appliance.admin import front_door
from appliance.admin.caddy import certificate_files, fingerprint, renew_certificate
from appliance.admin.repairs.issue import Fix, Issue, Repair, Severity
from appliance.config import Settings, settings
from appliance.operations import Run

SOON_DAYS = 30
FIX = Fix(
    "Make a new one",
    "Browsers and programs that trust the present certificate have to be told of the "
    "new one, by its fingerprint.",
)


def find(config: Settings) -> Iterator[Issue]:
    file, key = certificate_files(config)
    try:
        found = read(file, key)
    except (OSError, ValueError, TypeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        text = f"{file} or its key cannot be used: {why}."
        yield told("critical", "The certificate cannot be read", text, "unreadable")
        return
    left = (found.not_valid_after_utc - datetime.now(UTC)).days
    end = f"{found.not_valid_after_utc:%Y-%m-%d}"
    if left < 0:
        text = f"{file} ended on {end}: browsers and programs refuse the node."
        yield told("critical", "The certificate has expired", text, "expired")
    elif left < SOON_DAYS:
        text = f"{file} ends on {end}, in {left} days."
        yield told("warning", "The certificate ends soon", text, "soon")


def read(file: Path, key: Path) -> x509.Certificate:
    """The certificate; raises ValueError where its key is another's."""
    found = x509.load_pem_x509_certificate(file.read_bytes())
    private = load_pem_private_key(key.read_bytes(), None)
    if private.public_key() != found.public_key():
        raise ValueError(f"{key.name} is the key of another certificate")
    return found


def told(severity: Severity, title: str, text: str, state: str) -> Issue:
    cure = "Let the node make a new one, or put one of your own into its place."
    return Issue(severity, title, text, cure, fix=FIX, state=state)


def mend(run: Run, subject: str) -> None:
    renew_certificate(settings())
    run.log(f"the new certificate is {fingerprint(settings())}")
    front_door.read_anew(settings(), run.log)


REPAIR = Repair("certificate", "Certificate", find, mend)
