"""Notices to every department, corrections, requests to re-identify a data subject."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.add_column("notices", sa.Column("department", sa.String(100), nullable=False, server_default=sa.text("''")))
    op.add_column("notices", sa.Column("uses", sa.JSON(none_as_null=True)))
    op.create_index("ix_notices_department", "notices", ["department", "number"])
    op.create_table(
        "corrections",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("provider", sa.String(100), nullable=False),
        sa.Column("resource", sa.String(100), nullable=False),
        sa.Column("item", sa.String(100), nullable=False),
        sa.Column("entity", sa.String(100), nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger),
        sa.Column("reference", sa.String(200), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("undetermined", sa.Integer, nullable=False),
        sa.Column("request", sa.String(100), nullable=False),
        sa.UniqueConstraint("provider", "reference", name="uq_corrections_reference"),
    )
    op.create_table(
        "reidentifications",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("hash", sa.String(100), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("requested_by", sa.String(200), nullable=False),
        sa.Column("department", sa.String(100), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("approved_by", sa.String(200)),
        sa.Column("approved_at", sa.BigInteger),
        sa.Column("revealed_at", sa.BigInteger),
    )
    op.create_index("ix_reidentifications_hash", "reidentifications", ["hash"])


def downgrade() -> None:
    op.drop_table("reidentifications")
    op.drop_table("corrections")
    op.drop_index("ix_notices_department", "notices")
    with op.batch_alter_table("notices") as notices:
        notices.drop_column("uses")
        notices.drop_column("department")
