"""Drafts a department's catalogue file from what a survey of its source has found. Pure: facts in, YAML out.

A draft decides nothing: every item is CONDITIONAL until somebody does (Changsha 28). Sampled values are used to recognise identifiers, formats
and code tables; of them only the codes of a guessed table are written down.
"""

from __future__ import annotations

import json
import keyword
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from schema.catalogue import Catalogue, CodeTable, Entity, ItemType
from schema.formats import FORMATS
from schema.identifiers import PARSERS
from schema.names import FIELD_NAME, RESERVED_FIELDS, RESERVED_TYPES, is_sql_name

SAMPLE = 1_000
"""Records of a table that are looked at."""
_MOST_CODES = 20
_LEAST_FOR_CODES = 50
_LEAST_OF_CODE = 3
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,5}", re.ASCII)
"""What a guessed code may look like: short letters and digits, for a name or a diagnosis that many share is no code."""
_ENOUGH = 0.9
_UNDECIDED = "待部门数据专员确认"


class Kind(StrEnum):
    """What a column holds, as far as its declared type tells."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    BYTES = "bytes"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a surveyed table; `values` are those of the sampled records, without NULL."""

    name: str
    kind: Kind
    comment: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A surveyed table or view; `unique` are the sets of columns that the source keeps unique."""

    name: str
    comment: str
    is_view: bool
    columns: tuple[Column, ...]
    unique: tuple[frozenset[str], ...]


@dataclass(frozen=True, slots=True)
class Header:
    """Whose source it is: what stands under `department` of the file."""

    slug: str
    name: str
    title: str
    code: str
    region: str
    contact: str


@dataclass(frozen=True, slots=True)
class Guess:
    """What an item of a column is taken for; `own` are the codes of a table that the catalogue does not have."""

    type: ItemType
    format: str = ""
    codes: str = ""
    own: tuple[str, ...] = ()


def guess(column: Column, codes: Mapping[str, CodeTable], of: int) -> Guess:
    """What the values of a column are: identifiers by their check digits, dates by their form, codes by how few there are.

    `of` is how many entities the sample is of: the values of a few are never taken for codes, and so never written down.
    """
    values = column.values
    if column.kind is Kind.BYTES:
        return Guess(ItemType.IMAGE)
    if column.kind in (Kind.DATE, Kind.DATETIME):
        return Guess(ItemType.DATE if column.kind is Kind.DATE else ItemType.DATETIME)
    if values and column.kind in (Kind.TEXT, Kind.INTEGER, Kind.BOOLEAN):
        found = _identifier(values) or _moment(column) or _boolean(column) or _code(column, codes, of)
        if found:
            return found
    if column.kind is Kind.DECIMAL:
        return Guess(ItemType.DECIMAL)
    if column.kind is Kind.BOOLEAN:
        return Guess(ItemType.BOOLEAN)
    if column.kind is Kind.INTEGER and all(isinstance(v, int) and abs(v) < 2**31 for v in values):
        return Guess(ItemType.INT)
    return Guess(ItemType.STRING, "trim" if any(isinstance(v, str) and v != v.rstrip() for v in values) else "")


def _fits(values: Sequence[Any], decode: Callable[[Any], Any]) -> bool:
    """Whether nearly all values are of a form: a source has a wrong one here and there."""
    good = 0
    for value in values:
        try:
            decode(value)
            good += 1
        except (ValueError, TypeError, OverflowError):
            continue
    return good >= max(1, _ENOUGH * len(values))


def _identifier(values: Sequence[Any]) -> Guess | None:
    texts = [str(value).strip() for value in values]
    for kind in (ItemType.ID_NUMBER, ItemType.CREDIT_CODE, ItemType.UNIT_NUMBER):
        if _fits(texts, PARSERS[kind]):
            legacy = kind is ItemType.ID_NUMBER and any(len(text) == 15 for text in texts)
            return Guess(kind, "15or18" if legacy else "")
    return None


def _moment(column: Column) -> Guess | None:
    texts = [str(value) for value in column.values]
    wanted: list[tuple[ItemType, str]] = [(ItemType.DATE, "int")] if column.kind is Kind.INTEGER else []
    if column.kind is Kind.TEXT:
        wanted = [(kind, name) for kind in (ItemType.DATE, ItemType.DATETIME) for name in ("compact", "slash", "iso")]
    for kind, name in wanted:
        if name not in FORMATS[kind] or (kind is ItemType.DATETIME and name == "iso" and min(map(len, texts)) <= 10):
            continue
        if name == "iso" and not all("-" in text for text in texts):
            continue
        decode = FORMATS[kind][name][0]
        if _fits(column.values, lambda value, decode=decode: _plausible(decode(value))):  # type: ignore[misc]
            return Guess(kind, "" if name == "iso" else name)
    return None


def _plausible(moment: date | datetime) -> None:
    if not 1850 <= moment.year <= 2200:
        raise ValueError


def _boolean(column: Column) -> Guess | None:
    distinct = set(column.values)
    if column.kind in (Kind.INTEGER, Kind.BOOLEAN) and distinct == {0, 1}:
        return Guess(ItemType.BOOLEAN)
    if distinct == {"Y", "N"}:
        return Guess(ItemType.BOOLEAN, "YN")
    return Guess(ItemType.BOOLEAN, "是否") if distinct <= {"是", "否"} else None


def _code(column: Column, codes: Mapping[str, CodeTable], of: int) -> Guess | None:
    """A table of the catalogue whose title the comment names, else a table of its own for few short values that many entities share."""
    counts = Counter(str(value) for value in column.values)
    form = "int" if column.kind is Kind.INTEGER else ""
    for table in codes.values():
        known = {value.code for value in table.values}
        named = table.title in column.comment or (table.name.lower() == column.name.replace("_", "").lower())
        if named and counts.keys() <= known:
            return Guess(ItemType.CODE, form, table.name)
    few = len(counts) <= min(_MOST_CODES, len(column.values) // 10) and of >= _LEAST_FOR_CODES
    plain = all(_CODE.fullmatch(code) for code in counts)
    if few and plain and len(counts) > 1 and min(counts.values()) >= _LEAST_OF_CODE and not holds(column):
        return Guess(ItemType.CODE, form, own=tuple(sorted(counts)))
    return None


# -- writing -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Item:
    name: str
    column: Column
    guess: Guess


def draft(header: Header, tables: Sequence[Table], catalogue: Catalogue) -> str:
    """The department's file: the tables that have an identifier of an entity as resources, what was left out as comments."""
    entities = {entity.type: entity for entity in catalogue.entities.values()}
    taken = {*catalogue.resources, *catalogue.codes, *RESERVED_TYPES, *catalogue.entities}
    codes: list[str] = []
    resources: list[str] = []
    left: list[str] = []
    made = 0
    for table in tables:
        if reason := _unfit(table):
            left.append(f"# {_line(table.name)}: {reason}")
            continue
        items = _items(table, catalogue)
        keys = [item for item in items if item.guess.type in entities]
        if not keys:
            left.append(f"# {_line(table.name)}: no column holds identifiers of an entity")
            continue
        name = _free(_pascal(table.name.rpartition(".")[2]) or f"Table{made + 1}", taken)
        made += 1
        named = {item.name: _free(f"{name}{_upper(item.name)}", taken) for item in items if item.guess.own}
        codes += [text for item in items if item.guess.own for text in _code_table(named[item.name], item)]
        resources += _resource(header, table, name, made, items, _key(table, keys), entities, named)
    lines = [
        "# A draft: titles, classes and code tables are to be confirmed by the department's data officer.",
        *_head(header),
    ]
    lines += ["", "codes:", *codes] if codes else []
    lines += ["", "resources:", *resources] if resources else []
    lines += ["", "# Left out:", *left] if left else []
    return "\n".join(lines) + "\n"


