"""Which column is the label, and which of its values are 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data.errors import InputError, nearest
from data.inference.names import LABELS, RATINGS, holds
from data.inference.profile import Profile

_POSITIVE = {"1", "yes", "y", "true", "t", "positive", "pos", "click", "clicked", ">50k", "good"}
_FEW = 20  # values of a rating


def find_label(profiles: Mapping[str, Profile], wanted: str | None, has_names: bool) -> Profile:
    """Returns the column of the label.

    Args:
        profiles: The columns.
        wanted: Its name, where people gave it.
        has_names: Whether the names of the columns mean anything.

    Raises:
        InputError: No such column, or none that seems to be one; says which could be.
    """
    if wanted is not None:
        if wanted not in profiles:
            raise InputError(
                "--label must name a column of the file",
                received=repr(wanted),
                action=nearest(wanted, profiles),
            )
        return profiles[wanted]
    whole = [p for p in profiles.values() if p.present == p.rows and not p.is_list]
    pairs = [p for p in whole if p.distinct == 2]
    ratings = [p for p in whole if p.is_number and p.distinct > 2]
    bits = [p for p in pairs if set(p.counts["text"]) <= {"0", "1", "0.0", "1.0"}]
    ends = (next(iter(profiles)), list(profiles)[-1]) if profiles else ()
    likely = [
        *([p for p in pairs if holds(p.name, LABELS) == strength] for strength in (2, 1)),
        *([p for p in ratings if holds(p.name, RATINGS) == strength] for strength in (2, 1)),
        *([bits] if has_names else ([p for p in of if p.name in ends] for of in (bits, pairs))),
    ]
    for found in likely:
        if len(found) == 1:
            return found[0]
    raise InputError(
        "A column must be the label, which models learn to predict",
        received="several that could be it" if any(likely) else "none that looks like one",
        action="Name it: --label=COLUMN, or pass --interactions where there is none. Columns with "
        "two values and none missing: " + (", ".join(repr(p.name) for p in pairs) or "none"),
    )


def label_options(label: Profile) -> tuple[dict[str, Any], str]:
    """Returns the keys of a label's feature, and why they are so.

    Raises:
        InputError: Values of which no label can be made.
    """
    texts = label.counts["text"].to_list()
    different = len({float(t) for t in texts}) if label.is_number else label.distinct
    if label.is_list or different < 2 or (different > 2 and not label.is_number):
        raise InputError(
            "A label must have two values, or be a number",
            received=f"{label.distinct:,} values, such as {', '.join(map(repr, texts[:3]))}",
            where=f"column '{label.name}'",
            action="Name another column: --label=COLUMN",
        )
    if set(texts) <= {"0", "1", "0.0", "1.0"}:
        return {}, "0 and 1"
    if label.distinct > 2:
        threshold = _threshold(sorted({float(text) for text in texts}))
        return {"above": threshold}, (
            f"{label.distinct:,} numbers: 1 above {threshold:g}, 0 below, dropped if just that: "
            "choose"
        )
    positive = _positive(label, texts)
    (negative,) = [text for text in texts if text != positive]
    share = label.counts.filter(label.counts["text"] == positive)["rows"][0] / label.present
    why = f"two values; {positive!r} ({share:.1%}) is taken for the 1: check"
    return {"positive": [positive], "negative": [negative]}, why


def _threshold(values: list[float]) -> float:
    """Returns the middle one of a few ratings, else the middle between the middle two."""
    half = len(values) // 2
    if len(values) % 2 and len(values) <= _FEW:
        return values[half]
    return (values[half - 1] + values[half]) / 2


def _positive(label: Profile, texts: list[str]) -> str:
    """Returns the larger number, or the text that says yes, or else the rarer one."""
    if label.is_number:
        return max(texts, key=float)
    known = [text for text in texts if text.lower() in _POSITIVE]
    return known[0] if len(known) == 1 else label.counts.sort("rows", "text")["text"][0]
