"""The datasets of the speed benchmarks: made once by our own commands, kept in a work folder."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from data.atomic import write_text
from data.schema import SCHEMA_FILE

NUMBERS = 13
CATEGORIES = 26


@dataclass(frozen=True)
class Clicks:
    """Clicks in the shape of Criteo's log, with hashed ids, so that tables are of a known size.

    Attributes:
        rows: Rows in all, of which a hundredth each is held out.
        buckets: Hash buckets of each category, beside the ids 0 and 1.
    """

    rows: int
    buckets: int

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"clicks-{self.rows}-{self.buckets}"

    def make(self, folder: Path) -> None:
        """Writes the prepared dataset into `folder`."""
        table = folder.with_suffix(".yaml")
        write_text(table, self._shape())
        source = folder.with_suffix(".parquet")
        run("data.synthesize", f"--table={table}", f"--rows={self.rows}", f"--out={source}")
        write_text(table, self._spec())
        run("data.prepare", f"--spec={table}", f"--source={source}", f"--out={folder}")
        for path in folder.parent.glob(f"{folder.name}.*"):
            path.unlink()

    def _shape(self) -> str:
        lines = ["name: clicks", "numeric:"]
        lines += [f"  I{n}: {{median: 10, spread: 1}}" for n in range(1, NUMBERS + 1)]
        lines += ["categorical:"]
        return "\n".join(lines + [f"  {n}: {{cardinality: {self.buckets}}}" for n in _names()])

    def _spec(self) -> str:
        lines = ["name: clicks", "split: {method: position, validation: 0.01, test: 0.01}"]
        lines += ["features:", "  label: {kind: label}"]
        lines += [
            f"  I{n}: {{kind: numeric, transforms: [log1p, normalise]}}"
            for n in range(1, NUMBERS + 1)
        ]
        categories = [f"  {n}: {{kind: categorical, hash: {self.buckets}}}" for n in _names()]
        return "\n".join(lines + categories)


@dataclass(frozen=True)
class Ratings:
    """A user's choices of items, whose last two are held out.

    Attributes:
        users: Users of the synthetic stand-in.
        items: Its items.
        ratings: Its events.
        dataset: The real data: a value of `--dataset`.
        source: Where it is; empty for the stand-in.
    """

    users: int
    items: int
    ratings: int
    dataset: str
    source: str = ""

    @property
    def name(self) -> str:
        """Name of its folder."""
        return self.dataset if self.source else f"ratings-{self.users}-{self.items}-{self.ratings}"

    def make(self, folder: Path) -> None:
        """Writes the prepared dataset into `folder`."""
        if self.source:
            what = [f"--dataset={self.dataset}", f"--source={self.source}"]
        else:
            what = ["--dataset=synthetic", f"--synthetic_users={self.users}"]
            what += [f"--synthetic_items={self.items}", f"--synthetic_ratings={self.ratings}"]
        run("data.prepare", *what, f"--out={folder}")


def datasets(movielens: str = "", gowalla: str = "") -> dict[str, Clicks | Ratings]:
    """Returns the datasets of the suites by name.

    Args:
        movielens: Folder of MovieLens-1M; empty for ratings of its size.
        gowalla: Folder of LightGCN's Gowalla; likewise.
    """
    return {
        # With the ids 0 and 1, 26 tables of 76,923 rows: 2 million in all; and ten times as many.
        "clicks": Clicks(1_000_000, 76_921),
        "clicks_large": Clicks(1_000_000, 769_228),
        "movielens_1m": Ratings(6_040, 3_706, 1_000_209, "movielens_1m", movielens),
        "gowalla": Ratings(29_858, 40_981, 1_027_370, "lightgcn", gowalla),
    }


def ready(dataset: Clicks | Ratings, work: Path) -> Path:
    """Returns the folder of a dataset, made if it is not there."""
    folder = work / "data" / dataset.name
    if not (folder / SCHEMA_FILE).is_file():
        print(f"Making {folder}", file=sys.stderr, flush=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        dataset.make(folder)
    return folder


def run(module: str, *arguments: str) -> str:
    """Runs one of our commands. Returns its standard output; ends the program if it fails."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout


def _names() -> list[str]:
    return [f"C{n}" for n in range(1, CATEGORIES + 1)]
