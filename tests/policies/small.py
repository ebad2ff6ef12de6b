"""A small catalogue, rules and questions for decisions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from policies.decision import Act, Decision, Use
from policies.identity import Identity, Role
from policies.rules import ANY, BEGINNING, END, BasisRow, Rules, RuleText, ShareRow
from policies.snapshot import Snapshot
from schema.catalogue import (
    BasisRank,
    Catalogue,
    Department,
    MaskKind,
    Material,
    Purpose,
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
        )
        for purpose in (Purpose.ADMINISTRATIVE_BASIS, Purpose.WORK_REFERENCE, Purpose.DATA_VERIFICATION)
    ),
    place=PLACE,
)
CATALOGUE = Catalogue(
    version="v1",
    departments={slug: department(slug) for slug in ("housing", "taxation")},
    entities={},
    codes={},
    resources={one.name: one for one in (REGISTER, TAX)},
    services={SERVICE.code: SERVICE},
)


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
    service: Service = SERVICE
    now: datetime = NOON

    def but(self, **changes: Any) -> Question:
        return replace(self, **changes)

    def of(self, snapshot: Snapshot) -> Decision:
        who = Identity("somebody-01", self.department, self.role, "421200", "test", 0.0)
        use = Use(self.coordinate, self.act, self.subject)
        return snapshot.decide(use, who, self.channel, self.purpose, self.service, self.now)


def share_row(rid: str, **changes: Any) -> ShareRow:
    """A row that allows everybody to do everything with Register.name, always; with changes."""
    everything = ShareRow(ANY, ANY, "Register.name", ANY, ANY, ANY, ANY, BEGINNING, END, "allow", rid)
    return replace(everything, **changes)


def basis_row(rid: str, **changes: Any) -> BasisRow:
    """A row that lets S-1 read Register.name of its subject as an administrative basis; with changes."""
    row = BasisRow("S-1", "Register.name", "SUBJECT", "read", "ADMINISTRATIVE_BASIS", "allow", rid)
    return replace(row, **changes)


def rules(*rows: ShareRow | BasisRow) -> Rules:
    """These rows with a text each; where there is no basis row, one that lets S-1 read Register.name."""
    share = tuple(row for row in rows if isinstance(row, ShareRow))
    basis = tuple(row for row in rows if isinstance(row, BasisRow)) or (basis_row("NEEDED"),)
    both: tuple[ShareRow | BasisRow, ...] = (*share, *basis)
    texts = {row.rid: RuleText(row.rid, "第一条", Text(f"by {row.rid}", f"依{row.rid}")) for row in both}
    return Rules(share, basis, texts)


def snapshot(*rows: ShareRow | BasisRow) -> Snapshot:
    """A snapshot of these rows over the small catalogue."""
    return Snapshot(CATALOGUE, rules(*rows))
