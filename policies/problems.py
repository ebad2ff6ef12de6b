"""What can be wrong with rules: each problem with a stable code and what to do about it.

Codes are never reused. `docs/policy-problems.md` is this table in print (`problems_page`).
"""

from __future__ import annotations

from policies.rule_file import COLUMNS

MEANINGS: dict[str, tuple[str, str]] = {
    "POL101": ("An effect, or a word of a basis row, is none of the admissible ones.", "write `allow` or `deny`"),
    "POL102": ("A rule id is empty or padded with blanks.", "remove the blanks"),
    "POL103": ("A rule has no article or no reason.", "say article and reason, in English and Chinese, of each rule"),
    "POL104": (
        "A role, subject, act, channel or purpose is unknown.",
        "use one of the words that the message names, or `any`",
    ),
    "POL105": (
        "A time is none in UTC to the second, or a rule ends before it begins.",
        "write 2026-01-31T00:00:00Z, and an end after the beginning",
    ),
    "POL106": ("A rule has expired.", "take it out, or prolong it"),
    "POL107": (
        "A denial depends on a role link.",
        "use the role `any`, or one that people hold: `clerk`, `developer`, `officer`, `auditor`",
    ),
    "POL108": ("There are no rules at all.", "load a catalogue with service items"),
    "POL109": ("A department is unknown.", "see docs/catalogue.md for the names, or use `any`"),
    "POL110": (
        "An object is unknown.",
        "name an item `Resource.item`, a resource, `class/<share class>` or `provider/<department>` of the catalogue",
    ),
    "POL111": ("A basis is unknown.", "use `any`, `SERVICE/<code>` or `SCENARIO/<name>` of the catalogue"),
    "POL112": ("The same use is allowed and denied at the same time.", "keep one of them, or part their times"),
    "POL113": ("Roles are linked too deeply, or in a circle.", "link roles in one direction, and not so deep"),
    "POL114": (
        "A basis row stands beside the catalogue's.",
        "state needs in the catalogue's service items and scenarios",
    ),
    "POL115": ("A rule id is in force elsewhere.", "give the rule another id"),
    "POL116": ("A rule file cannot be read.", "give a CSV file in UTF-8, named as in `local-rules.csv`, below 64 MiB"),
    "POL117": ("The header or a line of a rule file is not as it must be.", "see the columns above"),
    "POL118": (
        "A rule file is half written, or has no rows.",
        "write the whole file, its last line `end,<number of rows>`",
    ),
    "POL119": ("A rule id is not of its file.", "begin it with `RULE/<the file's name without .csv>/`"),
    "POL120": ("The rows of one rule say different articles or reasons.", "say it alike in each row of the rule"),
    "POL121": ("A row repeats another.", "keep one of them"),
    "POL122": (
        "A row allows what is shared on condition or not at all.",
        "apply for a grant, or state a scenario (Changsha 29, Shuangliao 24)",
    ),
}
"""Code -> meaning, hint."""


def problems_page() -> str:
    """The table of all codes, in Markdown, with the format of a rule file."""
    rows = [f"| {code} | {meaning} | {hint[0].upper() + hint[1:]}. |" for code, (meaning, hint) in MEANINGS.items()]
    head = [
        "# Problems of rules",
        "",
        "`onesource policy check FILE` prints one line a problem: code, what is wrong, what to do, file and line. A file with",
        "one problem is not loaded, and what is in force stays in force. Codes are stable, never reused. The table is",
        "`MEANINGS` in `policies/problems.py`.",
        "",
        "A rule file is CSV in UTF-8: this header, one row a line, and `end,<number of rows>` as the last line.",
        "",
        "```text",
        ",".join(COLUMNS),
        "```",
        "",
        "A deny goes before every allow. `any` stands for every department, role, subject, act, channel, purpose or basis.",
        "Rules hold from `nbf` until before `exp`, in UTC; `0001-01-01T00:00:00Z` and `9999-12-31T23:59:59Z` are always.",
        "",
        "| code | meaning | what to do |",
        "|---|---|---|",
    ]
    return "\n".join([*head, *rows]) + "\n"
