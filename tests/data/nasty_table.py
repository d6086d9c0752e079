"""A table with all that makes tables nasty but is no mistake, and the spec that explains it."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from typing import Any

import numpy as np

NAMES = ["Zoë", "naïve", "日本", "a,b", 'say "hi"', " blank ", "NULL", "0x1F", "1e3", "🛒", ""]
TAGS = ["new", "sale", "Größe", "x;y", "  "]

FEATURES: dict[str, Any] = {
    "label": {"kind": "label", "column": "bought?", "positive": ["yes"], "negative": ["no"]},
    "weight": {"kind": "weight", "column": "w"},
    "user": {"kind": "user", "column": "customer", "type": "int64"},
    "item": {"kind": "item", "column": "product", "min_count": 2},
    "time": {"kind": "time", "column": "at"},
    "price": {
        "kind": "numeric",
        "missing": 1.5,
        "transforms": [{"clip": [0, 50]}, "log1p", "normalise"],
        "bucketise": 4,
    },
    "stock": {"kind": "numeric", "boundaries": [0, 10]},
    "colour": {"kind": "categorical", "vocabulary": "colours", "top": 5},
    "lining": {"kind": "categorical", "vocabulary": "colours", "top": 5},
    "session": {"kind": "categorical", "hash": 50},
    "tags": {"kind": "multi_hot", "separator": "|"},
    "words": {"kind": "multi_hot", "separator": " ", "hash": 30},
}
SPEC: dict[str, Any] = {
    "name": "nasty",
    "source": {"missing": ["", "NULL"]},
    "split": {"method": "hash", "of": ["customer"], "validation": 0.2, "test": 0.2},
    "features": FEATURES,
    "crosses": {"colour_price": {"of": ["colour", "price_bucket"], "hash": 100}},
}


def rows(count: int, seed: int = 0) -> list[dict[str, str]]:
    """Returns rows of texts by column; the columns `ignored` hold line breaks and quotes."""
    rng = np.random.default_rng(seed)

    def one(number: int) -> dict[str, str]:
        some = rng.integers(0, 2, len(TAGS)).astype(bool)
        return {
            "ignored": f'line one\nline "two" of {number}',
            "customer": str(int(rng.integers(-3, 40)) * 10**15),
            "product": f"p{rng.zipf(1.5) % 60}",
            "bought?": "yes" if rng.random() < 0.4 else "no",
            "w": f"{rng.exponential():.3f}",
            "at": f"2026-01-{rng.integers(1, 29):02d} 10:{rng.integers(0, 60):02d}",
            "price": "" if rng.random() < 0.2 else f"{rng.normal(20, 30):.2f}",
            "stock": str(rng.integers(-5, 30)),
            "colour": NAMES[rng.integers(0, len(NAMES))],
            "lining": NAMES[rng.integers(0, len(NAMES))],
            "session": f"s-{rng.integers(0, 10**9)}",
            "tags": "|".join(np.array(TAGS)[some]),
            "words": " ".join(f"w{n}" for n in rng.integers(0, 99, rng.integers(0, 4))),
            "another": "",
        }

    return [one(number) for number in range(count)]


def write(path: Path, table: list[dict[str, str]], columns: list[str] | None = None) -> Path:
    """Writes rows as CSV, packed where the name ends in .gz."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns or list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    return path
