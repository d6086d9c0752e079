"""A feature spec for a table, proposed from its first rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from data.attributes import RESERVED_NAMES
from data.engine.source_files import SourceFile, find_files
from data.feature import Kind
from data.inference.features import Choice, choose_features, choose_interactions
from data.inference.label import find_label
from data.inference.names import identifier
from data.inference.profile import Profile, make_profiles
from data.inference.sample import Sample, read_sample
from data.inference.spec_text import block_lines, comment, feature_lines, scalar, source_lines
from data.inference.split import choose_split, splits_column

_SINGLE = (Kind.LABEL, Kind.USER, Kind.ITEM, Kind.TIME)
_WHYS = {
    "separator": "between the fields, as most lines have equally many",
    "quote": "the double quotes in it do not go around fields, so they mean nothing",
    "header": "the first line seems to hold values",
    "encoding": "it is not UTF-8; of 8 bits, latin-1 is a guess: perhaps cp1252",
    "strip": "some values have blanks around them, which are taken off",
    "comment": "above the data",
}


def propose_spec(
    source: str,
    label: str | None,
    rows: int,
    interactions: bool = False,
    keys: Mapping[Kind, str] | None = None,
) -> str:
    """Returns a feature spec as YAML with comments.

    Args:
        source: A file, a folder or a pattern; the first file is read.
        label: Column of the label; None to guess.
        rows: Rows to read.
        interactions: Whether the rows are interactions, which have no label.
        keys: Columns of the user, the item and the time; guessed where they are left out.

    Raises:
        InputError: No file, one that cannot be read, or no label, or no user and item, to be
            found in it.
    """
    files = find_files(source)
    sample = read_sample(files[0], rows)
    profiles, missing = make_profiles(sample.columns)
    has_names = not sample.source.columns
    found = None if interactions else find_label(profiles, label, has_names)
    named = splits_column(profiles, found)
    features = {name: profile for name, profile in profiles.items() if name != named}
    keys = keys or {}
    choices = (
        choose_features(features, found, keys) if found else choose_interactions(features, keys)
    )
    complete = sample.complete and len(files) == 1
    split, why_split = choose_split(profiles, choices, found, complete)
    shown = ", ".join(map(repr, missing))
    whys = {**_WHYS, "missing": f"seen in place of a value, as nothing is: {shown}"}
    lines = [
        *_head(source, files, sample),
        f"name: {scalar(identifier(files[0].path.name.partition('.')[0], set()))}",
        *source_lines(replace(sample.source, missing=tuple(missing)), whys),
        *comment(why_split),
        *block_lines("split", split),
        *([] if found else _repeats(profiles, choices)),
        *feature_lines(_named(choices), _left_out(choices, sample)),
    ]
    return "\n".join(lines) + "\n"


def _repeats(profiles: dict[str, Profile], choices: list[Choice]) -> list[str]:
    """Returns what to do with items that users have twice, if there are any."""
    pair = [profiles[c.column].values for c in choices if c.kind in (Kind.USER, Kind.ITEM)]
    repeated = int(pl.DataFrame(pair).is_duplicated().sum())
    if not repeated:
        return []
    return [
        *comment(f"{repeated:,} rows hold an item that the same user has in another row"),
        *block_lines("interactions", {"duplicates": "keep_last"}),
    ]


def _head(source: str, files: list[SourceFile], sample: Sample) -> list[str]:
    first = f"{'all' if sample.complete else 'the first'} {sample.rows:,} rows of {files[0].name}"
    others = f"; {len(files) - 1:,} more files are there" if len(files) > 1 else ""
    return [
        *comment(f"Proposed by data.infer_spec from {first}{others}."),
        *comment("It is a guess: read it and correct it; docs/feature-spec.md explains every key."),
        f"#   python -m data.prepare --spec=THIS_FILE --source='{source}' --out=DATA",
    ]


def _named(choices: list[Choice]) -> list[tuple[str, dict[str, object], str]]:
    taken = {*RESERVED_NAMES, "weight", "mask", *(kind.value for kind in _SINGLE)}
    found = []
    for choice in choices:
        if choice.kind is None:
            continue
        if choice.kind in _SINGLE:
            name = choice.kind.value
        else:
            name = identifier(choice.column, taken)
            taken.add(name)
        column = {} if name == choice.column else {"column": choice.column}
        found.append((name, {"kind": choice.kind.value, **column, **choice.options}, choice.why))
    return found


def _left_out(choices: list[Choice], sample: Sample) -> list[tuple[str, str]]:
    chosen = [(choice.column, choice.why) for choice in choices if choice.kind is None]
    return [*chosen, *sample.unusable.items()]