def _unfit(table: Table) -> str:
    odd = [
        name
        for name in (table.name, *(column.name for column in table.columns))
        if not is_sql_name(name, qualified=False)
    ]
    return f"{_line(odd[0])} is no plain identifier" if odd else ""


def _items(table: Table, catalogue: Catalogue) -> list[_Item]:
    taken = {*RESERVED_FIELDS, "typename"}
    identified = [column for column in table.columns if column.values and _identifier(column.values)]
    entities = max((len(set(column.values)) for column in identified), default=0)
    found = []
    for number, column in enumerate(table.columns, 1):
        guessed = guess(column, catalogue.codes, entities)
        found.append(_Item(_free(_camel(column.name) or f"item{number}", taken), column, guessed))
    return found


def _key(table: Table, keys: Sequence[_Item]) -> _Item:
    """The item that says whose record it is: the one that is unique if there is one, else the first."""
    return next((item for item in keys if frozenset({item.column.name}) in table.unique), keys[0])


def _head(header: Header) -> Iterator[str]:
    yield "department:"
    for key in ("name", "title", "code", "region", "contact"):
        yield f"  {key}: {_text(getattr(header, key))}"
    yield f"  connection: {header.slug}"


def _code_table(name: str, item: _Item) -> Iterator[str]:
    yield f"  - name: {name}"
    yield f"    title: {_text(_title(item.column))}"
    yield f"    standard: {_text(_UNDECIDED)}"
    yield "    values:"
    for number, code in enumerate(item.guess.own, 1):
        yield f"      - {{code: {_text(code)}, name: VALUE_{number}, title: {_text(code)}}}"


