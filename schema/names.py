"""Which names the catalogue may give: GraphQL names, SQL identifiers, slugs; and which are taken."""

from __future__ import annotations

import re

TYPE_NAME = re.compile(r"[A-Z][A-Za-z0-9]*")
FIELD_NAME = re.compile(r"[a-z][A-Za-z0-9]*")
ENUM_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_SQL_PART = re.compile(r"[A-Za-z0-9_\u3400-\u4dbf\u4e00-\u9fff]+")
MAX_NAME = 100
MAX_SLUG = 63
MAX_SQL_BYTES = 63
"""PostgreSQL cuts longer identifiers without a word."""

_SCALARS = (
    *("String", "Int", "Boolean", "Date", "DateTime", "Decimal"),
    *("CitizenIdNumber", "UnifiedSocialCreditCode", "RealEstateUnitNumber", "CityComponentCode"),
)

RESERVED_TYPES = frozenset(
    {
        *("Query", "Mutation", "Subscription"),
        *("String", "Int", "Float", "Boolean", "ID", "Date", "DateTime", "Time", "Decimal", "Base64", "Void", "JSON"),
        *("CitizenIdNumber", "UnifiedSocialCreditCode", "RealEstateUnitNumber", "CityComponentCode", "Code"),
        *("Provenance", "Case", "CaseInput", "CaseSubject", "Use", "UseInput", "Basis", "BasisInput", "AuditLine"),
        *(
            "Divergence",
            "HeldValue",
            "Material",
            "MaterialStatus",
            "MaterialRecord",
            "MaterialItem",
            "MaterialObstacle",
        ),
        *("DataSubjectInput", "CaseState", "CaseSubjectInput", "AcceptCaseInput"),
        *("Purpose", "ShareClass", "ShareMode", "OpenClass", "Library", "Secrecy", "BasisRank", "SubjectClass"),
        *("Disclosure", "DisclosureEdge", "DisclosureConnection", "DisclosureFilter", "AuditPatterns", "AuditActivity"),
        *("MyDisclosure", "MyDisclosureUse", "MyDisclosureEdge", "MyDisclosureConnection"),
        *("AuditComparison", "AuditRepeat", "AuditStatistics", "DepartmentStatistics", "ResourceFreshness"),
        *("MaskKind", "ItemType", "PageInfo", "Node", "Error", "Verdict", "Direction"),
        *(f"{scalar}{part}" for scalar in _SCALARS for part in ("Filter", "Choice")),
        *("Grant", "GrantItem", "GrantStep", "GrantState", "AgreementState", "Decider", "RowCondition"),
        *("GrantItemInput", "ApplyForGrantInput", "GrantVerdictInput", "DecideGrantInput", "LimitGrantInput"),
        *("Suspension", "SuspendInput", "Disablement", "DisabledInput", "DisabledKind", "Notice", "NoticeKind"),
        *("AffectedReader", "AffectedReaderEdge", "AffectedReaderConnection", "BetweenInput", "NoticeUse"),
        *("Correction", "CorrectionNotice", "RecordCorrectionInput"),
        *("Reidentification", "ReidentificationState", "ReidentifiedSubject"),
        *(
            "SourceStatus",
            "SourceState",
            "SourceLatency",
            "SourceCount",
            "SourceLack",
            "SourceFreshness",
            "SourceDetails",
        ),
        *("ResourceAccess", "ItemAccess", "ActAccess", "Act", "NextStep", "NextAction", "BilingualText"),
    }
)
"""Types that the schema has of its own, whatever the catalogue says."""

RESERVED_FIELDS = frozenset({"provenance"})
"""Fields that every governed type has of its own."""

RESERVED_ROOTS = frozenset(
    {
        "audit",
        "auditPatterns",
        "auditStatistics",
        "case",
        "cases",
        "catalogue",
        "disclosures",
        "divergence",
        "myDisclosures",
        "node",
        "nodes",
        "grant",
        "grants",
        "suspensions",
        "disablements",
        "notices",
        "affectedReaders",
        "corrections",
        "reidentifications",
        "access",
        "sources",
    }
)
"""Root fields that the schema has of its own."""

RESERVED_ARGUMENTS = frozenset({"use"})
"""Arguments of every governed root field."""

RESERVED_SLUGS = frozenset({"any"})
"""`any` is the rules' wildcard: a department of this name would be every department."""


def is_sql_name(text: str, *, qualified: bool) -> bool:
    """True for a plain SQL identifier; with `qualified`, one schema may stand before it."""
    parts = text.split(".")
    return len(parts) <= (2 if qualified else 1) and all(
        _SQL_PART.fullmatch(part) and len(part.encode()) <= MAX_SQL_BYTES for part in parts
    )


def is_slug(text: str) -> bool:
    """True for lower-case words joined by single hyphens, at most 63 characters."""
    return len(text) <= MAX_SLUG and SLUG.fullmatch(text) is not None


def verification_field(resource: str) -> str:
    """The field of an entity that verifies values of this resource."""
    return f"verify{resource}"


def expectation_type(resource: str) -> str:
    """The input type of the values to be verified against this resource."""
    return f"{resource}Expectation"


def verdicts_type(resource: str) -> str:
    """The type of the verdicts on values of this resource."""
    return f"{resource}Verdicts"


def search_field(field: str, *, many: bool) -> str:
    """The root field that searches a resource: its edge's name in the plural, which that of a to-many edge is already."""
    if many:
        return field
    if field.endswith("y") and field[-2:-1] not in "aeiou":
        return f"{field[:-1]}ies"
    return f"{field}es" if field.endswith(("s", "x", "ch", "sh")) else f"{field}s"


def connection_type(resource: str) -> str:
    """The type of a page of this resource's records."""
    return f"{resource}Connection"


def edge_type(resource: str) -> str:
    """The type of one record of a page with its place."""
    return f"{resource}Edge"


def search_types(resource: str) -> tuple[str, ...]:
    """Every type that the search of this resource needs."""
    return (
        connection_type(resource),
        edge_type(resource),
        *(f"{resource}{part}" for part in ("Filter", "Order", "OrderBy")),
    )


def condition_types(scalar: str) -> tuple[str, str]:
    """The input types of conditions on a scalar or enum: with order and prefix, and by equality only."""
    return f"{scalar}Filter", f"{scalar}Choice"
