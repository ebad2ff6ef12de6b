"""Places for a control database: a file, and a schema of its own on the PostgreSQL server of `ONESOURCE_TEST_POSTGRES`."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

KINDS = ("sqlite", "postgresql")
SERVER = "ONESOURCE_TEST_POSTGRES"


@contextmanager
def place(kind: str, folder: Path) -> Iterator[sa.URL]:
    """The URL of an empty database of this kind; the test is skipped where its server is not named."""
    if kind == "sqlite":
        yield sa.make_url(f"sqlite:///{folder / 'control.db'}")
        return
    if SERVER not in os.environ:
        pytest.skip(f"{SERVER} names no PostgreSQL server")
    server = sa.make_url(os.environ[SERVER])
    schema = f"control_{uuid.uuid4().hex}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.schema.CreateSchema(schema))
        try:
            yield server.update_query_dict({"options": f"-csearch_path={schema}"})
        finally:
            connection.execute(sa.schema.DropSchema(schema, cascade=True))
    engine.dispose()
