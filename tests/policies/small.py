"""A small catalogue, rules and questions for decisions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from policies.decision import Act, Decision, Use
from policies.identity import Role
from policies.rules import ANY, FIRST_TIME, LAST_TIME, BasisRow, Rules, RuleText, ShareRow, service_basis
from policies.snapshot import Snapshot
from schema.catalogue import (
    BasisRank,
    Catalogue,
    Department,
    ItemType,
    MaskKind,
    Material,
    Purpose,
    Scenario,
    Service,
    ServiceItemUse,
    Share,
    ShareClass,
    ShareMode,
    SubjectClass,
)
from schema.errors import Text
from tests.connectors.resources import PLACE, item, resource

NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
EVERYBODY = frozenset(SubjectClass)
CONDITIONAL = Share(ShareClass.CONDITIONAL, "个人信息保护法第二十八条", BasisRank.LAW, "仅限核验身份")
NOT_SHARED = Share(ShareClass.NOT_SHARED, "档案法第十五条", BasisRank.LAW)


def department(slug: str) -> Department:
    return Department(slug, slug, slug, slug, "421200", "信息科", slug, PLACE)


REGISTER = resource(
    "Register",
    item("idNumber"),
    item("name", masks={Purpose.WORK_REFERENCE: MaskKind.NAME}),
    item("address"),
    item("photo", share=CONDITIONAL),
    item("cause", share=NOT_SHARED),
    item("verifiable", purposes=frozenset({Purpose.DATA_VERIFICATION})),
    item("sealed", ItemType.BOOLEAN, purposes=frozenset({Purpose.DATA_VERIFICATION})),
    item("unneeded"),
    modes=frozenset({ShareMode.ONLINE_QUERY, ShareMode.BATCH_DOWNLOAD}),
)
TAX = resource("Tax", item("payer"), audience=("taxation",), department="taxation")
SERVICE = Service(
    code="S-1",
    name="s-one",
    title="事项一",
    department="housing",
    basis="办法第七条",
    days=30,
    purposes=frozenset(Purpose),
    subjects={"APPLICANT": "Person"},
    materials=tuple(
        Material(
            title="户口簿",
            basis="办法第八条",
            purpose=purpose,
            uses=tuple(
                ServiceItemUse(coordinate, subjects, PLACE)
                for coordinate, subjects in (
                    ("Register.idNumber", EVERYBODY),
                    ("Register.name", EVERYBODY),
                    ("Register.address", frozenset({SubjectClass.SUBJECT})),
                    ("Register.photo", EVERYBODY),
                    ("Register.cause", EVERYBODY),
                    ("Register.verifiable", EVERYBODY),
                    ("Tax.payer", EVERYBODY),
                )
            ),
            place=PLACE,
        )
        for purpose in (Purpose.ADMINISTRATIVE_BASIS, Purpose.WORK_REFERENCE, Purpose.DATA_VERIFICATION)
    ),
    place=PLACE,
)
SCENARIO = Scenario(
    name="review",
    title="复核",
    basis="办法第九条",
    services=(SERVICE.code,),
    purposes=frozenset({Purpose.ADMINISTRATIVE_BASIS}),
    modes=frozenset({ShareMode.ONLINE_QUERY}),
    items=(
        ServiceItemUse("Register.name", EVERYBODY, PLACE),
        ServiceItemUse("Register.address", frozenset({SubjectClass.SUBJECT}), PLACE),
    ),
    rows=frozenset(),
    place=PLACE,
)
CATALOGUE = Catalogue(
    version="v1",
    departments={slug: department(slug) for slug in ("housing", "taxation")},
    entities={},
    codes={},
    resources={one.name: one for one in (REGISTER, TAX)},
    services={SERVICE.code: SERVICE},
    scenarios={SCENARIO.name: SCENARIO},
)


BASIS = service_basis(SERVICE.code)


@dataclass(frozen=True)
class Question:
    """One question to a snapshot; `but` makes another one of it."""

    coordinate: str = "Register.name"
    act: Act = Act.READ
    subject: SubjectClass = SubjectClass.SUBJECT
    department: str = "housing"
    role: Role = Role.CLERK
    channel: str = "query"
    purpose: Purpose = Purpose.ADMINISTRATIVE_BASIS
    basis: str = BASIS
    now: datetime = NOON

    def but(self, **changes: Any) -> Question:
        return replace(self, **changes)

    def of(self, snapshot: Snapshot) -> Decision:
        caller = snapshot.caller(self.department, self.role, self.channel, self.purpose, self.basis)
        return caller.decide(Use(self.coordinate, self.act, self.subject), self.now.timestamp())


def share_row(rid: str, **changes: Any) -> ShareRow:
    """A row that allows everybody to do everything with Register.name, always; with changes."""
    return ShareRow(
        ANY, ANY, "Register.name", ANY, ANY, ANY, ANY, ANY, FIRST_TIME, LAST_TIME, "allow", rid,
    )._replace(**changes)  # fmt: skip


def basis_row(rid: str, **changes: Any) -> BasisRow:
    """A row that lets S-1 read Register.name of its subject as an administrative basis; with changes."""
    row = BasisRow(BASIS, "Register.name", "SUBJECT", "read", "ADMINISTRATIVE_BASIS", "allow", rid)
    return row._replace(**changes)


def rules(*rows: ShareRow | BasisRow) -> Rules:
    """These rows with a text each; where there is no basis row, one that lets S-1 read Register.name."""
    share = tuple(row for row in rows if isinstance(row, ShareRow))
    basis = tuple(row for row in rows if isinstance(row, BasisRow)) or (basis_row("NEEDED"),)
    both: tuple[ShareRow | BasisRow, ...] = (*share, *basis)
    texts = {row.rid: RuleText(row.rid, "第一条", Text(f"by {row.rid}", f"依{row.rid}")) for row in both}
    return Rules(share, basis, texts)


def group(*rows: ShareRow) -> Rules:
    """These share rows with a text each, as a group beside the catalogue's rules."""
    texts = rules(*rows).texts
    return Rules(rows, (), {row.rid: texts[row.rid] for row in rows})


def snapshot(*rows: ShareRow | BasisRow) -> Snapshot:
    """A snapshot of these rows over the small catalogue."""
    return Snapshot(CATALOGUE, rules(*rows))