def _resource(
    header: Header, table: Table, name: str, number: int, items: Sequence[_Item], key: _Item, entities: Mapping[ItemType, Entity],
    codes: Mapping[str, str],
) -> Iterator[str]:  # fmt: skip
    yield f"  - name: {name}"
    yield f"    title: {_text(_line(table.comment) or table.name)}"
    yield f"    code: {_text(f'{header.region}-{header.slug}-{number:03}')}"
    yield "    library: DEPARTMENT"
    yield f"    library_name: {_text(header.title)}"
    yield f"    abstract: {_text(_line(table.comment) or table.name)}"
    yield "    format: 数据库"
    yield "    share:"
    yield "      class: CONDITIONAL"
    yield "      rank: LOCAL_RULE"
    yield f"      basis: {_UNDECIDED}"
    yield f"      conditions: {_UNDECIDED}"
    yield "    purposes: [ADMINISTRATIVE_BASIS, DATA_VERIFICATION]"
    yield "    modes: [ONLINE_QUERY]"
    yield f"    scope: {_UNDECIDED}"
    yield '    open: {class: NOT_OPEN, conditions: ""}'
    yield "    secrecy: NONE"
    yield "    update_cycle: IRREGULAR"
    yield f"    published: {date.today().isoformat()}"
    yield f"    entity: {entities[key.guess.type].name}"
    yield f"    key: {key.name}"
    yield f"    many: {'false' if frozenset({key.column.name}) in table.unique else 'true'}"
    yield "    source:"
    yield f"      table: {_text(table.name)}"
    if updated := _updated(items):
        yield f"      updated: {_text(updated.column.name)}"
        yield f"      updated_format: {updated.guess.format or 'iso'}"
    yield "    items:"
    for item in items:
        yield f"      - {{{', '.join(_written(item, item is key, codes))}}}"


def _written(item: _Item, is_key: bool, codes: Mapping[str, str]) -> Iterator[str]:
    guessed, column = item.guess, item.column
    yield f"name: {item.name}"
    yield f"title: {_text(_title(column))}"
    yield f"type: {guessed.type}"
    if guessed.type is ItemType.CODE:
        yield f"codes: {guessed.codes or codes[item.name]}"
    if guessed.format:
        yield f"format: {_text(guessed.format)}"
    yield f"column: {_text(column.name)}"
    held = holds(column) if guessed.type is ItemType.STRING else ""
    yield f"grade: {3 if held or guessed.type is ItemType.ID_NUMBER else 2}"
    if held:
        yield f"holds: {held}"
    if guessed.type is ItemType.ID_NUMBER and not is_key:
        yield "subject: RELATED"


def _updated(items: Sequence[_Item]) -> _Item | None:
    moments = [item for item in items if item.guess.type is ItemType.DATETIME]
    told = re.compile(r"updat|modif|chang|gxsj|更新|修改|变更", re.IGNORECASE)
    return next((one for one in moments if told.search(f"{one.column.name} {one.column.comment}")), None)


def holds(column: Column) -> str:
    """What a text column holds of a person, by its name and comment: a kind of mask, or empty."""
    told = {
        "NAME": r"姓名|法定代表人$|^xm$|name$",
        "TELEPHONE": r"电话|手机|phone|^lxdh$",
        "ADDRESS": r"地址|住址|address",
    }
    about = (_line(column.comment), column.name)
    return next(
        (kind for kind, words in told.items() if any(re.search(words, one, re.IGNORECASE) for one in about)), ""
    )


def _title(column: Column) -> str:
    return _line(column.comment)[:50] or column.name


def _line(text: str) -> str:
    """A comment's first line, without what no page should show."""
    lines = text.strip().splitlines() or [""]
    return "".join(c for c in lines[0] if c.isprintable()).strip()


def _text(value: str) -> str:
    """A YAML scalar that is read as this very text."""
    return json.dumps(value, ensure_ascii=False)


def _words(name: str) -> list[str]:
    parted = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return [word.lower() for word in re.split(r"[^A-Za-z0-9]+", parted) if word]


def _upper(name: str) -> str:
    return name[:1].upper() + name[1:]


def _pascal(name: str) -> str:
    words = _words(name)
    if words and words[0] in ("t", "tb", "tbl", "v") and len(words) > 1:
        words = words[1:]
    made = "".join(map(_upper, words))
    return made if made[:1].isalpha() else ""


def _camel(name: str) -> str:
    words = _words(name)
    made = "".join([*words[:1], *map(_upper, words[1:])])
    return made if FIELD_NAME.fullmatch(made) else ""


def _free(name: str, taken: set[str]) -> str:
    """The name, with a number if it is taken; it is taken from now on."""
    if keyword.iskeyword(name):
        name += "Value"
    chosen, number = name, 2
    while chosen in taken:
        chosen, number = f"{name}{number}", number + 1
    taken.add(chosen)
    return chosen
