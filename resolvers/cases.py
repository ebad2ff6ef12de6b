"""Root fields for cases: open one, look at it, close it. For clerks, and for their own department only."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

import strawberry
from strawberry.types import Info

from policies.cases import MAX_NUMBER, Case, CaseExists, CaseState, CaseSubject
from policies.identity import Role
from policies.masks import mask
from resolvers.disclose import Act
from resolvers.line import Context
from resolvers.materials import MaterialView, materials_of
from schema.catalogue import Catalogue, MaskKind, Service
from schema.errors import FieldFault, Text
from schema.formats import CHINA
from schema.identifiers import PARSERS, IdentifierError, names_person
from schema.types import titled_enum

_NUMBER = re.compile(r"[0-9A-Za-z\u4e00-\u9fff][0-9A-Za-z\u4e00-\u9fff〔〕()（）_./-]*")
_MAX_SUBJECTS = 200
_CASE = "Case"

titled_enum(CaseState, "办件状态", {CaseState.OPEN: "办理中", CaseState.CLOSED: "已办结", CaseState.EXPIRED: "已过期"})


_Number = Annotated[str, strawberry.argument(description="受理号")]
_First = Annotated[int, strawberry.argument(description="条数: at most so many, 100 at the most.")]


@strawberry.type(name="CaseSubject", description="当事人: a subject of a case.")
class CaseSubjectView:
    entity: str = strawberry.field(description="实体")
    role: str = strawberry.field(description="身份")
    basis: str = strawberry.field(description="登记依据")
    masked_identifier: str = strawberry.field(description="标识号码（脱敏）")


@strawberry.type(
    name="Case", description="办件: one handling of a service item; it authorises look-ups of its subjects."
)
class CaseView:
    number: str = strawberry.field(description="受理号")
    service: str = strawberry.field(description="事项编码")
    title: str = strawberry.field(description="事项名称")
    state: CaseState = strawberry.field(description="状态")
    opened_at: datetime = strawberry.field(description="受理时间")
    expires_at: datetime = strawberry.field(description="失效时间")
    closed_at: datetime | None = strawberry.field(description="办结时间")
    subjects: list[CaseSubjectView] = strawberry.field(description="当事人")
    shown: strawberry.Private[Case]

    @strawberry.field(
        description="申请材料: for each material whether a department already holds it, with its content, or why it is missing; of an open case."
    )
    async def materials(self, info: Info[Context, None]) -> list[MaterialView] | None:
        return await materials_of(self.shown, info.context)


@strawberry.input(description="当事人登记")
class CaseSubjectInput:
    role: str = strawberry.field(description="身份: one of the service item's roles, such as APPLICANT or SPOUSE.")
    identifier: str = strawberry.field(description="标识号码: identity number or credit code.")
    basis: str = strawberry.field(description="登记依据: why this person belongs to the case, such as 本人申请.")


@strawberry.input(description="受理登记")
class AcceptCaseInput:
    number: str = strawberry.field(description="受理号: the acceptance number of the department's acceptance system.")
    service: str = strawberry.field(description="事项编码: a service item of the acting department.")
    subjects: list[CaseSubjectInput] = strawberry.field(description="当事人")


@strawberry.type
class CaseQueries:
    @strawberry.field(description="办件: a case of the acting department; null if there is none.")
    async def case(self, info: Info[Context, None], number: _Number) -> CaseView | None:
        context = _reader(info)
        case = await context.line.cases.find(context.identity.department, number)
        if case is None:
            return None
        context.note(_act("case", case))
        return _view(case, context)

    @strawberry.field(description="办件列表: the acting department's latest cases, newest first.")
    async def cases(self, info: Info[Context, None], first: _First = 20) -> list[CaseView] | None:
        context = _reader(info)
        found = await context.line.cases.of_department(context.identity.department, max(0, min(first, 100)))
        for case in found:
            context.note(_act("cases", case))
        return [_view(case, context) for case in found]


@strawberry.type
class CaseMutations:
    @strawberry.mutation(description="受理: open a case for a service item of the acting department.")
    async def accept_case(
        self,
        info: Info[Context, None],
        input: Annotated[AcceptCaseInput, strawberry.argument(description="受理登记")],  # noqa: A002
    ) -> CaseView | None:
        context = _clerk(info)
        catalogue = context.snapshot.catalogue
        service = catalogue.services.get(input.service)
        if service is None or service.department != context.identity.department:
            raise FieldFault("SERVICE_UNKNOWN")
        if len(input.number) > MAX_NUMBER or not _NUMBER.fullmatch(input.number):
            raise _invalid(
                "the acceptance number has 1 to 64 letters, digits, Chinese characters or signs of 〔〕()（）_./- and no blanks",
                "受理号应为1至64位，以字母、数字或汉字开头，可含〔〕()（）_./-，不含空格",
            )
        subjects = _subjects(input.subjects, service, catalogue)
        if any(
            subject.identifier in input.number.upper() for subject in subjects
        ):  # the ledger shows acceptance numbers
            raise _invalid("the acceptance number names a subject of the case", "受理号不得含当事人的标识号码")
        named = tuple((subject.entity, subject.identifier) for subject in subjects)
        await context.intend(Act("acceptCase", _CASE, input.number, service.code, named))
        try:
            case = await context.line.cases.accept(
                service, input.number, subjects, context.identity.subject, context.now
            )
        except CaseExists:
            case = await _same(service, input.number, subjects, context)
        return _view(case, context)

    @strawberry.mutation(description="办结: close a case of the acting department at once.")
    async def close_case(self, info: Info[Context, None], number: _Number) -> CaseView | None:
        context = _clerk(info)
        department = context.identity.department
        known = await context.line.cases.find(department, number)
        if known is None:
            raise FieldFault("CASE_UNKNOWN")
        await context.intend(_act("closeCase", known))
        case = await context.line.cases.close_case(department, number, context.identity.subject, context.now)
        return _view(case or known, context)


def _act(field: str, case: Case) -> Act:
    return Act(field, _CASE, case.number, case.service, tuple((s.entity, s.identifier) for s in case.subjects))


async def _same(service: Service, number: str, subjects: list[CaseSubject], context: Context) -> Case:
    """The open case of that number if it is this very one: whoever asks again because an answer was lost gets the same."""
    case = await context.line.cases.find(service.department, number)
    if case is None or case.state(context.now) is not CaseState.OPEN:
        raise FieldFault("CASE_EXISTS")
    if (case.service, case.subjects) != (service.code, tuple(subjects)):
        raise FieldFault("CASE_EXISTS")
    return case


def _reader(info: Info[Context, None]) -> Context:
    return _in_role(info, Role.CLERK, Role.DEVELOPER)


def _clerk(info: Info[Context, None]) -> Context:
    return _in_role(info, Role.CLERK)


def _in_role(info: Info[Context, None], *roles: Role) -> Context:
    if info.context.identity.role not in roles:
        names = ", ".join(roles)
        raise FieldFault("ROLE_REQUIRED", Text(f"this needs the role {names}", f"需要岗位：{names}"))
    return info.context


def _invalid(en: str, zh: str) -> FieldFault:
    return FieldFault("CASE_INVALID", Text(en, zh))


def _subjects(given: list[CaseSubjectInput], service: Service, catalogue: Catalogue) -> list[CaseSubject]:
    if not 1 <= len(given) <= _MAX_SUBJECTS:
        raise _invalid(f"a case has 1 to {_MAX_SUBJECTS} subjects", f"当事人应为1至{_MAX_SUBJECTS}名")
    subjects = []
    for number, one in enumerate(given, 1):
        entity = service.subjects.get(one.role)
        if entity is None:
            roles = ", ".join(service.subjects)
            raise _invalid(
                f"subject {number}: the role is one of {roles}", f"第{number}名当事人：身份须为 {roles} 之一"
            )
        if not one.basis.strip() or len(one.basis) > 200 or not one.basis.isprintable() or names_person(one.basis):
            raise _invalid(
                f"subject {number}: say the basis in 1 to 200 characters", f"第{number}名当事人：请填写登记依据"
            )
        try:
            identifier = PARSERS[catalogue.entities[entity].type](one.identifier)
        except IdentifierError as error:
            reason = Text(f"subject {number}: {error.reason_en}", f"第{number}名当事人：{error.reason_zh}")
            raise FieldFault("IDENTIFIER_INVALID", reason) from None
        subjects.append(CaseSubject(entity, identifier, one.role, one.basis.strip()))
    if not any(subject.role == "APPLICANT" for subject in subjects):
        raise _invalid("a case has an applicant", "办件须有申请人（APPLICANT）")
    if len({(s.entity, s.identifier) for s in subjects}) < len(subjects):
        raise _invalid("a subject is named twice", "当事人重复")
    return subjects


def _view(case: Case, context: Context) -> CaseView:
    service = context.snapshot.catalogue.services.get(case.service)
    subjects = [
        CaseSubjectView(
            entity=s.entity, role=s.role, basis=s.basis, masked_identifier=mask(MaskKind.ID_NUMBER, s.identifier)
        )
        for s in case.subjects
    ]
    return CaseView(
        number=case.number,
        service=case.service,
        title=service.title if service else case.service,
        state=case.state(context.now),
        opened_at=case.opened_at.astimezone(CHINA),
        expires_at=case.expires_at.astimezone(CHINA),
        closed_at=case.closed_at.astimezone(CHINA) if case.closed_at else None,
        subjects=subjects,
        shown=case,
    )


def fields_of(owner: Any) -> list[Any]:
    """The Strawberry fields of a class, to be put into a generated type."""
    return list(owner.__strawberry_definition__.fields)
