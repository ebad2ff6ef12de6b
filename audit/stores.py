"""Which kind of store stands at a URL."""

from __future__ import annotations

import sqlalchemy as sa

from audit.store import Store
from audit.store_postgres import PostgresStore
from audit.store_sqlite import SqliteStore


def store_at(url: str | sa.URL, timeout: float) -> Store:
    """The store at a SQLAlchemy URL (SQLite, or PostgreSQL by psycopg); `timeout` in seconds is how long a batch may take. ValueError."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return SqliteStore(parsed, timeout)
    if parsed.get_backend_name() == "postgresql":
        return PostgresStore(parsed.set(drivername="postgresql+psycopg"), timeout)
    raise ValueError("neither a SQLite file nor a PostgreSQL database")
