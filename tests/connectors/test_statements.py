"""What a source is sent: one SELECT, whatever the catalogue's names; and the rights that it needs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import CountRequest, Order, SearchRequest
from connectors.grants import grants
from connectors.kinds import connect
from connectors.statements import Count, LookUp, Page, Select, Writing, columns_of
from schema.catalogue import Search
from tests.connectors.databases import REGISTER, Place
from tests.connectors.kinds import MARIADB, POSTGRESQL, SqlKind
from tests.connectors.resources import item, resource

DIALECTS = [
    "sqlite://",
    "postgresql+asyncpg://",
    "mariadb+asyncmy://",
    "postgresql+psycopg://",
    "mysql+pymysql://",
    "mssql://",
    "oracle://",
]
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30).filter(str.strip)
NASTY = st.sampled_from(
    [
        "x; DROP TABLE t",
        "x' --",
        'x" OR "1"="1',
        "x`; DELETE FROM t; #",
        "]; EXEC x",
        "/*",
        "a INTO OUTFILE 'x'",
        "FOR UPDATE",
        "\\",
    ]
)


@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM t", "select 1", "SELECT 1; SELECT 2", "SELECT 1; DROP TABLE t", "SELECT 1 -- x", "SELECT 1 /* x */", "SELECT 1 # x",
        "SELECT * INTO t FROM u", "SELECT 1 INTO OUTFILE '/x'", "SELECT 1 FOR UPDATE", "SELECT 1 LOCK IN SHARE MODE", "SELECT 'x", 'SELECT "x', "SELECT `x",
        "SELECT 1 UNION SELECT 2", "WITH x AS (SELECT 1) SELECT 1", "EXPLAIN ANALYZE DELETE FROM t", "SET ROLE x", "COPY t TO '/x'", "CALL x()", "", " SELECT 1",
    ],
)  # fmt: skip
def test_anything_but_one_select_is_refused_before_it_is_sent(text: str) -> None:
    with pytest.raises(ValueError, match="one SELECT"):
        Select(text, ())
    with pytest.raises(ValueError, match="one SELECT"):
        Select("SELECT 1", (), wide=text or "x")


@pytest.mark.parametrize("url", DIALECTS)
@given(name=st.one_of(NAMES, NASTY), table=st.one_of(NAMES, NASTY))
def test_no_name_of_a_catalogue_makes_another_statement(url: str, name: str, table: str) -> None:
    dialect = sa.make_url(url).get_dialect()()
    odd = resource(
        "Odd", item("id", column=name), item("value", column=name + "2"), table=table, search=Search((), (), ("id",))
    )
    written = [
        columns_of(odd, [name], dialect),
        LookUp(odd, "id", ("value",), (), Writing(dialect, "sqlite")).bound(("a", "b"))[0],
        Count(odd, (), Writing(dialect, "sqlite")).bound({})[0],
        Page(odd, ("value",), (Order("id"),), (), None, Writing(dialect, "sqlite")).bound(3, None, {})[0],
    ]  # the statements refuse to be written otherwise
    assert all(one.text.startswith("SELECT ") for one in written)


def test_a_url_of_a_dialect_or_driver_that_is_not_here_is_refused() -> None:
    for url in ("teradata://host/x", "postgresql+nosuch://host/x", "mssql+pyodbc://host/x"):
        with pytest.raises(ValueError, match="no driver"):
            connect("sql", url=url)


@pytest.mark.parametrize("kind", [POSTGRESQL, MARIADB], ids=lambda kind: kind.name)
def test_an_account_with_the_rights_that_are_printed_reads_the_catalogues_columns_and_no_others(
    kind: SqlKind, tmp_path: Path
) -> None:
    searched = replace(REGISTER, search=Search((), (), ("id",)))
    narrow = replace(searched, items={name: searched.items[name] for name in ("id", "name")})
    with asyncio.Runner() as runner:
        place = Place(kind, tmp_path, runner.run)
        place.table(
            '"ID" VARCHAR(9), "NAME" VARCHAR(9), "NOTE" VARCHAR(9), "GXSJ" VARCHAR(9)', "('a', '甲', '密', NULL)"
        )
        host = "" if place.is_postgres else place.host()
        account = f"o'{place.url.database}"[-30:]
        for line in grants(place.url.set(username=account), [narrow]).splitlines():
            place.execute(line.partition(";  --")[0].removesuffix(";").replace("%'", f"{host}'"))
        try:
            source = place.connector(username=account)
            assert place.run(source.check(narrow)) == ()
            assert place.ask(source, narrow) == [("甲",)]
            page = SearchRequest(narrow, ("name",), (Order("id"),), 5, 5)
            assert len(place.run(source.fetch(page)).rows) == 1
            assert place.run(source.fetch(CountRequest(narrow, 5))).count == 1
            assert place.ask(source) == "SOURCE_REFUSED"
        finally:
            place.drop("T_REGISTER")
            if place.is_postgres:
                place.execute(
                    f'REVOKE ALL ON SCHEMA public FROM "{account}"',
                    f'DROP OWNED BY "{account}"',
                    f'DROP ROLE "{account}"',
                )
            else:
                place.execute(f"DROP USER '{account.replace(chr(39), chr(39) * 2)}'@'{host}'")
        place.close()


def test_other_dialects_are_told_the_columns() -> None:
    told = grants("oracle://host/x", [REGISTER])
    assert all(line.startswith("-- ") for line in told.splitlines())
    assert '"NAME"' in told
    assert "SQLite" in grants("sqlite:///x.db", [REGISTER])
