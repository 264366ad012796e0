"""docs/settings.md and docs/api.md as the code has them.

`python -m tests.reference` writes both; tests/test_docs.py compares.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from appliance.config import Settings

DOCS = Path(__file__).parents[1] / "docs"
SETTINGS = """# Settings

Defaults, then `/etc/formation/formation.toml` (or `FORMATION_CONFIG`), then the
environment: `FORMATION_<SECTION>__<KEY>`, as in `FORMATION_HTTP__PORT=8081`. In the
file a section is a table:

    [http]
    port = 8081

Variables of the older network that are still understood are in
`appliance/older.py`; the log names those that mean nothing any more.
"""
API = """# The API

Below `/api/v1`; bodies are JSON, errors are problem documents (RFC 9457). A caller is
known by a session, by `Authorization: Bearer TOKEN`, or as root or a member of the
group `formation` on `cli.sock`. *who* is the role that is needed; what belongs to
somebody is its owner's and operators'. `docs/tasks.md` has the task calls in full.
Parameters, bodies and answers are in the node's own OpenAPI 3.1 document,
`/api/v1/openapi.json`, and on its page `/api/`. This table is made of it.

Lists take `q` (rows with this text), `sort` (a column; `-` before it: downwards),
`limit` and `offset`, and answer with `Link` (`prev`, `next`) and `X-Total-Count`;
tasks, records and the audit log go on from `next` instead.
"""


def settings_page() -> str:
    return SETTINGS + "".join(_sections())


def _sections() -> Iterator[str]:
    plain = {n: f for n, f in Settings.model_fields.items() if not _is_section(f)}
    yield "\n## Folders\n\n" + _table("", plain)
    for name, field in Settings.model_fields.items():
        if _is_section(field):
            section: type[BaseModel] = field.annotation  # type: ignore[assignment]
            yield f"\n## {name}\n{section.__doc__}\n\n"
            yield _table(f"{name}.", section.model_fields)


def _is_section(field: Any) -> bool:
    return isinstance(field.annotation, type) and issubclass(
        field.annotation, BaseModel
    )


def _table(prefix: str, fields: dict[str, Any]) -> str:
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    for name, field in fields.items():
        rows.append(
            f"| `{prefix}{name}` | {_default(field.default)} | {field.description} |"
        )
    return "\n".join(rows) + "\n"


def _default(value: Any) -> str:
    if value is None or value == "" or value == []:
        return "–"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def api_page() -> str:
    from blueprints import create_app, openapi

    rows = ["", "| request | who | what it does | answers |", "|---|---|---|---|"]
    for path, methods in openapi.document(create_app())["paths"].items():
        for method, call in methods.items():
            who, said = call["x-role"], ", ".join(call["responses"])
            request = f"{method.upper()} {path}"
            rows.append(f"| `{request}` | {who} | {call['summary']} | {said} |")
    return API + "\n".join(rows) + "\n"


PAGES = {"settings.md": settings_page, "api.md": api_page}

if __name__ == "__main__":
    for file, page in PAGES.items():
        (DOCS / file).write_text(page())
