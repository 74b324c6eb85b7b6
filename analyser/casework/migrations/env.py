"""Alembic's entry point; `CaseworkDatabase` hands it the connection that holds the migration's transaction."""

from alembic import context
from sqlalchemy import Connection

from analyser.casework import list_models
from analyser.casework.models import Base

assert list_models.ListSource.metadata is Base.metadata, "importing it adds its tables"
connection = context.config.attributes["connection"]
assert isinstance(connection, Connection), "migrations run through CaseworkDatabase"
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
