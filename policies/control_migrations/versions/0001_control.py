"""Grants with their items and steps, suspensions, disablements, notices, rule files, verification attempts, trusted operations."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    sequence = op.create_table(
        "sequence",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(sequence, [{"id": 1, "number": 0}])
    _create_grants()
    _create_stops()
    _create_rules()


def _create_grants() -> None:
    op.create_table(
        "grants",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("department", sa.String(100), nullable=False),
        sa.Column("provider", sa.String(100), nullable=False),
        sa.Column("purposes", sa.JSON, nullable=False),
        sa.Column("modes", sa.JSON, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("rows", sa.JSON, nullable=False),
        sa.Column("not_before", sa.String(20), nullable=False),
        sa.Column("expires", sa.String(20), nullable=False),
        sa.Column("agreement", sa.Text, nullable=False),
        sa.Column("agreement_state", sa.String(20), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("decided_by", sa.String(20)),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
    )
    for column in ("department", "provider", "changed"):
        op.create_index(f"ix_grants_{column}", "grants", [column])
    op.create_table(
        "grant_items",
        sa.Column("grant_id", _ID, sa.ForeignKey("grants.id", name="fk_grant_items_grant"), primary_key=True),
        sa.Column("coordinate", sa.String(250), primary_key=True),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("authority", sa.Text, nullable=False),
        sa.Column("granted", sa.Boolean),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "grant_steps",
        sa.Column("grant_id", _ID, sa.ForeignKey("grants.id", name="fk_grant_steps_grant"), primary_key=True),
        sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("action", sa.String(50), nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("department", sa.String(100), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
    )


def _create_stops() -> None:
    op.create_table(
        "suspensions",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("provider", sa.String(100), nullable=False),
        sa.Column("department", sa.String(100), nullable=False),
        sa.Column("grant", sa.String(30), nullable=False),
        sa.Column("object", sa.String(250), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("lifted_at", sa.BigInteger),
    )
    op.create_index("ix_suspensions_provider", "suspensions", ["provider"])
    op.create_table(
        "disablements",
        sa.Column("kind", sa.String(20), primary_key=True),
        sa.Column("name", sa.String(250), primary_key=True),
        sa.Column("department", sa.String(100), primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "notices",
        sa.Column("number", _ID, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("en", sa.Text, nullable=False),
        sa.Column("zh", sa.Text, nullable=False),
        sa.Column("reference", sa.String(30), nullable=False),
    )
    op.create_index("ix_notices_reference", "notices", ["reference"])


def _create_rules() -> None:
    op.create_table(
        "rule_files",
        sa.Column("name", sa.String(250), primary_key=True),
        sa.Column("rows", sa.JSON, nullable=False),
        sa.Column("texts", sa.JSON, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "attempts",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("department", sa.String(100), nullable=False),
        sa.Column("entity", sa.String(100), nullable=False),
        sa.Column("coordinate", sa.String(250), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_attempts_whose", "attempts", ["department", "entity", "coordinate", "at"])
    op.create_index("ix_attempts_when", "attempts", ["department", "at"])
    op.create_table(
        "operations",
        sa.Column("digest", sa.String(100), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    for table in (
        "operations", "attempts", "rule_files", "notices", "disablements", "suspensions", "grant_steps", "grant_items",
        "grants", "sequence",
    ):  # fmt: skip
        op.drop_table(table)
