"""Share classes as they are written: `share`, `purposes` and `masks` of resources, items and overlay lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

from schema.catalogue import BasisRank, Item, ItemType, MaskKind, MaskRule, Place, Purpose, Share, ShareClass
from schema.fields import Fields
from schema.problems import Findings, did_you_mean, shown

STRICTNESS = {share_class: order for order, share_class in enumerate(ShareClass)}
FORBIDDING_RANKS = frozenset({BasisRank.LAW, BasisRank.ADMINISTRATIVE_REGULATION, BasisRank.CENTRAL_POLICY})
"""What can forbid sharing (Changsha 28, Xianning 11)."""

MASKABLE = frozenset(
    {
        ItemType.STRING,
        ItemType.ID_NUMBER,
        ItemType.CREDIT_CODE,
        ItemType.UNIT_NUMBER,
        ItemType.COMPONENT_CODE,
    }
)
"""A mask writes a text: a masked date, number, code or image would be no value of its type."""


@dataclass(frozen=True, slots=True)
class WrittenShare:
    """`share` as it is written; None where a key is absent."""

    share_class: ShareClass | None = None
    basis: str | None = None
    rank: BasisRank | None = None
    conditions: str | None = None

    def over(self, base: WrittenShare) -> WrittenShare:
        """This share merged over `base`, key by key."""
        given = {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}
        return replace(base, **given)

    def effective(self, fallback: ShareClass = ShareClass.NOT_SHARED) -> Share:
        """The share that holds; conditions belong to CONDITIONAL only, so a merged rest of them is dropped."""
        share_class = self.share_class or fallback
        conditions = self.conditions if share_class is ShareClass.CONDITIONAL else None
        return Share(share_class, self.basis or "", self.rank, conditions or "")


def read_share(holder: Fields) -> WrittenShare:
    """The share under `share`; naming a class obliges to name its basis, for whoever overrides another."""
    written = holder.fields("share", required=False)
    if written is None:
        return WrittenShare()
    share = WrittenShare(
        written.choice("class", ShareClass, ShareClass.NOT_SHARED) if written.has("class") else None,
        written.optional("basis"),
        written.choice("rank", BasisRank, BasisRank.LAW) if written.has("rank") else None,
        written.text("conditions", prose=True) if written.has("conditions") else None,
    )
    if share.conditions and share.share_class not in (None, ShareClass.CONDITIONAL):
        written.fault("conditions", "CAT306", f"conditions beside {share.share_class}")
    written.done()
    return share


def read_masks(holder: Fields) -> Mapping[Purpose, MaskKind]:
    """The masks under `masks`, by purpose."""
    written = holder.fields("masks", required=False)
    if written is None:
        return {}
    purposes = [purpose.value for purpose in Purpose]
    return {
        Purpose(key): written.choice(key, MaskKind, MaskKind.NAME)
        for key in written.own_keys()
        if _is_purpose(written, key, purposes)
    }


def read_mask_rule(fields: Fields) -> MaskRule:
    """A line of `standards/masks.yaml`."""
    rule = MaskRule(
        purpose=fields.choice("purpose", Purpose, Purpose.WORK_REFERENCE),
        grade=fields.number("grade", 1, 4),
        holds=fields.choices("holds", MaskKind),
        basis=fields.text("basis"),
        place=fields.place,
    )
    fields.done()
    return rule


def check_mask_rules(rules: Sequence[MaskRule], findings: Findings) -> None:
    """What an item holds is masked for a purpose from one grade on, not from two."""
    first: dict[tuple[Purpose, MaskKind], Place] = {}
    for rule in rules:
        if not findings.sound(rule.place, "purpose", "holds"):
            continue
        for kind in sorted(rule.holds):
            line = first.setdefault((rule.purpose, kind), rule.place)
            if line != rule.place:
                message = f"the mask of {kind} for {rule.purpose} is given by {line}"
                findings.note("CAT212", findings.where(rule.place, "holds"), message)


def with_masks(item: Item, rules: Sequence[MaskRule]) -> Item:
    """The item with the masks that its grade asks for; a mask of its own, or of an overlay, stays as it is."""
    if item.holds is None:
        return item
    asked = {rule.purpose: item.holds for rule in rules if item.grade >= rule.grade and item.holds in rule.holds}
    return replace(item, masks={**asked, **item.masks})


def _is_purpose(written: Fields, key: str, purposes: list[str]) -> bool:
    if key in purposes:
        return True
    hint = did_you_mean(key, purposes) or "use one of " + ", ".join(purposes)
    written.fault(key, "CAT104", f"unknown purpose {shown(key)}", hint)
    return False


def check_share(place: Place, label: str, share: Share, findings: Findings) -> None:
    """What the regulations ask for beside a class: basis and rank, conditions, a rank high enough."""
    line = findings.where(place, "share")
    if share.share_class is ShareClass.UNCONDITIONAL or not findings.sound(place, "share"):
        return
    if not share.basis:
        findings.note("CAT302", line, f"{share.share_class} without a legal basis in {label}")
    if share.rank is None:
        findings.note("CAT303", line, f"{share.share_class} without the rank of its basis in {label}")
    elif share.share_class is ShareClass.NOT_SHARED and share.rank not in FORBIDDING_RANKS:
        findings.note("CAT305", line, f"NOT_SHARED on the rank {share.rank} in {label}")
    if share.share_class is ShareClass.CONDITIONAL and not share.conditions:
        findings.note("CAT304", line, f"CONDITIONAL without conditions in {label}")


def strictest(shares: Iterable[Share]) -> ShareClass:
    """The strictest class among `shares`, NOT_SHARED among none."""
    return max((share.share_class for share in shares), key=STRICTNESS.__getitem__, default=ShareClass.NOT_SHARED)
