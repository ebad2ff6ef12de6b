"""`onesource policy explain`: the decision on one field, with the rows that it comes from."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import NoReturn

import typer
from graphql import GraphQLObjectType, get_named_type
from graphql.execution.values import VariableValues
from rich.table import Table
from rich.text import Text

from app import graphql_schema
from policies.decision import NEXT_TEXTS, Act, Decision, Rows, Use
from policies.identity import Identity, Role
from policies.rules import scenario_basis, service_basis
from policies.snapshot import Caller, Snapshot
from policies.trace import TracedRow, traced_basis, traced_share
from resolvers.access import ACT_TITLES, SUBJECT_TITLES
from resolvers.authorise import Claim, Proof
from resolvers.explain import Decided, article_of, explained_nodes, valid_until
from resolvers.operation import Documents, Limits
from resolvers.plan import plan_of, routes
from resolvers.restrict import restrict
from schema.catalogue import PURPOSE_TITLES, Catalogue, Purpose, SubjectClass
from schema.errors import CODES, RequestError
from schema.formats import CHINA
from schema.types import core_schema
from terminal.client import REFUSED, WRONG_USE, err, out, plain

_SHOWN_ROWS = 8
_DIMENSIONS = {
    "dept": "部门",
    "role": "岗位",
    "object": "对象",
    "subject": "主体",
    "act": "动作",
    "channel": "方式",
    "purpose": "用途",
    "basis": "依据",
    "time": "时间",
}


@dataclass(frozen=True, slots=True)
class Question:
    """Who asks (`identity`), for which field, for what, under which bases; `subject` narrows whose data, None asks for all classes."""

    identity: Identity
    field: str
    purpose: Purpose
    proofs: tuple[Proof, ...]
    subject: SubjectClass | None
    act: Act


def asking(catalogue: Catalogue, who: str) -> Identity:
    """The identity in `ROLE@DEPARTMENT`; exits with what there is if there is no such."""
    role, _, department = who.partition("@")
    if role not in set(Role) or department not in catalogue.departments:
        err.print(
            f"[red]--as 应为 岗位@部门 is role@department[/]: {'|'.join(Role)} @ {', '.join(catalogue.departments)}"
        )
        raise typer.Exit(WRONG_USE)
    return Identity("", department, Role(role), catalogue.departments[department].region, "", 0)


def proofs_of(catalogue: Catalogue, department: str, service: str, scenario: str) -> tuple[Proof, ...]:
    """The bases to explain for: the one that was named, else each service item and scenario of the department. Exits if there is none."""
    services = {
        s.code: Proof(service_basis(s.code), service=s.code)
        for s in catalogue.services.values()
        if s.department == department
    }
    scenarios = {
        s.name: Proof(scenario_basis(s.name), scenario=s.name)
        for s in catalogue.scenarios.values()
        if any(code in services for code in s.services)
    }
    if service or scenario:
        chosen = [services.get(service), scenarios.get(scenario)]
        found = tuple(proof for proof in chosen if proof)
        if len(found) != bool(service) + bool(scenario):
            names = ", ".join((*services, *scenarios)) or "-"
            err.print(f"[red]{department} 没有该事项或场景 has no such service item or scenario[/]: {names}")
            raise typer.Exit(WRONG_USE)
        return found
    if not services:
        err.print(f"[red]{department} 没有政务服务事项，无从依据 has no service item: nothing can be asked[/]")
        raise typer.Exit(WRONG_USE)
    return (*services.values(), *scenarios.values())


def explain(snapshot: Snapshot, question: Question) -> None:
    """Print the decisions on a field, one for each basis and each class of person that it may be of."""
    uses = _uses_at_coordinate if _is_coordinate(snapshot.catalogue, question.field) else _uses_at_path
    at = time.time()
    out.print(plain(f"策略 policy {snapshot.version}"), style="dim")
    found = list(uses(snapshot, question, at))
    for proof, caller, decided in found:
        _print_decision(proof, caller, decided, at)
    if not found:
        err.print(
            "[yellow]该路径上没有此类主体，或只是重复请求中的标识 nobody of that class is there, or it only repeats what was sent[/]"
        )
        raise typer.Exit(REFUSED)


def _is_coordinate(catalogue: Catalogue, field: str) -> bool:
    resource, _, item = field.partition(".")
    return resource in catalogue.resources and item in catalogue.resources[resource].items


_Found = Iterator[tuple[Proof, Caller, Decided]]


def _uses_at_coordinate(snapshot: Snapshot, question: Question, at: float) -> _Found:
    """The use of a plain coordinate: `subject` says whose record it is, the case's subject's if it is not said."""
    item = snapshot.catalogue.item(question.field)
    use = Use(question.field, question.act, (question.subject or SubjectClass.SUBJECT).then(item.subject))
    for proof in question.proofs:
        caller = _caller(snapshot, question, proof)
        yield proof, caller, Decided(item, use, caller.decide(use, at))


def _uses_at_path(snapshot: Snapshot, question: Question, at: float) -> _Found:
    """The uses along a path, as an operation of this one field is planned and restricted: the relations that are refused, and its end."""
    path = tuple(question.field.split("."))
    catalogue = snapshot.catalogue
    entity = catalogue.entities.get(path[0])
    if entity is None or len(path) < 2:
        _no_field(question.field, path[0], [*catalogue.entities, *catalogue.resources])
    schema = core_schema(graphql_schema(catalogue))
    owner = schema.get_type(entity.name)
    for name in path[1:]:
        if not isinstance(owner, GraphQLObjectType) or name not in owner.fields:
            _no_field(question.field, name, list(owner.fields) if isinstance(owner, GraphQLObjectType) else [])
        owner = get_named_type(owner.fields[name].type)
    selection = " { ".join(path[1:]) + " }" * (len(path) - 2)
    document = f"query($id: {entity.type.value}!, $use: UseInput!) {{ {entity.root}({entity.identifier}: $id, use: $use) {{ {selection} }} }}"
    try:
        operation = Documents(schema, Limits()).operation(document, None)
    except RequestError as error:
        fault = error.faults[0]
        words = fault.reason or CODES[fault.code].message
        err.print(plain(f"{question.field}: {words.zh} {words.en}"), style="red")
        raise typer.Exit(WRONG_USE) from None
    plan = plan_of(operation, VariableValues({}, {}), routes(catalogue))
    for proof in question.proofs:
        claims = (Claim(plan.roots[0], (), question.purpose, proof),)
        (root,) = restrict(plan, claims, question.identity, snapshot, datetime.fromtimestamp(at, UTC))
        caller = _caller(snapshot, question, proof)
        end = len(path)
        for node in explained_nodes(root):
            for one in node.uses:
                at_end = len(node.path) + (node.act is Act.READ and node.path[-1] != path[-1]) == end
                if at_end and (question.subject in (None, one.use.subject)):
                    use = one.use._replace(act=question.act)
                    yield proof, caller, Decided(one.item, use, caller.decide(use, at))
                elif not at_end and not one.decision.allow:
                    yield proof, caller, one


def _no_field(field: str, name: str, known: Sequence[str]) -> NoReturn:
    err.print(plain(f"{field}: 没有 there is no {name}"), style="red")
    err.print(plain(", ".join(get_close_matches(name, known) or known)), style="dim")
    raise typer.Exit(WRONG_USE)


def _caller(snapshot: Snapshot, question: Question, proof: Proof) -> Caller:
    who = question.identity
    return snapshot.caller(who.department, who.role, proof.channel, question.purpose, proof.basis)


def _print_decision(proof: Proof, caller: Caller, decided: Decided, at: float) -> None:
    use, decision = decided.use, decided.decision
    catalogue = caller.snapshot.catalogue
    resource = catalogue.resources[use.coordinate.partition(".")[0]]
    basis = catalogue.services[proof.service].title if proof.service else catalogue.scenarios[proof.scenario].title
    out.print()
    out.rule(plain(f"{use.coordinate} {resource.title}·{decided.item.title}"), align="left")
    facts = Table.grid(padding=(0, 2))
    for name, *lines in _facts(caller, decided, f"{caller.basis} {basis}"):
        facts.add_row(name, Text("\n").join(map(plain, lines)))
    effect = Text("✓ 允许 allowed", "bold green") if decision.allow else Text("✗ 拒绝 denied", "bold red")
    out.print(effect)
    out.print(facts)
    _print_rows("共享规则 share rows", traced_share(caller, use, at))
    _print_rows("事项或场景所需 basis rows", traced_basis(caller, use))


def _facts(caller: Caller, decided: Decided, basis: str) -> Iterator[tuple[str, ...]]:
    use, decision = decided.use, decided.decision
    catalogue, item = caller.snapshot.catalogue, decided.item
    provider = catalogue.departments[catalogue.resources[use.coordinate.partition(".")[0]].department]
    yield "规则 rule", decision.rule_id
    yield "理由 reason", decision.reason.zh, decision.reason.en
    yield "依据 article", article_of(decision, caller.snapshot) or item.share.basis or "-"
    yield "义务 obligations", _obligations(decision)
    if step := decision.next_step:
        yield "下一步 next", f"{step.value} {NEXT_TEXTS[step].zh}", NEXT_TEXTS[step].en
    if until := valid_until(decision):
        yield "有效至 valid until", f"{until.astimezone(CHINA):%Y-%m-%d %H:%M:%S} (UTC+8)"
    yield "信息项 item", f"{provider.title}，{item.share.share_class.value}，第{item.grade}级 grade {item.grade}"
    department = catalogue.departments[caller.department].title
    yield "谁 who", f"{caller.role}@{caller.department} {department}"
    yield "用途 purpose", f"{caller.purpose.value} {PURPOSE_TITLES[caller.purpose]}"
    yield "凭据 basis", f"{basis}（{caller.channel}）"
    yield "谁的 whose", f"{use.subject.value} {SUBJECT_TITLES[use.subject]}"
    yield "动作 act", f"{use.act.value} {ACT_TITLES[use.act]}"


def _obligations(decision: Decision) -> str:
    shown = [f"脱敏 mask {decision.mask.value}"] if decision.mask else []
    shown += [f"仅限 only {o.condition.value}" for o in decision.obligations if isinstance(o, Rows)]
    return "，".join(shown) or "无 none"


def _print_rows(title: str, rows: Sequence[TracedRow]) -> None:
    """The rows that were looked at, with ✓ or ✗ and the row's own word in each dimension."""
    if not rows:
        out.print(plain(f"{title}: 没有规则 there is none"), style="dim")
        return
    dimensions = list(rows[0].matches)
    table = Table(title=f"{title}: {sum(row.matched for row in rows)}/{len(rows)} 命中 matched", title_justify="left")
    table.add_column("规则 rule", overflow="fold")
    table.add_column("效力")
    for name in dimensions:
        table.add_column(_DIMENSIONS[name], overflow="fold")
    for one in rows[:_SHOWN_ROWS]:
        cells = [_cell(one, name) for name in dimensions]
        style = "bold" if one.matched else "dim"
        table.add_row(plain(("▶ " if one.matched else "") + one.row.rid), one.row.eft, *cells, style=style)
    out.print(table)
    if len(rows) > _SHOWN_ROWS:
        out.print(plain(f"另有 {len(rows) - _SHOWN_ROWS} 行 more rows, farther from a match"), style="dim")


def _cell(one: TracedRow, name: str) -> Text:
    if one.matches[name]:
        return Text("✓", "green")
    word = f"{one.row.nbf} – {one.row.exp}" if name == "time" else str(getattr(one.row, name))  # type: ignore[union-attr]
    return Text("✗ ", "red") + plain(word)
