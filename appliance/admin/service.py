"""admin as a service: pages, accounts and processes, in formation-web."""

from __future__ import annotations

from appliance.admin import alerts, repairs
from appliance.service import Page, Served, Service

SERVICE = Service(
    name="admin",
    title="Administration",
    segment="admin",
    process="web",
    runtime=Served,
    section="admin",
    always=True,
    measures="appliance.admin.measures",
    operations="appliance.admin.kinds",
    summary="Pages, accounts and processes of this node.",
    pages=(
        Page("/", "Dashboard", rank=10),
        Page("/alerts/", "Alerts", rank=60, role="auditor", count=alerts.how_many),
        Page("/repairs/", "Repairs", rank=65, role="auditor", count=repairs.how_many),
        Page("/services/", "Services", "Administration", rank=10),
        Page("/admin/settings", "Settings", "Administration", rank=20, role="auditor"),
        Page("/admin/logs", "Logs", "Administration", rank=15, role="auditor"),
        Page("/admin/storage", "Storage", "Administration", rank=30),
        Page("/admin/machine", "Machine", "Administration", rank=35, role="operator"),
        Page("/api/", "API", "Administration", rank=65),
        Page("/admin/accounts", "Accounts", "Administration", rank=70, role="auditor"),
        Page("/admin/audit", "Audit log", "Administration", rank=80, role="auditor"),
        Page("/account", "Your account", "Administration", rank=90),
    ),
)
