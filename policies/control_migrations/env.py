"""Alembic's entry: migrations of the control database run on the connection that `policies.control_database.migrate` hands over."""

from alembic import context

from policies.control_database import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
