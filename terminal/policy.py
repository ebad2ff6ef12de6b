"""`onesource policy`: explain, export, compare and show the policy in force. Offline, from the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from policies.decision import Act
from policies.grants import DisabledKind
from schema.catalogue import Purpose, SubjectClass
from settings import FILE
from terminal import explain, matrix, policy_diff, policy_files
from terminal.offline import policy_of
from terminal.options import SettingsFile, catalogue_in, settings_of

policy_command = typer.Typer(
    no_args_is_help=True,
    help="The policy in force: why a field is shown or not, who may see what, and what a change would disclose. Offline, from the settings.",
)


@policy_command.command("explain")
def policy_explain(
    who: Annotated[str, typer.Option("--as", help="Who asks: role@department, such as clerk@DEPARTMENT.")],
    field: Annotated[
        str,
        typer.Option(
            help="`Resource.item`, or a path such as Person.ownedRealEstate.realEstateRegistration.usage: it tells whose data it is."
        ),
    ],
    purpose: Annotated[Purpose, typer.Option(help="What the data is used for.")] = Purpose.ADMINISTRATIVE_BASIS,
    service: Annotated[str, typer.Option(help="Under a case of this service item (code).")] = "",
    scenario: Annotated[str, typer.Option(help="Under this scenario (name).")] = "",
    subject: Annotated[SubjectClass | None, typer.Option(help="Whose record, seen from the case.")] = None,
    act: Annotated[Act, typer.Option(help="What is done with the item.")] = Act.READ,
    settings: SettingsFile = Path(FILE),
) -> None:
    """Tell the decision on one field: effect, rule, article, reason, obligations, what to do, and the rows that were looked at.

    Without --service and --scenario: for each service item and scenario of the department. In the tables ✓ is a dimension that
    matches, ✗ one that does not, with the row's own word; ▶ marks a row that matches in all of them.
    """
    loaded = settings_of(settings)
    catalogue = catalogue_in(loaded)
    identity = explain.asking(catalogue, who)
    proofs = explain.proofs_of(catalogue, identity.department, service, scenario)
    snapshot = policy_of(loaded, catalogue)
    explain.explain(snapshot, explain.Question(identity, field, purpose, proofs, subject, act))


@policy_command.command("export")
def policy_export(
    file: Annotated[Path, typer.Argument(help="Where to write it: JSON lines.")], settings: SettingsFile = Path(FILE)
) -> None:
    """Write the policy in force: its version, its catalogue, all rows with their texts. `policy diff` reads it."""
    loaded = settings_of(settings)
    policy_diff.export(policy_of(loaded, catalogue_in(loaded)), file)


@policy_command.command("diff")
def policy_compare(
    old: Annotated[Path, typer.Argument(exists=True, help="An exported policy, or a catalogue's folder.")],
    new: Annotated[Path, typer.Argument(exists=True, help="The same, after the change.")],
    operations: Annotated[
        Path, typer.Option(exists=True, file_okay=False, help="The folder of *.graphql files to replay.")
    ],
    json: Annotated[bool, typer.Option("--json", help="One JSON object, for machines.")] = False,
    settings: SettingsFile = Path(FILE),
) -> None:
    """List what a change of policy would newly disclose or refuse: operations are replayed for everybody who could ask.

    A mask or a condition on records that falls away discloses too. Exit code 1 if anything is newly disclosed, 0 otherwise.
    """
    policy_diff.diff(settings_of(settings), old, new, operations, json)


@policy_command.command("matrix")
def policy_matrix(
    file: Annotated[Path, typer.Option("-o", "--output", help="Where to write it.")] = Path("policy-matrix.html"),
    settings: SettingsFile = Path(FILE),
) -> None:
    """Write who may see what for which purpose as one HTML file: department by item by purpose, with filters and reasons.

    It opens in any browser, loads nothing from elsewhere, and holds no data of persons.
    """
    loaded = settings_of(settings)
    matrix.write_matrix(policy_of(loaded, catalogue_in(loaded)), file)


@policy_command.command("check")
def policy_check(
    file: Annotated[Path, typer.Argument(help="A rule file (CSV); docs/policy-problems.md has the format.")],
    settings: SettingsFile = Path(FILE),
) -> None:
    """Lint a rule file: each problem on one line with code, what, hint, file and line. Exit code 1 if there are any."""
    policy_files.check(catalogue_in(settings_of(settings)), file)


@policy_command.command("load")
def policy_load(
    file: Annotated[Path, typer.Argument(help="A rule file (CSV). It replaces the one of the same name.")],
    settings: SettingsFile = Path(FILE),
) -> None:
    """Put a rule file in force, in every running process within a second. With one problem nothing changes; exit code 1."""
    loaded = settings_of(settings)
    policy_files.load(loaded, catalogue_in(loaded), file)


@policy_command.command("unload")
def policy_unload(
    name: Annotated[str, typer.Argument(help="The rule file's name without .csv, as `policy files` lists it.")],
    settings: SettingsFile = Path(FILE),
) -> None:
    """Take a rule file out: in force at once in every process, and told to the supervising authority."""
    loaded = settings_of(settings)
    policy_files.unload(loaded, catalogue_in(loaded), name)


@policy_command.command("files")
def policy_list(settings: SettingsFile = Path(FILE)) -> None:
    """List the rule files in force."""
    policy_files.show(settings_of(settings))


@policy_command.command("enable")
def policy_enable(
    name: Annotated[str, typer.Argument(help="The claim's value: `sub`, `jti` or `client`.")],
    kind: Annotated[DisabledKind, typer.Option(help="What was disabled.")] = DisabledKind.PERSON,
    department: Annotated[str, typer.Option(help="The department that it was narrowed to.")] = "",
    settings: SettingsFile = Path(FILE),
) -> None:
    """Admit again who was disabled, offline: for when nobody can sign in to do it. `onesource enable` does it online, on record."""
    policy_files.admit(settings_of(settings), kind, name, department)
