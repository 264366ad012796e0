"""An alert as an e-mail, over SMTP (RFC 5321) with STARTTLS or TLS."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from appliance.admin.alerts.message import Message
from appliance.admin.alerts.targets import Mail

TIMEOUT_S = 20.0


def compose(message: Message, mail: Mail) -> EmailMessage:
    made = EmailMessage()
    made["Subject"] = message.subject
    made["From"] = mail.sender
    made["To"] = mail.to
    made["Date"] = formatdate()
    made["Message-ID"] = make_msgid(message.id, mail.sender.rpartition("@")[2])
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(message.text)
    return made


def send(
    message: Message, mail: Mail, password: str, context: ssl.SSLContext | None = None
) -> str:
    """Give the message to the server; what it said. Raises OSError, also as
    smtplib.SMTPException. Certificates are verified."""
    context = context or ssl.create_default_context()
    with connection(mail, context) as server:
        if mail.tls == "starttls":
            server.starttls(context=context)
        if mail.user:
            server.login(mail.user, password)
        refused = server.send_message(compose(message, mail))
    if refused:
        return f"taken, but not for {', '.join(refused)}"
    return "taken by the mail server"


def connection(mail: Mail, context: ssl.SSLContext) -> smtplib.SMTP:
    if mail.tls == "tls":
        return smtplib.SMTP_SSL(
            mail.host, mail.port, timeout=TIMEOUT_S, context=context
        )
    return smtplib.SMTP(mail.host, mail.port, timeout=TIMEOUT_S)
