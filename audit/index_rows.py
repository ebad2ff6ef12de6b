"""Writes a batch into the index's tables, by the quickest way that each kind of database has for many rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import orjson
import sqlalchemy as sa

from audit.entries import (
    Batch,
    Look,
    activity_table,
    entries_table,
    freshness_table,
    looks_table,
    profiles_table,
    seen_table,
    shapes_table,
    tallies_table,
)

_MAX_KNOWN = 500_000
_COUNTS = ("records", "outside_hours", "applicants", "others", "cases", "refused")


class Writer:
    """Writes batches; remembers which profiles and shapes are there already."""

    def __init__(self) -> None:
        self._known: set[int] = set()

    def forget(self) -> None:
        """What was written may not have been kept."""
        self._known.clear()

    def write(self, connection: sa.Connection, batch: Batch) -> None:
        """Add the batch within the connection's transaction."""
        if len(self._known) > _MAX_KNOWN:
            self._known.clear()
        shapes = [row for number, shape in batch.shapes.items() if number not in self._known for row in shape.rows()]
        _add_missing(connection, shapes_table, shapes)
        profiles = [row for number, row in batch.profiles.items() if number not in self._known]
        _add_missing(connection, profiles_table, profiles)
        self._known.update(batch.shapes, batch.profiles)
        _add(connection, entries_table, ("seq", "at", "entity", "case", "user", "profile"), batch.entries)
        activity = batch.activity()
        for look in _note(connection, batch.looks):
            activity[look.month, look.actor]["applicants"] += 1
        for month, actor, kind in _note_seen(connection, batch.seen):
            activity[month, actor][kind] += 1
        rows = [
            (month, actor, *batch.actors[actor], *(counts[name] for name in _COUNTS))
            for (month, actor), counts in sorted(activity.items())
        ]
        _add_up(connection, activity_table, rows, _COUNTS)
        _add_up(
            connection, tallies_table, [(*key, lines) for key, lines in sorted(batch.tallies().items())], ("lines",)
        )
        ages = [(*key, *counts) for key, counts in sorted(batch.ages.items())]
        _add_up(connection, freshness_table, ages, ("records", "seconds"))


def _note(connection: sa.Connection, looks: dict[int, Look]) -> list[Look]:
    """Keep who looked which applicant up in which month; returns those that are new there."""
    known = {number: (days, day) for number, days, day in _found(connection, "id, days, day", "looks", looks)}
    fresh, again = [], []
    for number, look in looks.items():
        if (before := known.get(number)) is None:
            fresh.append(number)
        elif look.day > before[1]:
            again.append((before[0] + look.days - (look.since <= before[1]), look.day, look.seq, number))
    rows = []
    for number in sorted(fresh):
        new = looks[number]
        rows.append((number, new.month, new.actor, new.entity, new.days, new.day, new.first_at, new.seq))
    _add(connection, looks_table, _names(looks_table), rows)
    if again:
        mark = _mark(connection)
        changed = f"UPDATE looks SET days = {mark}, day = {mark}, seq = {mark} WHERE id = {mark}"  # noqa: S608 - no value in it
        connection.exec_driver_sql(changed, again)
    return [looks[number] for number in fresh]


def _note_seen(connection: sa.Connection, seen: dict[int, tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Keep who saw which other person or case in which month; returns those that are new there."""
    known = {number for (number,) in _found(connection, "id", "seen", seen)}
    fresh = sorted(seen.keys() - known)
    _add(connection, seen_table, ("id",), [(number,) for number in fresh])
    return [seen[number] for number in fresh]


def _found(connection: sa.Connection, columns: str, table: str, numbers: Collection[int]) -> Iterable[Any]:
    """The rows that are there with these ids."""
    asked = f"SELECT {columns} FROM {table} WHERE id "  # noqa: S608 - no value in it
    if connection.dialect.name == "postgresql":
        return connection.exec_driver_sql(asked + "= ANY(%s)", ([*numbers],))
    in_list = asked + "IN (SELECT value FROM json_each(?))"  # noqa: S608
    return connection.exec_driver_sql(in_list, (orjson.dumps([*numbers]).decode(),))


def _add(connection: sa.Connection, table: sa.Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert many rows."""
    if not rows:
        return
    names = ", ".join(f'"{column}"' for column in columns)
    if connection.dialect.name == "postgresql":
        driver = connection.connection.driver_connection
        assert driver is not None
        with driver.cursor().copy(f"COPY {table.name} ({names}) FROM STDIN") as copy:
            copy.write("".join(map(_line, rows)))
    else:
        marks = ", ".join("?" * len(columns))
        connection.exec_driver_sql(f"INSERT INTO {table.name} ({names}) VALUES ({marks})", [*rows])  # noqa: S608 - no value in it


def _line(row: Iterable[int]) -> str:
    return "\t".join(map(str, row)) + "\n"


def _add_missing(connection: sa.Connection, table: sa.Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert the rows (values in the order of the table's columns) that are not there."""
    if rows:
        connection.exec_driver_sql(f"{_insert(connection, table)} ON CONFLICT DO NOTHING", [*rows])


def _add_up(
    connection: sa.Connection, table: sa.Table, rows: Sequence[tuple[Any, ...]], counts: Collection[str]
) -> None:
    """Insert the rows (values in the order of the table's columns), or add their counts to those that are there."""
    if not rows:
        return
    key = ", ".join(f'"{column.name}"' for column in table.primary_key)
    added = ", ".join(f'"{name}" = {table.name}."{name}" + excluded."{name}"' for name in counts)
    connection.exec_driver_sql(f"{_insert(connection, table)} ON CONFLICT ({key}) DO UPDATE SET {added}", [*rows])


def _insert(connection: sa.Connection, table: sa.Table) -> str:
    names = ", ".join(f'"{column}"' for column in _names(table))
    marks = ", ".join([_mark(connection)] * len(table.columns))
    return f"INSERT INTO {table.name} ({names}) VALUES ({marks})"  # noqa: S608 - no value in it


def _names(table: sa.Table) -> list[str]:
    return [column.name for column in table.columns]


def _mark(connection: sa.Connection) -> str:
    return "%s" if connection.dialect.name == "postgresql" else "?"
