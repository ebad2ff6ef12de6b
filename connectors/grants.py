"""The least rights that an account of ours needs at a department's database: to read the catalogue's columns, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import sqlalchemy as sa

from schema.catalogue import Resource

_ACCOUNT = "onesource"
_Quote = Callable[[str], str]


def grants(url: str | sa.URL, resources: Iterable[Resource]) -> str:
    """SQL for the department's administrator, who adds a password; of a dialect without grants by column, a note of the columns."""
    parsed = sa.make_url(url)
    columns = columns_by_table(resources)
    backend = parsed.get_backend_name()
    write = {"postgresql": _postgresql, "mariadb": _mariadb, "mysql": _mariadb}.get(backend, _note)
    return "\n".join(write(parsed, columns)) + "\n"


def columns_by_table(resources: Iterable[Resource]) -> dict[str, list[str]]:
    """The columns that the resources read, by table, each once."""
    found: dict[str, dict[str, None]] = {}
    for resource in resources:
        if resource.table:
            columns = [item.column for item in resource.items.values()] + [resource.updated or ""]
            found.setdefault(resource.table, {}).update(dict.fromkeys(filter(None, columns)))
    return {table: list(columns) for table, columns in found.items()}


def _postgresql(url: sa.URL, columns: Mapping[str, list[str]]) -> list[str]:
    quote = _quoting("postgresql")
    account, database = quote(url.username or _ACCOUNT), quote(url.database or "postgres")
    schemas = dict.fromkeys(table.rpartition(".")[0] or "public" for table in columns)
    return [
        f"CREATE ROLE {account} LOGIN;  -- then: \\password {account}",
        f"ALTER ROLE {account} SET default_transaction_read_only = on;",
        f"GRANT CONNECT ON DATABASE {database} TO {account};",
        *(f"GRANT USAGE ON SCHEMA {quote(schema)} TO {account};" for schema in schemas),
        *(
            f"GRANT SELECT ({', '.join(map(quote, names))}) ON {_table(table, quote)} TO {account};"
            for table, names in columns.items()
        ),
    ]


def _mariadb(url: sa.URL, columns: Mapping[str, list[str]]) -> list[str]:
    quote = _quoting("mysql")
    name = (url.username or _ACCOUNT).replace("\\", "\\\\").replace("'", "''")
    account = f"'{name}'@'%'"
    return [
        f"CREATE USER {account};  -- narrow % to our address, then: ALTER USER {account} IDENTIFIED BY '...'",
        *(
            f"GRANT SELECT ({', '.join(map(quote, names))}) ON "
            f"{_table(table if '.' in table else f'{url.database}.{table}', quote)} TO {account};"
            for table, names in columns.items()
        ),
    ]


def _note(url: sa.URL, columns: Mapping[str, list[str]]) -> list[str]:
    if url.get_backend_name() == "sqlite":
        return [
            "-- SQLite has no accounts: let the service's user read the file, and nobody but the department write it."
        ]
    quote = _quoting("")
    return [
        f"-- {url.get_backend_name()}: give the account a session and SELECT on these columns alone; where rights are by table only, on a",
        "-- view of them, and name the view in the catalogue. No other right: here the account is what keeps us from writing.",
        *(f"-- {_table(table, quote)}: {', '.join(map(quote, names))}" for table, names in columns.items()),
    ]


def _quoting(dialect: str) -> _Quote:
    mark = "`" if dialect == "mysql" else '"'
    return lambda name: mark + " ".join(name.splitlines()).replace(mark, mark * 2) + mark


def _table(table: str, quote: _Quote) -> str:
    schema, _, name = table.rpartition(".")
    return f"{quote(schema)}.{quote(name)}" if schema else quote(name)
