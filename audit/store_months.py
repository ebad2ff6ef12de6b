"""The months that were moved out of a store: which they are, and how their rows go."""

from __future__ import annotations

import sqlalchemy as sa

from audit.store import KeptMonth
from audit.store_sql import SqlStore, frames_table, leaves_table, metadata

months_table = sa.Table(
    "months",
    metadata,
    sa.Column("first", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("last", sa.BigInteger, nullable=False),
    sa.Column("month", sa.String(7), nullable=False, unique=True),
    sa.Column("manifest", sa.Text, nullable=False),
    sa.Column("removal", sa.Text, nullable=False),
)
_MONTHS = months_table.c
_CHINA_HOURS, _DAY = 8 * 3_600_000_000, 86_400_000_000
"""In microseconds, as moments are."""


class MonthStore(SqlStore):
    """What both kinds of store do with sealed months."""

    def days(self, after: int) -> dict[int, int]:
        """The last place of each day in China (counted from 1970) among the frames behind `after`."""
        f = frames_table.c
        day = sa.cast(f.at, sa.BigInteger) + sa.literal_column(str(_CHINA_HOURS), sa.BigInteger)
        days = (
            sa.select((day // sa.literal_column(str(_DAY), sa.BigInteger)).label("day"), f.seq)
            .where(f.seq > after)
            .subquery()
        )
        wanted = sa.select(days.c.day, sa.func.max(days.c.seq)).group_by(days.c.day)
        with self._read() as connection:
            return {int(number): int(last) for number, last in connection.execute(wanted)}

    def months(self) -> list[KeptMonth]:
        """The months that were moved out, in order of place."""
        with self._read() as connection:
            rows = connection.execute(sa.select(months_table).order_by(_MONTHS.first)).all()
        return [KeptMonth(row.month, row.first, row.last, str(row.manifest), str(row.removal)) for row in rows]

    def keep_month(self, month: KeptMonth) -> None:
        """Return when it is durable that these places were moved out. ValueError unless they follow the last month's."""
        row = {name: getattr(month, name) for name in ("month", "first", "last", "manifest", "removal")}
        with self._change() as connection:
            last = connection.execute(sa.select(sa.func.max(_MONTHS.last))).scalar() or 0
            if month.first != last + 1 or month.last < month.first:
                raise ValueError("the month does not follow the last one")
            connection.execute(sa.insert(months_table).values(row))

    def keep_removal(self, month: str, removal: str) -> None:
        """Return when the month's tombstone is durable. ValueError for a month that is not kept, or was removed before."""
        live = sa.update(months_table).where(_MONTHS.month == month, _MONTHS.removal == "")
        with self._change() as connection:
            if connection.execute(live.values(removal=removal)).rowcount != 1:
                raise ValueError("there is no such month")

    def drop_frames(self, most: int) -> int:
        """Delete up to `most` frames that were moved out, in one transaction: how many there were, 0 when none is left."""
        f = frames_table.c
        with self._change() as connection:
            last = connection.execute(sa.select(sa.func.max(_MONTHS.last))).scalar() or 0
            first = connection.execute(sa.select(sa.func.min(f.seq)).where(f.seq > 0)).scalar()
            if first is None or first > last:
                return 0
            if whole := self._drop_partition(connection, last):
                return whole
            end = min(first + most, last + 1)
            return connection.execute(sa.delete(frames_table).where(f.seq > 0, f.seq < end)).rowcount

    def _drop_partition(self, connection: sa.Connection, last: int) -> int:  # noqa: ARG002 - for stores that have some
        """Drop a partition whose frames all stand up to this place: how many there were, 0 for none."""
        return 0

    def drop_leaves(self, begin: int, end: int) -> None:
        """Delete the leaves from `begin` up to, not with, `end`."""
        between = sa.and_(leaves_table.c.position >= begin, leaves_table.c.position < end)
        with self._change() as connection:
            connection.execute(sa.delete(leaves_table).where(between))
