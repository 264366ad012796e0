"""The app as gunicorn loads it."""

from blueprints import create_app, open_databases

open_databases()
app = create_app()
