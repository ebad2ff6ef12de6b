"""What can be wrong with a catalogue: each problem with a stable code, a place, and what to do about it.

Codes are never reused. CAT0 files and YAML, CAT1 shape, CAT2 names and references, CAT3 sharing and law, CAT4 sources,
CAT5 overlays, CAT6 service items and scenarios. `docs/catalogue-problems.md` is this table in print (`problems_page`).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

from schema.catalogue import Place

MEANINGS: dict[str, tuple[str, str]] = {
    "CAT001": ("A file or the catalogue's folder cannot be read.", "check the path and its permissions"),
    "CAT002": ("A file is larger than 4 MiB.", "split the file"),
    "CAT003": ("A file is not UTF-8.", "save the file as UTF-8"),
    "CAT004": ("A file is not YAML.", "correct the syntax at this line"),
    "CAT005": ("A file is not one mapping.", "write one YAML document of `key: value` lines"),
    "CAT006": ("An anchor or an alias is used.", "write the value out"),
    "CAT007": ("A YAML tag is used.", "leave the tag out"),
    "CAT008": ("A key is written twice in one mapping.", "keep one of them"),
    "CAT009": ("Values are nested too deeply.", "follow docs/catalogue-format.md"),
    "CAT010": ("A YAML file lies where the loader reads none.", "see the table of places in docs/catalogue-format.md"),
    "CAT011": (
        "A file's name is no slug, or is reserved.",
        "use lower-case letters, digits and single hyphens, as in `public-security.yaml`",
    ),
    "CAT012": ("The catalogue has no department.", "add `<department>.yaml`"),
    "CAT013": ("The name in a file differs from the file's name.", "make them equal"),
    "CAT101": ("A key is unknown.", "see docs/catalogue-format.md for the keys"),
    "CAT102": ("A key is missing.", "add it"),
    "CAT103": ("A value is of the wrong type.", "see docs/catalogue-format.md for the type"),
    "CAT104": ("A value is none of the admissible ones.", "use one of the admissible values"),
    "CAT105": ("A text or a list is empty.", "fill it in"),
    "CAT106": ("A text holds control or invisible characters.", "remove them"),
    "CAT107": ("A value is out of range or malformed.", "correct the value"),
    "CAT201": ("A name is not valid in GraphQL.", "types are PascalCase, fields camelCase, enum values UPPER_CASE"),
    "CAT202": ("A name is reserved.", "choose another name"),
    "CAT203": ("An item is unknown.", "name an item of that resource"),
    "CAT204": ("A resource is unknown.", "name a resource of the catalogue"),
    "CAT205": ("An entity is unknown.", "name an entity of standards/entities.yaml"),
    "CAT206": ("A code table is unknown.", "name a table of standards/codes.yaml or of a department's file"),
    "CAT207": ("A department is unknown.", "name a department by its slug, its file's name"),
    "CAT208": ("A code is not in its code table.", "map to a code of the table"),
    "CAT209": ("The code of a related resource is unknown.", "name the catalogue code of a resource"),
    "CAT210": ("Two GraphQL types have one name.", "rename one of them"),
    "CAT211": ("A code that must be unique is used twice.", "give each its own code"),
    "CAT212": ("A name or code stands twice in one list.", "keep one of them"),
    "CAT213": ("A field comes twice to one entity.", "rename one of them: `field`, `name` or `inverse`"),
    "CAT214": ("Two root fields have one name, or one is reserved.", "rename one of them"),
    "CAT215": (
        "An item's type is not that of the entity's identifier.",
        "name the item that holds the identifier, or correct its type",
    ),
    "CAT216": ("An entity's register is a resource of another entity.", "name a resource of this entity"),
    "CAT301": ("A share class is missing.", "give `share.class` to the item or to its resource (Changsha 28)"),
    "CAT302": ("A legal basis is missing.", "give `share.basis` (Changsha 28, Xianning 11)"),
    "CAT303": ("The rank of a legal basis is missing.", "give `share.rank`"),
    "CAT304": ("CONDITIONAL without conditions.", "give `share.conditions` (Hunan ch. 3)"),
    "CAT305": (
        "NOT_SHARED on a basis of too low a rank.",
        "only LAW, ADMINISTRATIVE_REGULATION or CENTRAL_POLICY can forbid sharing (Changsha 28)",
    ),
    "CAT306": ("Conditions beside a class that knows none.", "drop `share.conditions`, or make the class CONDITIONAL"),
    "CAT307": ("Classified data is in the catalogue.", "take it out: classified data never enters (Hunan ch. 1)"),
    "CAT308": ("A department's code is no unified social credit code.", "correct the code (GB 32100)"),
    "CAT309": ("A contact holds a person's number.", "name an office"),
    "CAT401": ("A format is unknown for the type.", "use a format of that type"),
    "CAT402": ("`codes` is missing on a Code item, or `codes` or `values` stands on another.", "see `type: Code`"),
    "CAT403": ("A source is half given.", "give entity, key, source and items, or none of them"),
    "CAT404": ("A department with sources has no connection.", "give `department.connection`"),
    "CAT405": (
        "A table or column is no plain identifier.",
        "use letters, digits, underscores and Chinese characters, 63 bytes at most",
    ),
    "CAT406": ("A mask is set on a type that cannot be masked.", "mask texts and identifiers only"),
    "CAT407": (
        "`holds` is set on a type other than String.",
        "leave it out: an identity number is known by its type, and other types hold nothing to be masked",
    ),
    "CAT408": (
        "A condition on records asks for what they do not have.",
        "OWN_REGION needs `region`, ADULTS an entity identified by a CitizenIdNumber",
    ),
    "CAT409": (
        "A region is no division code as GB/T 2260 writes it.",
        "name a String item of the format `text`",
    ),
    "CAT410": ("A search or a region is given to a resource without a source.", "give the source, or drop it"),
    "CAT411": (
        "A search names an item that the source cannot be searched or ordered by exactly.",
        "see the table of formats in docs/catalogue-format.md",
    ),
    "CAT412": (
        "The identity of a search does not identify one record.",
        "to-one: the key alone; to-many: what tells the records of one key apart",
    ),
    "CAT413": (
        "An item and the one that is authoritative for it do not fit.",
        "name an item of the same entity and type that names no further one",
    ),
    "CAT421": ("A source names both a table and a service.", "keep `table` or `http`"),
    "CAT422": (
        "A place in an answer is malformed.",
        "write names and indexes, as in `data.items[*]` or `names[0].text`",
    ),
    "CAT423": ("A request to a service is malformed.", "see the section on services in docs/catalogue-format.md"),
    "CAT424": ("The paging of a service is half given.", "see the section on services in docs/catalogue-format.md"),
    "CAT425": (
        "A service cannot be asked by an item that records are looked up by.",
        "give its request under `by`: the key and each relation with an inverse need one",
    ),
    "CAT426": (
        "A resource that is asked over HTTP has a search or a condition on its records.",
        "drop it: a service is asked by keys alone",
    ),
    "CAT502": ("An overlay that is asked for does not exist.", "correct the name, or add overlays/<name>.yaml"),
    "CAT503": ("An overlay widens a share class.", "an overlay only narrows"),
    "CAT504": ("An overlay's line does not state its conflict.", "name the rule that the line contradicts"),
    "CAT505": ("An overlay leaves an item without any purpose.", "keep a purpose, or make the class NOT_SHARED"),
    "CAT506": ("An overlay's line changes nothing.", "give share, purposes or masks"),
    "CAT507": ("An overlay replaces a mask by another kind.", "keep the mask that is there"),
    "CAT601": ("A service item knows no applicant.", "add APPLICANT to `service.subjects`"),
    "CAT602": ("A material's purpose is not one of its service item's.", "add it to `service.purposes`"),
    "CAT603": ("A service item is unknown.", "name a service item by its code"),
    "CAT604": (
        "A scenario's purpose is not one of its items' or of its service items'.",
        "keep the purposes that each item and one of the service items have",
    ),
    "CAT605": ("A scenario's mode is not one of its resources'.", "keep the modes that each resource has"),
    "CAT606": (
        "A scenario names an item that is not shared.",
        "take it out: an exception is made by a grant alone (Hunan ch. 3)",
    ),
    "CAT607": (
        "A material's purpose is not one of its item's.",
        "give the material a purpose that each of its items may be used for",
    ),
}
"""Code -> meaning, hint."""

REFERENCES = frozenset({"CAT203", "CAT204", "CAT205", "CAT206", "CAT207", "CAT208", "CAT209", "CAT502", "CAT603"})
"""Problems of something that is not found."""

MAX_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: stable code, where, what, and what to do."""

    code: str
    place: Place
    message: str
    hint: str

    def __str__(self) -> str:
        return f"{self.code} {self.place} {self.message} - {self.hint}"


