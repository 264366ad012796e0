"""HTTP: parse, authorise, call appliance/, render. `create_app` makes the app.

Light to import: gunicorn's master reads its settings from this package and needs
nothing else of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask


def create_app() -> Flask:
    """The whole app; gunicorn runs it as formation-web and formation-gateway."""
    from blueprints.app import create_app as create

    return create()


def open_databases() -> None:
    from appliance import schema
    from appliance.config import settings

    schema.open_all(settings())
