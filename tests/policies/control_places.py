"""Places for a control database: a file, and a schema of its own on a PostgreSQL server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from tests import servers

KINDS = ("sqlite", "postgresql")


@contextmanager
def place(kind: str, folder: Path) -> Iterator[sa.URL]:
    """The URL of an empty database of this kind; the test is skipped where there is no server."""
    if kind == "sqlite":
        yield sa.make_url(f"sqlite:///{folder / 'control.db'}")
        return
    server = servers.postgres()
    schema = f"control_{uuid.uuid4().hex}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.schema.CreateSchema(schema))
        try:
            yield server.update_query_dict({"options": f"-csearch_path={schema}"})
        finally:
            connection.execute(sa.schema.DropSchema(schema, cascade=True))
    engine.dispose()
