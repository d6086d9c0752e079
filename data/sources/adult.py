"""UCI Adult (census income): does a person earn more than 50,000 dollars a year?

The source holds `adult.data` and `adult.test`, as the UCI repository gives them: fields apart by a
comma and a blank, `?` for a missing value; the test file opens with a remark, and its labels end in
a full stop. Test is the official one, validation a random share of `adult.data`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from data.click_table import LABEL, SPLIT, ClickTable
from data.shares import check_validation_share, rounded_share
from data.sources.delimited import read_delimited
from data.sources.files import SourceFiles
from data.sources.layout import NUMBER, Kind, Layout

DATA, TEST = "adult.data", "adult.test"
_MISSING = "?"
_LABELS = {"<=50K": 0.0, ">50K": 1.0}


@dataclass(frozen=True)
class AdultOptions:
    """Options of the source.

    Attributes:
        source: Folder or zip archive of the two files.
        validation_ratio: Share of `adult.data` for validation, rounded down.
        seed: Seed of the validation draw.
        max_bad_lines: Largest share of malformed lines of a file to skip.
    """

    source: Path
    validation_ratio: float = 0.1
    seed: int = 0
    max_bad_lines: float = 0.0


def load(options: AdultOptions) -> ClickTable:
    """Reads the two files.

    Raises:
        InputError: A file missing, malformed lines, or a share that is none.
    """
    check_validation_share(options.validation_ratio)
    files = SourceFiles(options.source)
    skipped: dict[str, int] = {}
    parts = []
    for name, content in ((DATA, files.read(DATA)), (TEST, files.read(TEST))):
        layout = Layout(_FIELDS, ",", header=content.startswith(b"|"))
        frame, count = read_delimited(content.rstrip(b"\r\n"), name, layout, options.max_bad_lines)
        skipped |= {name: count} if count else {}
        parts.append(frame)
    split = np.repeat(["train", "test"], [len(part) for part in parts]).astype(object)
    wanted = int(rounded_share(np.array(len(parts[0])), options.validation_ratio))
    drawn = np.random.default_rng(options.seed).permutation(len(parts[0]))[:wanted]
    split[drawn] = "validation"
    return ClickTable(
        name="adult",
        frame=pl.concat(parts).with_columns(pl.Series(SPLIT, split, dtype=pl.String)),
        files=files.sha256,
        skipped_lines=skipped,
        options={"validation_ratio": options.validation_ratio},
    )


def _known(texts: pl.Series) -> pl.Series:
    texts = texts.fill_null("").str.strip_chars()
    missing = texts == _MISSING
    return texts.set(missing, None) if missing.any() else texts


def _numbers(texts: pl.Series) -> pl.Series:
    known = _known(texts)
    values = NUMBER.convert(known.cast(pl.Float32, strict=False))
    if values.null_count() != known.null_count():
        raise ValueError("a text that is no number")
    return values


def _number(text: str) -> object:
    text = text.strip()
    return None if text == _MISSING else NUMBER.parse(text)


def _categories(texts: pl.Series) -> pl.Series:
    known = _known(texts)
    if (known == "").any():
        raise ValueError("an empty text")
    return known


def _category(text: str) -> str:
    if not text.strip():
        raise ValueError(text)
    return text


def _labels(texts: pl.Series) -> pl.Series:
    names = texts.str.strip_chars().str.strip_suffix(".")
    return names.replace_strict(_LABELS, default=None, return_dtype=pl.Float32)


def _label(text: str) -> float:
    name = text.strip().removesuffix(".")
    if name not in _LABELS:
        raise ValueError(text)
    return _LABELS[name]


_NUMBER = Kind("a finite number or ?", pl.String(), _numbers, _number, required=False)
_CATEGORY = Kind("a text that is not empty", pl.String(), _categories, _category, required=False)
_FIELDS: dict[str, Kind] = {
    "age": _NUMBER,
    "workclass": _CATEGORY,
    "fnlwgt": _NUMBER,
    "education": _CATEGORY,
    "education_num": _NUMBER,
    "marital_status": _CATEGORY,
    "occupation": _CATEGORY,
    "relationship": _CATEGORY,
    "race": _CATEGORY,
    "sex": _CATEGORY,
    "capital_gain": _NUMBER,
    "capital_loss": _NUMBER,
    "hours_per_week": _NUMBER,
    "native_country": _CATEGORY,
    LABEL: Kind("<=50K or >50K", pl.String(), _labels, _label),
}
