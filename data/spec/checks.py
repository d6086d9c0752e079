"""Settings of a feature spec that must go together."""

from __future__ import annotations

from typing import Any

from data.attributes import RESERVED_NAMES
from data.errors import InputError, nearest
from data.feature import Kind
from data.spec.attribute_checks import check_attributes, check_interactions
from data.spec.reading_checks import check_source, check_split
from data.spec.shown import KEYS, setting_text
from data.spec.table_spec import ID_KINDS, MAX_IDS, FeatureSpec, TableSpec

_MASK = "mask"  # of the rows of a batch
# Kinds of which a table has one feature at most, called as the kind is.
_SINGLE = (Kind.USER, Kind.ITEM, Kind.TIME, Kind.LABEL, Kind.WEIGHT)
# By option: the kinds that heed it.
_HEEDED = {
    "missing": (Kind.NUMERIC,),
    "transforms": (Kind.NUMERIC,),
    "buckets": (Kind.NUMERIC,),
    "boundaries": (Kind.NUMERIC,),
    "min_count": ID_KINDS,
    "top": ID_KINDS,
    "hash_buckets": (Kind.CATEGORICAL, Kind.MULTI_HOT),
    "vocabulary": (Kind.CATEGORICAL, Kind.MULTI_HOT),
    "type": (Kind.USER, Kind.ITEM, Kind.CATEGORICAL, Kind.TIME),
    "separator": (Kind.MULTI_HOT,),
    "positive": (Kind.LABEL,),
    "negative": (Kind.LABEL,),
    "above": (Kind.LABEL,),
}


def check_spec(spec: TableSpec, where: object) -> None:
    """Checks a spec.

    Raises:
        InputError: What does not go together, and where.
    """
    for kind in _SINGLE:
        found = spec.of_kind(kind)
        if found and [feature.name for feature in found] != [kind.value]:
            raise InputError(
                f"The feature of kind {kind.value} must be called '{kind.value}', and there be one",
                received=", ".join(feature.name for feature in found),
                where=f"{where}, features",
                action=f"Write `{kind.value}: {{kind: {kind.value}, column: {found[0].column}}}`",
            )
    if spec.of_kind(Kind.TEXT):
        raise InputError(
            "A feature of kind text must be in a table of users or items: models do not read it",
            received=spec.of_kind(Kind.TEXT)[0].name,
            where=f"{where}, features",
        )
    if spec.holds_interactions:
        check_interactions(spec, where)
    for feature in spec.features:
        _check_name(feature, f"{where}, features.{feature.name}")
        _check_feature(feature, f"{where}, features.{feature.name}")
    _check_columns(spec, where)
    _check_crosses(spec, where)
    _check_vocabularies(spec, where)
    check_source(spec.source, f"{where}, source")
    check_split(spec, f"{where}, split")
    for table, key in ((spec.users, Kind.USER), (spec.items, Kind.ITEM)):
        if table:
            check_attributes(table, key, f"{where}, {key.value}s")


def _check_name(feature: FeatureSpec, where: str) -> None:
    singles = {kind.value for kind in _SINGLE if kind is not feature.kind}
    reserved = {*RESERVED_NAMES, _MASK, *singles} - {feature.kind.value}
    if feature.name in reserved or not feature.name.isidentifier():
        raise InputError(
            "The name of a feature must be of letters, digits and _, and not reserved",
            received=repr(feature.name),
            where=where,
            action=f"Give it another name, and `column: {feature.column}`",
        )


def _check_columns(spec: TableSpec, where: object) -> None:
    owners: dict[str, str] = {}
    for feature in spec.features:
        other = owners.setdefault(feature.column, feature.name)
        if other != feature.name:
            raise InputError(
                "A column must be one feature's",
                received=f"{feature.column!r}, which is {other}'s and {feature.name}'s",
                where=f"{where}, features.{feature.name}",
                action="Drop one of them, or write the column twice into the source",
            )


def _check_feature(feature: FeatureSpec, where: str) -> None:
    fresh = FeatureSpec(feature.name, feature.kind, feature.column)
    for option, kinds in _HEEDED.items():
        if getattr(feature, option) != getattr(fresh, option) and feature.kind not in kinds:
            raise InputError(
                f"A feature of kind {feature.kind.value} must not have "
                f"`{KEYS.get(option, option)}`",
                received=setting_text(getattr(feature, option)),
                where=where,
                action=f"It goes with {', '.join(kind.value for kind in kinds)}",
            )
    _require(feature.buckets != 1, "bucketise must be at least 2", feature.buckets, where)
    _require(
        not (feature.buckets and feature.boundaries),
        "A number must have either bucketise or boundaries",
        "both",
        where,
    )
    ascending = list(feature.boundaries) == sorted(set(feature.boundaries))
    _require(ascending, "boundaries must ascend", feature.boundaries, where)
    hashed = feature.hash_buckets
    _require(hashed <= MAX_IDS, f"hash must be at most {MAX_IDS:,}", hashed, where)
    _require(
        not hashed or (feature.min_count == 1 and not feature.top and not feature.vocabulary),
        "A hashed feature has no vocabulary, so no min_count, top or vocabulary",
        f"hash: {hashed}",
        where,
    )
    _require(feature.min_count >= 1, "min_count must be at least 1", feature.min_count, where)
    _require(
        len(feature.separator) == 1, "separator must be one character", feature.separator, where
    )
    both = bool(feature.positive) and feature.above is not None
    _require(not both, "A label must have either positive or above", "both", where)
    _require(
        bool(feature.positive) or not feature.negative,
        "negative goes with positive",
        feature.negative,
        where,
    )
    common = set(feature.positive) & set(feature.negative)
    _require(not common, "A text must be positive or negative", common, where)


def _check_crosses(spec: TableSpec, where: object) -> None:
    names = {feature.name for feature in spec.features}
    buckets = {f"{f.name}_bucket" for f in spec.features if f.buckets or f.boundaries}
    taken = names & buckets
    _require(not taken, "A feature must not be called as a number's buckets", taken, f"{where}")
    known = {feature.name for feature in spec.of_kind(*ID_KINDS)} | buckets
    for cross in spec.crosses:
        at = f"{where}, crosses.{cross.name}"
        free = cross.name not in names | buckets
        _require(free, "A cross must not be called as a feature", cross.name, at)
        _require(cross.buckets >= 2, "hash must be at least 2", cross.buckets, at)
        _require(cross.buckets <= MAX_IDS, f"hash must be at most {MAX_IDS:,}", cross.buckets, at)
        enough = len(set(cross.of)) == len(cross.of) >= 2
        _require(enough, "A cross must be of two or more different features", cross.of, at)
        for part in cross.of:
            if part not in known:
                raise InputError(
                    "A cross must be of categories, or of the buckets of numbers",
                    received=repr(part),
                    where=at,
                    action=nearest(part, known),
                )


def _check_vocabularies(spec: TableSpec, where: object) -> None:
    for name, features in spec.vocabularies().items():
        for option in ("min_count", "top", "type"):
            values = {getattr(feature, option) for feature in features}
            _require(
                len(values) == 1,
                f"Features that share a vocabulary must have the same `{option}`",
                ", ".join(feature.name for feature in features),
                f"{where}, vocabulary '{name}'",
            )


def _require(holds: bool, rule: str, received: Any, where: str) -> None:
    if not holds:
        shown = received if isinstance(received, str) else setting_text(received)
        raise InputError(rule, received=shown, where=where)
