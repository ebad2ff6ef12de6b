"""Root field that tells what a use would be allowed to see of a resource, item by item and act by act, before anybody is asked about.

It touches no data: the decisions are those of the snapshot that the operation holds, made as for a real request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Annotated, Any

import strawberry
from strawberry.types import Info

from policies.decision import NEXT_TEXTS, Act, Decision, NextStep, Use
from policies.rules import acts_of
from policies.snapshot import Snapshot
from resolvers import disclose, grant_types  # noqa: F401 - there RowCondition becomes an enum of the schema, once
from resolvers.authorise import Proof, prove
from resolvers.explain import article_of, valid_until
from resolvers.line import Context
from schema.catalogue import Catalogue, Item, MaskKind, Purpose, Resource, RowCondition, ShareClass, SubjectClass
from schema.errors import FieldFault, Text
from schema.formats import CHINA
from schema.types import UseInput, titled_enum

SUBJECT_TITLES = {
    SubjectClass.SUBJECT: "办件当事人",
    SubjectClass.RELATED: "关联人",
    SubjectClass.THIRD_PARTY: "第三人",
}
ACT_TITLES = {
    Act.READ: "读取",
    Act.FILTER: "筛选",
    Act.SORT: "排序",
    Act.GROUP: "分组",
    Act.AGGREGATE: "计数",
    Act.JOIN: "关联",
    Act.VERIFY: "校核",
    Act.EXPORT: "导出",
    Act.EXIST: "是否存在",
}
_CLASS_TITLES = {
    ShareClass.UNCONDITIONAL: "无条件共享",
    ShareClass.CONDITIONAL: "有条件共享",
    ShareClass.NOT_SHARED: "不予共享",
}
_MASK_TITLES = {
    MaskKind.ID_NUMBER: "证件号码",
    MaskKind.NAME: "姓名",
    MaskKind.TELEPHONE: "电话",
    MaskKind.ADDRESS: "住址",
}
_STEP_TITLES = {step: NEXT_TEXTS[step].zh for step in NextStep}

titled_enum(SubjectClass, "与办件的关系: whose data, seen from the case.", SUBJECT_TITLES)
titled_enum(Act, "使用方式: what is done with an item.", ACT_TITLES)
titled_enum(ShareClass, "共享类型 (Changsha 28).", _CLASS_TITLES)
titled_enum(MaskKind, "脱敏方式", _MASK_TITLES)
titled_enum(NextStep, "下一步: what a caller can do about a denial.", _STEP_TITLES)


@strawberry.type(name="BilingualText", description="中英文说明")
class TextView:
    en: str = strawberry.field(description="英文")
    zh: str = strawberry.field(description="中文")


@strawberry.type(name="NextAction", description="下一步: what can be done about a denial.")
class NextView:
    action: NextStep = strawberry.field(description="做法")
    en: str = strawberry.field(description="英文")
    zh: str = strawberry.field(description="中文")


@strawberry.type(name="ActAccess", description="授权判定: the decision on one act with one item.")
class ActView:
    act: Act = strawberry.field(description="使用方式")
    subject: SubjectClass = strawberry.field(description="数据主体与办件的关系: whose data the item is there.")
    allowed: bool = strawberry.field(description="是否允许")
    rule_id: str = strawberry.field(description="规则")
    article: str | None = strawberry.field(description="依据: the article behind the rule.")
    reason: TextView = strawberry.field(description="理由")
    mask: MaskKind | None = strawberry.field(description="脱敏: how the value is masked; null if it is shown whole.")
    rows: list[RowCondition] = strawberry.field(description="记录范围: only records that meet all of these.")
    next: NextView | None = strawberry.field(description="下一步")
    valid_until: datetime | None = strawberry.field(
        description="有效至: when this may change by itself; null if it does not."
    )


@strawberry.type(name="ItemAccess", description="信息项授权")
class ItemView:
    coordinate: str = strawberry.field(description="信息项: Resource.item")
    title: str = strawberry.field(description="名称")
    grade: int = strawberry.field(description="分级")
    share_class: ShareClass = strawberry.field(description="共享类型")
    acts: list[ActView] = strawberry.field(description="各使用方式的判定: those that the item can be asked for.")


@strawberry.type(
    name="ResourceAccess", description="信息资源授权: what a use would be allowed to see; no data is touched."
)
class ResourceView:
    resource: str = strawberry.field(description="信息资源")
    title: str = strawberry.field(description="名称")
    share_class: ShareClass = strawberry.field(description="共享类型")
    provider: str = strawberry.field(description="提供部门")
    policy_version: str = strawberry.field(description="策略版本")
    basis_holds: bool = strawberry.field(description="依据是否成立: whether the case or the scenario proves anything.")
    basis_refusal: TextView | None = strawberry.field(description="依据不成立的理由")
    items: list[ItemView] = strawberry.field(description="信息项")


@strawberry.type
class AccessQueries:
    @strawberry.field(
        description="授权说明: what this use would be allowed to see of a resource, and why; no data is touched."
    )
    async def access(
        self,
        info: Info[Context, None],
        resource: Annotated[str, strawberry.argument(description="信息资源: the name of its type.")],
        use: Annotated[UseInput, strawberry.argument(description="用途与依据")],
        subject: Annotated[
            SubjectClass, strawberry.argument(description="其记录为谁的: whose record, seen from the case.")
        ] = SubjectClass.SUBJECT,
    ) -> ResourceView | None:
        context = info.context
        snapshot = context.snapshot
        known = snapshot.catalogue.resources.get(resource)
        if known is None:
            raise FieldFault("RESOURCE_UNKNOWN")
        proof = await prove(basis_of(use), context.identity, context.line.cases, snapshot.catalogue, context.now)
        context.note(disclose.Act("access", known.name, proof.case, proof.service))
        return _resource_view(known, use.purpose, proof, subject, context)


def basis_of(use: UseInput) -> dict[str, Any]:
    """The basis as `prove` takes it: the one kind that was given (`@oneOf`)."""
    given = {"case": use.basis.case, "scenario": use.basis.scenario}
    return {kind: name for kind, name in given.items() if name is not strawberry.UNSET}


def _resource_view(
    resource: Resource, purpose: Purpose, proof: Proof, subject: SubjectClass, context: Context
) -> ResourceView:
    snapshot, identity = context.snapshot, context.identity
    caller = snapshot.caller(identity.department, identity.role, proof.channel, purpose, proof.basis)
    at = context.now.timestamp()
    items = []
    for item in resource.items.values():
        # a basis that proves nothing refuses every use, whatever the rules say
        decided = [
            (use, proof.refusal or caller.decide(use, at))
            for use in uses_of(snapshot.catalogue, resource, item, subject)
        ]
        items.append(_item_view(resource, item, decided, snapshot))
    return ResourceView(
        resource=resource.name,
        title=resource.title,
        share_class=resource.share.share_class,
        provider=snapshot.catalogue.departments[resource.department].title,
        policy_version=snapshot.version,
        basis_holds=proof.refusal is None,
        basis_refusal=_text(proof.refusal.reason) if proof.refusal else None,
        items=items,
    )


def uses_of(catalogue: Catalogue, resource: Resource, item: Item, subject: SubjectClass) -> Iterator[Use]:
    """The uses of an item that the catalogue has a place for, where the record is of a `subject` person."""
    acts = dict.fromkeys(acts_of(catalogue, resource, item, Purpose.ADMINISTRATIVE_BASIS))
    if Purpose.DATA_VERIFICATION in item.purposes:
        acts |= dict.fromkeys(acts_of(catalogue, resource, item, Purpose.DATA_VERIFICATION))
    coordinate = f"{resource.name}.{item.name}"
    for act in sorted(acts, key=tuple(Act).index):
        if act is Act.JOIN:
            for reached in _reached(resource, item, subject):
                yield Use(coordinate, act, reached)
        else:
            yield Use(coordinate, act, subject.then(item.subject))


def _reached(resource: Resource, item: Item, subject: SubjectClass) -> Iterable[SubjectClass]:
    """Whom the relations that use this item lead to."""
    classes = {
        subject.then(relation.subject) for relation in resource.relations if item.name in (relation.item, resource.key)
    }
    return sorted(classes, key=tuple(SubjectClass).index)


def _item_view(resource: Resource, item: Item, decided: Iterable[tuple[Use, Decision]], snapshot: Snapshot) -> ItemView:
    return ItemView(
        coordinate=f"{resource.name}.{item.name}",
        title=item.title,
        grade=item.grade,
        share_class=item.share.share_class,
        acts=[_act_view(use, decision, snapshot) for use, decision in decided],
    )


def _act_view(use: Use, decision: Decision, snapshot: Snapshot) -> ActView:
    step, until = decision.next_step, valid_until(decision)
    return ActView(
        act=use.act,
        subject=use.subject,
        allowed=decision.allow,
        rule_id=decision.rule_id,
        article=article_of(decision, snapshot),
        reason=_text(decision.reason),
        mask=decision.mask,
        rows=sorted(decision.rows),
        next=NextView(action=step, **NEXT_TEXTS[step].as_dict()) if step else None,
        valid_until=until.astimezone(CHINA) if until else None,
    )


def _text(text: Text) -> TextView:
    return TextView(en=text.en, zh=text.zh)