class CatalogueError(Exception):
    """The catalogue is not loaded; `problems` says why, sorted by place."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def shown(text: str) -> str:
    """`text` as a message may show it: short, on one line, nothing invisible."""
    short = text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
    return "`" + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in short) + "`"


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """A hint that names the nearest option, or nothing."""
    near = difflib.get_close_matches(word[:MAX_SHOWN], list(options), 1)
    return f"did you mean `{near[0]}`?" if near else ""


@dataclass(slots=True)
class Findings:
    """What was found so far, and which keys were written where.

    A key with a problem is not `sound`: later rules leave it alone, so that one fault gives one problem.
    """

    _problems: set[Problem] = field(default_factory=set)
    _faulty: set[tuple[Place, str]] = field(default_factory=set)
    _lines: dict[tuple[Place, str], Place] = field(default_factory=dict)
    unread: bool = False
    """True once a file was given up: then nothing counts as unknown, it may stand there."""

    def note(self, code: str, place: Place, message: str, hint: str = "") -> None:
        """Keep a problem; without a hint, the code's own."""
        self._problems.add(Problem(code, place, message, hint or MEANINGS[code][1]))

    def mark(self, place: Place, key: str) -> None:
        """The value of `key` in the object at `place` is a stand-in."""
        self._faulty.add((place, key))

    def write(self, place: Place, key: str, line: Place) -> None:
        """`key` of the object at `place` is written at `line`."""
        self._lines[place, key] = line

    def sound(self, place: Place, *keys: str) -> bool:
        """True if none of the keys is a stand-in."""
        return not any((place, key) in self._faulty for key in keys)

    def written(self, place: Place, key: str) -> bool:
        """True if the object at `place` writes `key` itself."""
        return (place, key) in self._lines

    def where(self, place: Place, key: str) -> Place:
        """The line of `key` in the object at `place`, else the object's own."""
        return self._lines.get((place, key), place)

    def problems(self) -> tuple[Problem, ...]:
        """All problems by place, then code."""
        known = [problem for problem in self._problems if not (self.unread and problem.code in REFERENCES)]
        return tuple(sorted(known, key=lambda p: (p.place.file, p.place.line, p.code, p.message)))


def problems_page() -> str:
    """The table of all codes, in Markdown."""
    rows = [f"| {code} | {meaning} | {hint[0].upper() + hint[1:]}. |" for code, (meaning, hint) in MEANINGS.items()]
    head = [
        "# Problems of a catalogue",
        "",
        "`onesource check` prints one line a problem: code, file and line, what is wrong, what to do. A catalogue with",
        "one problem is not loaded. Codes are stable, never reused. The table is `MEANINGS` in `schema/problems.py`.",
        "",
        "| code | meaning | what to do |",
        "|---|---|---|",
    ]
    return "\n".join([*head, *rows]) + "\n"
