"""Settings of tables of users and items, and of rows without a label, that must go together."""

from __future__ import annotations

from data.attributes import RESERVED_NAMES
from data.errors import InputError
from data.feature import Kind
from data.spec.reading_checks import check_source
from data.spec.shown import KEYS, setting_text
from data.spec.table_spec import FeatureSpec, TableSpec

ATTRIBUTE_KINDS = (Kind.CATEGORICAL, Kind.NUMERIC, Kind.MULTI_HOT, Kind.TEXT)
_INTERACTION_KINDS = (Kind.USER, Kind.ITEM, Kind.TIME)
# By option of a feature: the kinds of attributes that heed it; no other option is heeded.
_HEEDED = {"type": (Kind.CATEGORICAL,), "separator": (Kind.MULTI_HOT,)}
_ALWAYS = ("name", "kind", "column")


def check_interactions(spec: TableSpec, where: object) -> None:
    """Checks the features of rows without a label.

    Raises:
        InputError: No user or item, or a feature that rankings have no use for.
    """
    others = [f.name for f in spec.features if f.kind not in _INTERACTION_KINDS]
    missing = [k.value for k in (Kind.USER, Kind.ITEM) if not spec.of_kind(k)]
    if others or missing:
        raise InputError(
            "Features must be a label, or else the user, the item and the time of interactions",
            received=f"no label, {'but ' + ', '.join(others) if others else 'no ' + missing[0]}",
            where=f"{where}, features",
            action="Name the column of labels, `label: {kind: label, column: clicked}`; what is "
            "known of users and items stands in tables of their own, `users` and `items`",
        )


def check_attributes(spec: TableSpec, key: Kind, where: str) -> None:
    """Checks a table of users or items.

    Args:
        spec: The table; its first feature is the id.
        key: Whose table.
        where: Its place, for messages.

    Raises:
        InputError: What does not go together.
    """
    check_source(spec.source, f"{where}.source")
    for feature in spec.features[1:]:
        at = f"{where}.features.{feature.name}"
        if feature.kind not in ATTRIBUTE_KINDS:
            raise InputError(
                f"An attribute must be of kind {', '.join(k.value for k in ATTRIBUTE_KINDS)}",
                received=feature.kind.value,
                where=at,
            )
        if feature.name in RESERVED_NAMES or not feature.name.isidentifier():
            raise InputError(
                "The name of an attribute must be of letters, digits and _, and not reserved",
                received=repr(feature.name),
                where=at,
                action=f"Give it another name, and `column: {feature.column}`",
            )
        _check_options(feature, at)
    if not spec.features[1:]:
        raise InputError(
            f"A table of {key.value}s must have features beside the id",
            received="none",
            where=where,
        )


def _check_options(feature: FeatureSpec, where: str) -> None:
    fresh = vars(FeatureSpec(feature.name, feature.kind, feature.column))
    for option, value in vars(feature).items():
        heeded = option in _ALWAYS or feature.kind in _HEEDED.get(option, ())
        if not heeded and value != fresh[option]:
            raise InputError(
                f"An attribute of kind {feature.kind.value} must not have "
                f"`{KEYS.get(option, option)}`",
                received=setting_text(value),
                where=where,
                action="Drop it: an attribute has column; type, if categorical; separator, if "
                "multi_hot",
            )
