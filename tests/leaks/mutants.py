"""Seeded leaks: small changes of the sources, each of which would let something out that must stay. The tests must notice every one.

A mutant replaces one text, which its file has exactly once, by another. `tests` are the modules that are likely to notice, asked first; if they
do not, all of `SUITE` is asked. When a source changes so that a text is gone, `test_mutants.py` says which mutant must be written anew.
"""

from __future__ import annotations

from dataclasses import dataclass

T, R = "tests/leaks/kill_twins.py", "tests/leaks/test_routes.py"
LINE, POLICIES, SOURCES = "tests/line", "tests/policies", "tests/connectors"
SEARCH, VERIFY, FETCH = f"{LINE}/test_search.py", f"{LINE}/test_verification.py", f"{LINE}/test_fetch.py"
CASES, CHANGES, EMPTY = f"{LINE}/test_cases.py", f"{LINE}/test_policy_changes.py", f"{LINE}/test_empty_answers.py"
LEDGER, RECORD, TIMES = f"{LINE}/test_ledger_failure.py", f"{LINE}/test_case_record.py", f"{LINE}/test_grant_times.py"
SUSPENSIONS, GRANTS = f"{LINE}/test_suspensions.py", f"{LINE}/test_grants.py"
DECISIONS, ENGINE, RULES = f"{POLICIES}/test_decisions.py", f"{POLICIES}/test_engine.py", f"{POLICIES}/test_rules.py"
LIVE, CONTROL, MASKS = f"{POLICIES}/test_live.py", f"{POLICIES}/test_control.py", f"{POLICIES}/test_masks.py"
CASE_STORE, DEFECTS = f"{POLICIES}/test_cases.py", f"{POLICIES}/test_casbin_defects.py"
PAGES, CONTRACT = f"{SOURCES}/test_search.py", f"{SOURCES}/test_contract.py"
EDGES, TOLD = "tests/leaks/test_edges.py", "tests/sources/test_told.py"

SUITE = (
    *(EDGES, T, R, CASES, SEARCH, VERIFY, FETCH, CHANGES, EMPTY, LEDGER, RECORD, TIMES, SUSPENSIONS, GRANTS),
    *(DECISIONS, ENGINE, RULES, LIVE, CONTROL, MASKS, CASE_STORE, DEFECTS, PAGES, CONTRACT),
    TOLD,
)


@dataclass(frozen=True)
class Mutant:
    """One seeded leak: `old`, which `file` has exactly once, becomes `new`; `leak` says what gets out."""

    name: str
    file: str
    old: str
    new: str
    leak: str
    tests: tuple[str, ...]


def _of(file: str, *mutants: tuple[str, str, str, str, tuple[str, ...]]) -> list[Mutant]:
    return [Mutant(name, file, old, new, leak, tests) for name, old, new, leak, tests in mutants]


