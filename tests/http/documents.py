"""Hostile documents, by what they try."""

from __future__ import annotations

from collections.abc import Callable

HEAD = "query($id: CitizenIdNumber!, $use: UseInput!)"


def person(selection: str) -> str:
    return f"{HEAD}{{person(idNumber:$id,use:$use){{{selection}}}}}"


def bomb(levels: int) -> str:
    """Fragments that each spread the next one twice: 2 ** levels fields once expanded."""
    links = (f"fragment f{i} on Person{{...f{i + 1} ...f{i + 1}}}" for i in range(levels))
    return " ".join((person("...f0"), *links, f"fragment f{levels} on Person{{householdRegistration{{name}}}}"))


def ring(size: int) -> str:
    """Fragments that all spread each other."""
    spreads = " ".join(f"...f{i}" for i in range(size))
    return " ".join((person("...f0"), *(f"fragment f{i} on Person{{{spreads}}}" for i in range(size))))


def chain(length: int) -> str:
    links = (f"fragment f{i} on Person{{...f{i + 1}}}" for i in range(length))
    return " ".join((person("...f0"), *links, f"fragment f{length} on Person{{__typename}}"))


def nested(opening: str, closing: str, times: int, inside: str = "") -> str:
    return opening * times + inside + closing * times


def numbered(pattern: str, times: int) -> str:
    return " ".join(pattern.format(i) for i in range(times))


# what must be refused; every document needs less than the body's limit
REFUSED: dict[str, Callable[[], str]] = {
    "deep relations": lambda: person(nested("organizations{organization{", "}}", 15, "__typename")),
    "braces, 4900 deep": lambda: nested("{a", "}", 4_900),
    "braces, never closed": lambda: "{" * 9_000,
    "inline fragments, 1000 deep": lambda: person(nested("...{", "}", 1_000, "__typename")),
    "fragment bomb 2^10": lambda: bomb(10),
    "fragment bomb 2^30": lambda: bomb(30),
    "fragment bomb 2^500": lambda: bomb(500),
    "fragment within itself": lambda: person("...f") + " fragment f on Person{...f}",
    "50 fragments, each in all": lambda: ring(50),
    "chain of 300 fragments": lambda: chain(300),
    "chain of 1200 fragments": lambda: chain(1_200),
    "1400 fragments, none used": lambda: "{__typename}" + numbered("fragment f{} on Query{{__typename}}", 1_400),
    "1400 operations": lambda: numbered("query q{}{{__typename}}", 1_400),
    "2100 fields": lambda: "{" + "__typename " * 2_100 + "}",
    "201 aliases": lambda: "{" + numbered("a{}:__typename", 201) + "}",
    "2100 aliases": lambda: "{" + numbered("a{}:__typename", 2_100) + "}",
    "660 aliased roots": lambda: HEAD + "{" + numbered("a{}:person(idNumber:$id,use:$use){{__typename}}", 660) + "}",
    "51 aliased roots": lambda: HEAD + "{" + numbered("a{}:person(idNumber:$id,use:$use){{__typename}}", 51) + "}",
    "11000 tokens": lambda: "{" + "a " * 11_000 + "}",
    "1000 times the same directive": lambda: person("__typename " + "@include(if:true) " * 1_000),
    "3000 unknown directives": lambda: person("__typename " + "@x " * 3_000),
    "3000 variables": lambda: "query(" + numbered("$a{}:Int", 3_000) + "){__typename}",
    "2400 times the same argument": lambda: HEAD + "{person(" + "idNumber:$id " * 2_400 + "use:$use){__typename}}",
    "list literal, 4000 deep": lambda: HEAD + "{persons(idNumbers:" + nested("[", "]", 4_000) + ",use:$use){__typename}}",
    "list literal, 100 deep": lambda: HEAD + "{persons(idNumbers:" + nested("[", "]", 100) + ",use:$use){__typename}}",
    "list literal, 9000 wide": lambda: HEAD + "{persons(idNumbers:[" + '"x" ' * 9_000 + "],use:$use){__typename}}",
    "object literal, 2000 deep": lambda: HEAD + "{person(idNumber:$id,use:" + nested("{a:", "}", 2_000, "1") + "){__typename}}",
    "object literal, 1000 times a key": lambda: HEAD + "{person(idNumber:$id,use:{" + "a:1 " * 1_000 + "}){__typename}}",
    "list type, 4000 deep": lambda: "query($a:" + nested("[", "]", 4_000, "Int") + "){__typename}",
    "name of 900 kB": lambda: "{" + "x" * 900_000 + "}",
    "integer of 900 kB": lambda: "{__typename @skip(if:" + "9" * 900_000 + ")}",
    "integer as identifier": lambda: HEAD + "{person(idNumber:" + "9" * 5_000 + ",use:$use){__typename}}",
    "float of 400 kB": lambda: "{__typename @skip(if:" + "9" * 400_000 + "e999999)}",
    "text of 900 kB": lambda: HEAD + '{person(idNumber:"' + "9" * 900_000 + '",use:$use){__typename}}',
    "text of 70,000 escapes": lambda: HEAD + '{person(idNumber:"' + "\\u0041" * 70_000 + '",use:$use){__typename}}',
    "block text": lambda: HEAD + '{person(idNumber:"""' + " a\n" * 200_000 + '""",use:$use){__typename}}',
    "introspection, 4 deep": lambda: "{__schema{types{" + nested("fields{type{", "}}", 4, "name") + "}}}",
    "introspection, 9 deep": lambda: "{__schema{types{" + nested("fields{type{", "}}", 9, "name") + "}}}",
    "subscription": lambda: "subscription{__typename}",
    "200,000 comments": lambda: "{__typename}" + "#x\n" * 200_000,
    "nothing but a comment": lambda: "#x",
    "NUL": lambda: "{__typename\0}",
}  # fmt: skip

# what is long but harmless
ANSWERED: dict[str, Callable[[], str]] = {
    "9000 comments": lambda: "{__typename}" + "#x\n" * 9_000,
    "one comment": lambda: "{__typename}#" + "x" * 900_000,
    "commas": lambda: "{__typename}" + "," * 900_000,
    "new lines": lambda: "{__typename}" + "\n" * 400_000,
    "200 aliases": lambda: "{" + numbered("a{}:__typename", 200) + "}",
    "introspection, 2 deep": lambda: "{__schema{types{" + nested("fields{type{", "}}", 2, "name") + "}}}",
}
