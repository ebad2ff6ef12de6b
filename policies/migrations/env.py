"""Alembic's entry: migrations of the case store run on the connection that `policies.cases.migrate` hands over."""

from alembic import context

from policies.cases import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
