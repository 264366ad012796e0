"""A small mail server and a small web server, on loopback, that keep what they get."""

from __future__ import annotations

import base64
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class MailServer(socketserver.TCPServer):
    """Speaks SMTP as far as submission needs it; `said` has every command."""

    allow_reuse_address = True

    def __init__(self, context: ssl.SSLContext | None, refuses: str = "") -> None:
        super().__init__(("127.0.0.1", 0), MailSession)
        self.context, self.refuses = context, refuses
        self.said: list[str] = []
        self.mails: list[str] = []
        self.login = ""


class MailSession(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self.answer("220 test")
        while line := self.rfile.readline().decode().strip():
            self.server.said.append(line)
            verb = line.split(" ")[0].upper()
            if verb == "QUIT":
                return self.answer("221 bye")
            self.act(verb, line)
        return None

    def act(self, verb: str, line: str) -> None:
        if verb == "EHLO":
            encrypted = isinstance(self.request, ssl.SSLSocket)
            offer = "AUTH PLAIN" if encrypted else "STARTTLS"
            self.answer("250-test", f"250 {offer}")
        elif verb == "STARTTLS" and self.server.context:
            self.answer("220 go on")
            self.request = self.server.context.wrap_socket(
                self.request, server_side=True
            )
            self.rfile = self.request.makefile("rb")
            self.wfile = self.request.makefile("wb", buffering=0)
        elif verb == "AUTH":
            self.server.login = base64.b64decode(line.split(" ")[2]).decode()
            self.answer("235 welcome")
        elif verb == "DATA":
            self.answer("354 go on")
            self.server.mails.append(self.read_mail())
            self.answer("250 taken")
        elif verb == "RCPT" and self.server.refuses:
            self.answer(self.server.refuses)
        else:
            self.answer("250 fine")

    def finish(self) -> None:
        super().finish()
        self.request.close()

    def read_mail(self) -> str:
        lines = []
        while (line := self.rfile.readline().decode()) not in (".\r\n", ""):
            lines.append(line)
        return "".join(lines)

    def answer(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())


class WebServer(HTTPServer):
    """Answers each POST with the next of `answers`, the last for ever."""

    def __init__(self, *answers: int) -> None:
        super().__init__(("127.0.0.1", 0), WebSession)
        self.answers = list(answers)
        self.got: list[tuple[str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class WebSession(BaseHTTPRequestHandler):
    server: WebServer

    def do_POST(self) -> None:  # noqa: N802 - http.server's name
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.server.got.append((self.path, headers, body))
        answers = self.server.answers
        self.send_response(answers.pop(0) if len(answers) > 1 else answers[0])
        self.send_header("Location", f"{self.server.url}/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        return None


@contextmanager
def serving(server: Any) -> Iterator[Any]:
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.01}
    )
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def certificate(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Contexts of a server at 127.0.0.1, and of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]),
            critical=True,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "mail.pem").write_bytes(secret + pem)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "mail.pem")
    return server, ssl.create_default_context(cadata=pem.decode())