MUTANTS: list[Mutant] = [
    *_of(
        "policies/snapshot.py",
        ("needs-unasked", "if not needed.allow:", "if False:", "items that the service item does not need", (DECISIONS,)),
        ("plain-unread", "if use.act in PLAIN_ACTS:", "if False:", "search by values that may not be read", (DECISIONS, T)),
        ("plain-denied-read", "if not read.allow:\n            return replace(read", "if False:\n            return replace(read", "search by values whose reading is denied", (DECISIONS, ENGINE)),
        ("plain-masked", "        if read.mask:\n", "        if False:\n", "order by what a mask hides", (DECISIONS, T)),
        ("plain-rows", "(*decision.obligations, *read.obligations)", "(*decision.obligations,)", "search beyond the records that may be read", (EDGES, ENGINE)),
        ("deny-is-silent", "        if not allowed:\n            return Decision(False, rid", "        if False:\n            return Decision(False, rid", "what a row denies", (DECISIONS,)),
        ("allow-without-rule", "return bool(allowed and rid), rid", "return bool(allowed or not rid), rid or 'X'", "what no row allows", (DECISIONS,)),
        ("blank-request", "if not rows or not all(value.strip() for value in request):", "if not rows:", "everything for a blank identity", (DEFECTS, DECISIONS)),
        ("nothing-refused-unasked", "if not rows or not all(value.strip() for value in request):", "if False:", "everything for blanks where there is no row", (DEFECTS, DECISIONS)),
        ("memo-without-end", "known.since <= at < known.until", "known.since <= at", "what a grant allowed before it ended", (DECISIONS, ENGINE)),
        ("memo-without-beginning", "known.since <= at < known.until", "at < known.until", "what a grant will allow later", (ENGINE,)),
        ("memo-end-included", "known.since <= at < known.until", "known.since <= at <= known.until", "what a grant allowed, in its last second", (ENGINE, DECISIONS)),
        ("caller-without-purpose", "        caller = self._callers.get(key)\n", "        key = (department, role, channel, purpose, basis)\n        caller = next((c for k, c in self._callers.items() if k[:3] == key[:3] and k[4] == basis), None)\n", "decisions made for another purpose", (ENGINE, T)),
        ("caller-without-basis", "        caller = self._callers.get(key)\n", "        caller = next((c for k, c in self._callers.items() if k[:4] == key[:4]), None)\n", "decisions made under another basis", (ENGINE, T)),
        ("caller-without-department", "        caller = self._callers.get(key)\n", "        caller = next((c for k, c in self._callers.items() if k[1:] == key[1:]), None)\n", "decisions made for another department", (ENGINE, T)),
        ("memo-without-subject", "        known = self._known.get(use)\n", "        known = next((d for u, d in self._known.items() if u[:2] == use[:2]), None)\n", "of others what may be read of the case's subject", (ENGINE, T, R)),
        ("memo-without-act", "        known = self._known.get(use)\n", "        known = next((d for u, d in self._known.items() if (u[0], u[2]) == (use[0], use[2])), None)\n", "to read what may be joined", (ENGINE, T)),
        ("rule-conditions-dropped", "rows = {*text.obligations, *(Rows(condition)", "rows = {*(Rows(condition)", "records outside a grant's conditions", (ENGINE, DECISIONS)),
        ("resource-conditions-dropped", "rows = {*text.obligations, *(Rows(condition) for condition in conditions)}", "rows = {*text.obligations}", "records outside a resource's conditions", (ENGINE, T)),
        ("mask-of-another-purpose", ".masks.get(self.purpose) if use.act", ".masks.get(Purpose.DATA_VERIFICATION) if use.act", "what is masked for the purpose", (DECISIONS, ENGINE)),
        ("mask-of-searches-only", "if use.act is Act.READ else None", "if use.act is Act.FILTER else None", "what is masked", (DECISIONS, ENGINE)),
        ("old-rows-stay", "        index = _without(self._index, {row for old in before.values() for row in old.share})\n", "        index = self._index\n", "what a grant allowed that is gone", (ENGINE, DECISIONS)),
        ("provider-unnamed", 'return coordinate, resource, f"class/{share_class}", f"provider/{provider}"', 'return coordinate, resource, f"class/{share_class}", "provider/none"', "what a department has suspended whole", (ENGINE,)),
        ("class-unnamed", 'return coordinate, resource, f"class/{share_class}", f"provider/{provider}"', 'return coordinate, resource, "class/none", f"provider/{provider}"', "what a rule file denies by class", (ENGINE,)),
        ("denials-of-any-only", "            for dept in (ANY, department):\n                if by_purpose", "            for dept in (ANY, department)[: 1 if by_department.get(ANY) else 2]:\n                if by_purpose", "what is suspended for one department", (ENGINE,)),
        ("denials-of-any-purpose", "                    rows += by_purpose.get(ANY, ())\n", "", "what a suspension stops for every purpose", (ENGINE, R)),
        ("lint-skipped", "            lint_rules(group, self.catalogue)\n", "", "what a misspelt denial should stop", (LIVE, RULES)),
    ),
    *_of(
        "policies/share.conf",
        ("deny-does-not-override", "e = some(where (p.eft == allow)) && !some(where (p.eft == deny))", "e = some(where (p.eft == allow))", "what is suspended", (ENGINE, DECISIONS)),
        ("subject-ignored", '(p.subject == "any" || p.subject == r.subject)', '(p.subject == "any" || p.subject != "")', "of others what a scenario gives of its subject", (f"{POLICIES}/test_models.py", ENGINE)),
        ("expiry-included", "r.now < p.exp", "r.now <= p.exp", "what a grant gave, in the second after its end", (ENGINE, DECISIONS)),
        ("beginning-ignored", "p.nbf <= r.now && ", "", "what a grant gives later", (ENGINE, DECISIONS)),
        ("role-ignored", '(p.role == "any" || g(r.role, p.role))', '(p.role == "any" || r.role != "")', "data to officers and auditors", (ENGINE, DECISIONS)),
        ("department-ignored", '(p.dept == "any" || p.dept == r.dept)', '(p.dept == "any" || p.dept != "")', "another department's grant", (f"{POLICIES}/test_models.py", ENGINE)),
    ),
    *_of(
        "policies/basis.conf",
        ("basis-subject-ignored", " && p.subject == r.subject", "", "of others what is needed of the subject", (ENGINE, DECISIONS)),
        ("basis-act-ignored", " && p.act == r.act", "", "acts that nobody needs", (f"{POLICIES}/test_models.py", ENGINE)),
        ("basis-purpose-ignored", " && p.purpose == r.purpose", "", "what is needed for another purpose", (ENGINE, DECISIONS)),
    ),
    *_of(
        "policies/decision.py",
        ("filter-not-plain", "PLAIN_ACTS = frozenset({Act.FILTER, ", "PLAIN_ACTS = frozenset({", "search by masked values", (DECISIONS, ENGINE)),
        ("sort-not-plain", "Act.FILTER, Act.SORT, Act.GROUP", "Act.FILTER, Act.GROUP", "order by masked values", (DECISIONS, ENGINE)),
        ("count-not-plain", "Act.GROUP, Act.AGGREGATE})", "Act.GROUP})", "number of records whose key may not be read", (ENGINE, DECISIONS)),
    ),
    *_of(
        "policies/rules.py",
        ("inactive-grants", "    if not grant.active:\n        return Rules()\n", "", "what was applied for and not granted", (ENGINE,)),
        ("grant-of-another-provider", "resource is None or item is None or resource.department != grant.provider", "resource is None or item is None", "what the granting department does not provide", (ENGINE, RULES)),
        ("grant-to-anybody", "                            grant.department,\n", "                            ANY,\n", "one department's grant to all", (ENGINE,)),
        ("grant-for-ever", "                            grant.expires,\n", "                            LAST_TIME,\n", "what an expired grant gave", (ENGINE, TIMES)),
        ("grant-from-ever", "                            grant.not_before,\n", "                            FIRST_TIME,\n", "what a grant gives later", (ENGINE, TIMES)),
        ("grant-any-purpose", "for purpose in sorted(grant.purposes & item.purposes):", "for purpose in sorted(item.purposes):", "purposes that were not granted", (ENGINE,)),
        ("grant-any-item", "for granted in grant.granted:", "for granted in grant.items:", "items that were refused", (ENGINE, GRANTS)),
        ("grant-without-conditions", "obligations=tuple(Rows(condition) for condition in sorted(grant.rows))", "obligations=()", "records beyond a grant's limits", (ENGINE,)),
        ("scenario-without-conditions", "obligations=tuple(Rows(condition) for condition in sorted(scenario.rows))", "obligations=()", "records beyond a scenario's limits", (ENGINE,)),
        ("scenario-to-anybody", "purpose.value, basis, FIRST_TIME, LAST_TIME", "purpose.value, ANY, FIRST_TIME, LAST_TIME", "a scenario's items under any basis", (ENGINE,)),
        ("audience-ignored", "for department in resource.audience or (ANY,):", "for department in (ANY,):", "to departments that are not concerned", (ENGINE, DECISIONS)),
        ("conditional-shared", "if item.share.share_class is ShareClass.UNCONDITIONAL:", "if item.share.share_class is not ShareClass.NOT_SHARED:", "what is shared on condition", (ENGINE, RULES)),
        ("not-shared-shared", "if item.share.share_class is ShareClass.UNCONDITIONAL:", "if item.share.share_class is not ShareClass.CONDITIONAL:", "what is not shared", (ENGINE, RULES)),
        ("verification-reads", "return (*acts, Act.VERIFY) if catalogue.verifiable(item) else tuple(acts)", "return (*acts, Act.VERIFY, Act.READ)", "values under verification", (ENGINE, VERIFY)),
        ("suspension-of-one", "suspension.department or ANY, ANY, suspension.object", "suspension.department or suspension.provider, ANY, suspension.object", "what is suspended for everybody", (ENGINE, R)),
        ("suspension-of-reading", "ANY, suspension.object or f\"provider/{suspension.provider}\", ANY, ANY,", "ANY, suspension.object or f\"provider/{suspension.provider}\", ANY, 'read',", "verdicts and searches of what is suspended", (ENGINE, R)),
    ),
    *_of(
        "policies/grants.py",
        ("agreement-unasked", "self.state is GrantState.GRANTED and self.agreement_state is AgreementState.VALID", "self.state is GrantState.GRANTED", "grants without an agreement", (ENGINE,)),
        ("ended-is-active", "self.state is GrantState.GRANTED and", "self.state is not GrantState.APPLIED and", "grants that have ended", (ENGINE,)),
        ("undecided-is-granted", "if item.granted)", "if item.granted is not False)", "items that nobody decided on", (ENGINE,)),
    ),
    *_of(
        "policies/live.py",
        ("lease-ignored", "if time.monotonic() - self._confirmed > self._lease:", "if False:", "what was suspended while the control database was gone", (LIVE,)),
        ("disabled-person", '                (DisabledKind.PERSON, identity.subject, ""),\n', "", "data to a person who is disabled", (SUSPENSIONS, LIVE)),
        ("disabled-in-department", "                (DisabledKind.PERSON, identity.subject, identity.department),\n", "", "data to a person who is disabled in the department", (SUSPENSIONS,)),
        ("disabled-token", '                (DisabledKind.TOKEN, identity.token, ""),\n', "", "data to a token that is disabled", (EDGES, SUSPENSIONS)),
        ("disabled-client", '                (DisabledKind.CLIENT, identity.client, ""),\n', "", "data to a client that is disabled", (EDGES, SUSPENSIONS)),
        ("suspended-grant", "    if grant.active and not suspended:\n", "    if grant.active:\n", "what a suspended grant gave", (EDGES, LIVE)),
        ("suspended-grant-later", " | (suspended ^ self._suspended)", "", "what a grant gave before it was suspended", (LIVE, f"{POLICIES}/test_races.py")),
    ),
    *_of(
        "policies/masks.py",
        ("mask-tells-length", '"*" * _STARS[kind]', '"*" * (len(text) - head - tail)', "how long the hidden part is", (MASKS,)),
        ("mask-of-short", "if len(text) <= head + tail:", "if len(text) < head + tail:", "short values whole", (MASKS,)),
        ("mask-shows-more", "MaskKind.ID_NUMBER: (3, 4)", "MaskKind.ID_NUMBER: (10, 4)", "the year of birth behind a mask", (MASKS,)),
    ),
    *_of(
        "policies/control.py",
        ("attempts-of-any-number", "if used.get(pair, 0) < most]", "if used.get(pair, 0) <= most]", "one guess more", (VERIFY, CONTROL)),
        ("attempts-uncounted", "                connection.execute(sa.insert(tables.attempts), rows)\n", "                pass\n", "values by guessing for ever", (VERIFY, CONTROL)),
        ("attempts-forgotten", "a.at < _micros(since)", "a.at <= _micros(at)", "values by guessing again and again", (VERIFY, CONTROL)),
        ("lifted-by-reading", "suspensions=read_suspensions(connection, tables.suspensions.c.lifted_at.is_(None))", "suspensions=read_suspensions(connection, tables.suspensions.c.lifted_at.is_not(None))", "what is suspended", (R, CONTROL)),
    ),
    *_of(
        "policies/cases.py",
        ("closed-case", "        if self.closed_at:\n            return CaseState.CLOSED\n", "", "people of closed cases", (CASES, CASE_STORE)),
        ("expired-case", "if now >= self.expires_at else", "if False else", "people of expired cases", (CASES, CASE_STORE)),
        ("expiry-second", "if now >= self.expires_at else", "if now > self.expires_at else", "people of a case in the moment of its expiry", (CASE_STORE, EDGES)),
        ("case-remembered", "if version != self._version or", "if", "people of a case that was closed by another process", (CASE_STORE,)),
        ("case-of-any-department", '.where(_c.department == sa.bindparam("department"), _c.number == sa.bindparam("number"))', '.where(_c.number == sa.bindparam("number"))', "another department's cases", (CASE_STORE, CASES)),
    ),
    *_of(
        "resolvers/authorise.py",
        ("case-unasked", "elif not proof.scenario and (root.entity.name, key) not in proof.subjects:", "elif False:", "people who are no subjects of the case", (CASES, T)),
        ("refusal-forgotten", "            if proof.refusal:\n                refusals[key] = proof.refusal\n            elif", "            if", "people without any basis", (CASES, T)),
        ("scenario-of-any", "    if scenario is None or all(\n", "    if scenario is None or (not scenario.services) and all(\n", "another department's scenario", (CASES, T)),
        ("service-of-any", "service is None or service.department != identity.department", "service is None", "a service item of another department", (EDGES, CASES)),
        ("state-unasked", "if state is not CaseState.OPEN:", "if state is CaseState.EXPIRED:", "people of closed cases", (CASES,)),
        ("refused-are-fetched", "if key not in self.refusals)", "if key)", "records of the refused, from their departments", (FETCH, EDGES)),
    ),
    *_of(
        "resolvers/restrict.py",
        ("denied-columns", "allowed = [(item, decision) for item, decision in decisions.values() if decision.allow]", "allowed = list(decisions.values())", "values of denied items", (T, CASES)),
        ("denied-search-columns", "allowed = [(item, decision) for item, decision in decided.values() if decision.allow]", "allowed = list(decided.values())", "values of denied items in searches", (T, SEARCH)),
        ("existence-unasked", "act = Act.READ if node.reads else Act.EXIST", "act = Act.READ if node.reads else Act.JOIN", "whether there are records", (EDGES, T)),
        ("whose-item-forgotten", "self.decide(f\"{node.resource.name}.{item.name}\", act, subject.then(item.subject))", "self.decide(f\"{node.resource.name}.{item.name}\", act, subject)", "of relatives what may be read of the subject", (T, CASES)),
        ("whose-search-forgotten", "Act.READ, subject.then(item.subject)))", "Act.READ, subject))", "of relatives in searches what may be read of the subject", (T, SEARCH)),
        ("whose-verdict-forgotten", "Act.VERIFY, subject.then(item.subject)))", "Act.VERIFY, subject))", "verdicts on relatives as on the subject", (EDGES, T)),
        ("relation-keeps-class", "        reached = subject.then(node.relation.subject)\n        decisions = [", "        reached = subject\n        decisions = [", "of relatives what may be read of the subject", (T, CASES)),
        ("relation-by-one-end", "for name in dict.fromkeys((node.near, node.far))", "for name in (node.near,)", "relations whose other end may not be used", (T, CASES)),
        ("relation-undecided", "        return all(decision.allow for _, decision in self.decisions)\n", "        return True\n", "relations that may not be followed", (T, FETCH)),
        ("identifier-unread", "coordinate = f\"{by.resource.name}.{by.far}\"\n        decision = self.decide(coordinate, Act.READ, subject)", "coordinate = f\"{by.resource.name}.{by.far}\"\n        decision = self.decide(coordinate, Act.JOIN, subject)", "identifiers of those who are met", (T, CASES)),
        ("row-limits-dropped", "return RowLimits(where, adults)", "return RowLimits()", "other regions and minors", (T, CASES)),
        ("regions-dropped", "return RowLimits(where, adults)", "return RowLimits((), adults)", "records of other regions", (T, CASES)),
        ("minors-let-in", "return RowLimits(where, adults)", "return RowLimits(where)", "records of minors", (T, CASES)),
        ("region-too-wide", 'return region.removesuffix("00").removesuffix("00") if', 'return region[:2] if', "records of the whole province", (T, CASES)),
        ("no-region-everything", "within if resource.region and own else Condition(item, Operator.IN, ())", "within if resource.region else Condition(item, Operator.IN, ())", "every region to a caller without one", (T, CASES, SEARCH)),
        ("relation-limits", "limits = row_limits(node.resource, [*(decision for _, decision in decisions), *told], self._region)", "limits = RowLimits()", "links outside the caller's records", (EDGES, T)),
        ("relation-read-limits", "limits = row_limits(node.resource, [*(decision for _, decision in decisions), *told], self._region)", "limits = row_limits(node.resource, [decision for _, decision in decisions], self._region)", "identifiers of records that may be followed, not read", (CASES, f"{LINE}/test_relations.py")),
        ("record-limits", "            limits=row_limits(node.resource, (decision for _, decision in allowed), self._region),\n", "            limits=RowLimits(),\n", "records outside the caller's", (T, CASES)),
        ("verdict-limits", "        limits = row_limits(node.resource, (decision for _, decision in decisions), self._region)\n        return AllowedVerification", "        limits = RowLimits()\n        return AllowedVerification", "verdicts on records outside the caller's", (EDGES, T)),
        ("verdict-columns", "return tuple(item.name for item, decision in self.decisions if decision.allow)", "return tuple(item.name for item, decision in self.decisions)", "attempts and fetches for items that may not be verified", (EDGES, FETCH, VERIFY)),
        ("prepared-without-region", "identity.department, identity.role, identity.region, alike)", "identity.department, identity.role, alike)", "records of another caller's region", (EDGES, T)),
        ("prepared-without-department", "identity.department, identity.role, identity.region, alike)", "identity.role, identity.region, alike)", "what another department may see", (CASES,)),
        ("prepared-without-role", "identity.department, identity.role, identity.region, alike)", "identity.department, identity.region, alike)", "to an officer what a clerk was shown", (EDGES, T)),
        ("prepared-without-purpose", "alike = tuple((claim.purpose, claim.proof.basis) for claim in claims)", "alike = tuple(claim.proof.basis for claim in claims)", "what another purpose shows", (EDGES, T)),
        ("prepared-without-basis", "alike = tuple((claim.purpose, claim.proof.basis) for claim in claims)", "alike = tuple((claim.purpose, bool(claim.proof.basis)) for claim in claims)", "what another basis shows", (EDGES, T)),
        ("prepared-for-ever", "prepared.until <= at", "False", "what a grant gave before it ended", (TIMES,)),
        ("links-named", "whole = all(decision.allow and not decision.mask for decision in named)", "whole = True", "the order of identifiers behind masks", (EDGES, T)),
    ),
    *_of(
        "resolvers/fetch.py",
        ("minors-by-key", "        if limits.adults and key == resource.key:\n", "        if False:\n", "records of minors", (T, CASES)),
        ("minors-by-relation", "if allowed.limits.adults and node.far == node.resource.key and not is_adult", "if False and not is_adult", "minors across a relation", (EDGES, T)),
        ("loads-without-conditions", "name = (resource.name, key, columns, where)", "name = (resource.name, key, columns, ())", "records of another caller's region", (EDGES, T)),
        ("loads-without-columns", "name = (resource.name, key, columns, where)", "name = (resource.name, key, len(columns), where)", "another question's columns", (EDGES, T)),
        ("loads-drop-conditions", "FetchRequest(resource, key, some, columns, source.timeout, where)", "FetchRequest(resource, key, some, columns, source.timeout)", "records of other regions", (T, CASES)),
        ("loads-cached", "_Loader(batch, cache=False)", "_Loader(batch, cache=True)", "what a source has withdrawn", (FETCH, T)),
        ("relation-denied-fetch", "if isinstance(c, AllowedResource | AllowedRelation) and c.allowed]", "if isinstance(c, AllowedResource | AllowedRelation)]", "which records are denied, to their departments", (FETCH, T)),
        ("everybody-a-subject", "subject = SubjectClass.SUBJECT if (entity.name, identifier) in self._subjects else reached", "subject = SubjectClass.SUBJECT", "of relatives what may be read of the subject", (T, CASES)),
        ("class-not-advanced", "        reached = allowed.subject.then(node.relation.subject)\n        links", "        reached = next(iter(allowed.targets))\n        links", "of third parties what may be read of relatives", (T, CASES)),
        ("links-in-order", "        if allowed.named:\n            return list(links)\n", "        if allowed:\n            return list(links)\n", "the order of identifiers behind masks", (EDGES, T)),
        ("attempts-ignored", "if (key, one) in taken):", "if key):", "verdicts when attempts are used up", (VERIFY,)),
        ("attempts-of-all", "taken = await attempts.take(node.owner, keys, tuple(columns))", "taken = frozenset((key, one) for key in keys for one in columns)", "guesses that nobody counts", (VERIFY,)),
    ),
    *_of(
        "resolvers/source_states.py",
        ("details-for-all", "if _concerns(context, department) else None", "if context else None", "how much others are asked, and for what", (TOLD,)),
        ("states-for-clerks", "in_role(info, Role.DEVELOPER, Role.OFFICER, Role.AUDITOR)", "in_role(info, *Role)", "how sources do, to clerks", (TOLD,)),
    ),
    *_of(
        "resolvers/metrics.py",
        ("metrics-for-all", "if token and not hmac.compare_digest(given, expected):", "if False:", "the metrics to everybody", (TOLD,)),
        ("metrics-without-token", "if not token and not open_to_all:", "if False:", "the metrics where nobody was named", (TOLD,)),
    ),
    *_of(
        "resolvers/search.py",
        ("filter-undecided", "    wanted += [(condition.item, Act.FILTER) for condition in claim.where]\n", "", "hidden values by searching for them", (T, CASES)),
        ("sort-undecided", "    wanted += [(order.item, Act.SORT) for order in claim.order]\n", "", "hidden values by their order", (T, CASES)),
        ("search-existence", "    wanted = [(resource.key or \"\", Act.EXIST)]\n", "    wanted = []\n", "that records exist", (T, EDGES)),
        ("search-whose", "act, claim.subject.then(item.subject)))", "act, claim.subject))", "of relatives what the subject's may be searched by", (T,)),
        ("search-limits", "where = (*claim.where, *search.limits.where)", "where = claim.where", "records of other regions", (T, SEARCH)),
        ("search-beyond-case", "        where = (Condition(resource.key or \"\", Operator.IN, tuple(keys)), *where)\n", "", "everybody's records under a case", (T, SEARCH)),
        ("search-minors", "            keys = [key for key in keys if is_adult(key, now)]\n", "            pass\n", "minors by searching", (T, EDGES)),
        ("scenario-minors", "    if limits.adults and claim.proof.scenario:\n", "    if False:\n", "minors by searching under a scenario", (T, CASES)),
        ("scenario-subject", "return SubjectClass.THIRD_PARTY if self.proof.scenario else SubjectClass.SUBJECT", "return SubjectClass.SUBJECT", "of everybody what may be read of the subject", (T, CASES)),
        ("count-denied", "counts = search.total is not None and search.total.allow", "counts = search.total is not None", "number of records that may not be counted", (EDGES,)),
        ("count-unlimited", "count = CountRequest(resource, asked.timeout, asked.where)", "count = CountRequest(resource, asked.timeout, claim.where)".replace("claim", "search.claim"), "number of hidden records", (T, SEARCH)),
        ("total-limits", "*read, *([total] if total else [])]", "*read]", "number of records beyond those that may be counted", (EDGES,)),
        ("read-limits", "[*(d for _, _, d in used), *read, ", "[*(d for _, _, d in used), ", "shown values of records beyond a grant's limits", (T, EDGES)),
        ("refused-page", "    if search is None or search.faults:\n", "    if search is None:\n", "that a refused search was asked of the department", (EDGES, FETCH, CASES)),
        ("cursor-of-anybody", "*(identity.subject, identity.department, identity.role, identity.region, identity.client),", "*(),", "a place to other callers", (SEARCH,)),
        ("cursor-of-any-purpose", "*(claim.purpose, proof.basis, proof.case,", "*(proof.basis, proof.case,", "a place under another purpose", (EDGES,)),
        ("cursor-of-any-case", "proof.basis, proof.case, snapshot", "proof.basis, snapshot", "a place under another case", (SEARCH,)),
        ("cursor-of-any-policy", "proof.case, snapshot.version, claim", "proof.case, claim", "a place after its grant has ended", (SEARCH, TIMES)),
        ("cursor-of-any-question", "        repr(claim.where),\n", "", "a place in another question", (SEARCH,)),
        ("null-is-a-condition", "            if value is None:  # a null condition", "            if False:  # a null condition", "which values are absent", (SEARCH,)),
    ),
    *_of(
        "resolvers/shape.py",
        ("mask-unapplied", "            return lambda value: mask(kind, value)\n", "            return None\n", "what is masked", (T, CASES)),
        ("identifier-unmasked", "return mask(kind, key) if kind else key", "return key", "identifiers behind masks", (T, CASES)),
        ("identifier-denied", "        if not reached.decision.allow:\n            return None\n", "", "identifiers that may not be read", (EDGES, T)),
        ("masked-order", "            if any(allowed.masks):  #", "            if False:  #", "the order of values behind masks", (EDGES, T)),
        ("refused-keys", "if key in claim.refusals or root.allowed is None:", "if root.allowed is None:", "people who are no subjects of the case", (T, CASES)),
        ("others-unnoted", "                noted.others.add((entity, values[index]))\n", "                pass\n", "who was named, from the record", (RECORD, CASES)),
        ("denied-unrecorded", "DENIED if n is None else MASKED if", "RETURNED if n is None else MASKED if", "a record that says more was shown", (R, CASES)),
    ),
    *_of(
        "resolvers/verdicts.py",
        ("denied-verdict", "judged[item.name] = verify.DENIED, decision.rule_id", "judged[item.name] = verify.MATCH, decision.rule_id", "a verdict on what may not be verified", (VERIFY, CASES)),
    ),
    *_of(
        "resolvers/verify.py",
        ("part-is-a-match", "return _plain(stored) == _plain(expected)", "return _plain(stored).startswith(_plain(expected))", "values letter by letter", (VERIFY,)),
        ("attempts-of-one-person", "self.hashes.of(entity, key), coordinate", "self.hashes.of(entity, self.department + key), str(self.at)", "guesses without end", (VERIFY,)),
        ("attempts-of-today", "since = self.at - self.days * _DAY_SECONDS", "since = self.at", "guesses without end", (VERIFY,)),
    ),
    *_of(
        "resolvers/line.py",
        ("disabled-admitted", "            if not self.policy.admits(identity):\n                raise RequestError", "            if False:\n                raise RequestError", "data to who is disabled", (SUSPENSIONS,)),
        ("ledger-skipped", "                operation_id, identity, now, snapshot.version, _outcome(claimed, rest),\n", "                operation_id + '/', identity, now, snapshot.version, _outcome(claimed[:0], rest),\n", "operations that were denied, from the record", (CASES, RECORD)),
        ("changes-unasked", "            if claimed and self.policy.snapshot() is not snapshot:\n", "            if False:\n", "what was suspended while it was fetched", (CHANGES,)),
        ("changes-forgiven", "decisions_of(roots, searches, now) != decisions_of(*decided, now)", "False", "what was suspended while it was fetched", (CHANGES,)),
    ),
    *_of(
        "resolvers/disclose.py",
        ("ledger-unavailable", '            raise RequestError(Fault("LEDGER_UNAVAILABLE")) from None\n', "            return\n", "what is not on record", (LEDGER,)),
        ("others-unrecorded", "others=[hashed.get(other) or of(*other) for other in sorted(node.others)],", "others=[],", "who was named, from the record", (RECORD, CASES)),
    ),
    *_of(
        "resolvers/cursors.py",
        ("cursor-unbound", "    return [orjson.dumps(list(parts))]\n", '    return [b""]\n', "a place to everybody", (SEARCH,)),
    ),
    *_of(
        "connectors/memory.py",
        ("null-meets", "    if value is None or value is INVALID:\n        return False\n", "    if value is None or value is INVALID:\n        return True\n", "records without a region", (T, CONTRACT)),
        ("count-of-all", "return Rows((), clock.now(), count=len(records))", "return Rows((), clock.now(), count=len(self._records[request.resource.name]))", "number of hidden records", (PAGES,)),
        ("links-by-place", "several = request.resource.many or request.key != request.resource.key", "several = request.resource.many", "the order in which others' records were written", (EDGES, T)),
    ),
    *_of(
        "connectors/statements.py",
        ("sql-links-by-place", "self.several = resource.many or key != resource.key", "self.several = resource.many", "the order in which others' records were written", (EDGES, T)),
        ("sql-look-up-conditions", "                *_conditions(self.resource, self._where, self._table, writing),\n", "", "records of other regions", (CONTRACT, PAGES)),
        ("sql-page-conditions", "is_not(None), *conditions, *further)", "is_not(None), *further)", "records of other regions", (PAGES,)),
        ("sql-count-conditions", "return counted.where(*_conditions(resource, where, table, writing))", "return counted", "number of hidden records", (PAGES,)),
    ),
    *_of(
        "connectors/clauses.py",
        ("sql-in-nothing", "            return sa.false()\n        exact", "            return sa.true()\n        exact", "everybody where nobody may be found", (PAGES,)),
        ("sql-prefix", "== sa.bindparam(f\"{name}_0\", type_=_type(item, dialect))\n    (value,)", ">= sa.bindparam(f\"{name}_0\", type_=_type(item, dialect))\n    (value,)", "records of other regions", (PAGES, CONTRACT)),
    ),
    *_of(
        "schema/identifiers.py",
        ("adults-day", "return born <= (today.year, today.month, today.day)", "return born < (today.year, today.month + 1, today.day)", "minors before their birthday", (EDGES,)),
        ("adults-age", "_OF_AGE = 18", "_OF_AGE = 17", "minors of seventeen", (EDGES,)),
    ),
    *_of(
        "schema/catalogue.py",
        ("classes-do-not-add", "return order[min(2, order.index(self) + order.index(further))]", "return order[max(order.index(self), order.index(further))]", "of third parties what may be read of relatives", (T, R)),
        ("few-values-verified", "return len(self.codes[item.codes or \"\"].values) >= VERIFIABLE_CODES", "return True", "sex and status by guessing", (VERIFY, RULES)),
    ),
]  # fmt: skip
