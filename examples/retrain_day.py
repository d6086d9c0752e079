"""Retrains month by month behind a running server: only what is not worse than before is served.

  python examples/retrain_day.py --source=ml-100k       # MovieLens-100K, by calendar month
  python examples/retrain_day.py                        # ratings of a synthetic world
  python examples/retrain_day.py --source=ml-100k --task=clicks

The first months train a model. With each month that follows: prepare, warm start from the run that
is served, train a few epochs, evaluate the run that is served on the same data and candidates,
export if no metric is worse by more than its tolerance. The server picks the new version up while
it is asked without pause. At last the same month is trained with an absurd learning rate.

`--task=ranking` predicts each user's last item; as a new event changes which is the last, the log
is prepared again each month, with vocabularies in another order. `--task=clicks` predicts ratings
above 3; rows are appended (`data.prepare --append`), but for the second month, which is prepared
again. Takes some minutes. docs/retrain.md explains each step.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import polars as pl
from absl import app, flags
from asking import Asking

from benchmarks.served import server
from configs.results import read_results, results_file
from configs.runs import read_config_file
from data.dataset import PreparedDataset
from data.renumbering import renumber_all
from data.sources import synthetic
from serving.versions import version_folders

_SOURCE = flags.DEFINE_string("source", None, "Folder of MovieLens-100K; none: synthetic ratings.")
_TASK = flags.DEFINE_enum("task", "ranking", ["ranking", "clicks"], "What is predicted.")
_MONTHS = flags.DEFINE_integer("months", 3, "Months to retrain on, the last ones.", 1, 6)
_WORK = flags.DEFINE_string("work", None, "Folder for everything; by default one that is removed.")

REFUSED = 4  # exit code of serving.export
SPEC = """
name: ratings
split: {method: hash, of: [user, item], validation: 0.1, test: 0.1}
features:
  label: {kind: label, column: rating, above: 3}
  user: {kind: user, type: int64}
  item: {kind: item, type: int64}
"""


@dataclass(frozen=True)
class Task:
    """How one kind of model is trained and compared.

    Attributes:
        model: Its name.
        warm_flags: Of a training that starts warm.
        metrics: What is shown.
        tolerances: What `--must_not_regress` is given.
    """

    model: str
    warm_flags: tuple[str, ...]
    metrics: tuple[str, ...]
    tolerances: tuple[str, ...]


_HEAD = ["month", "rows", "users", "items", "served before", "today", "trained in", "exported"]

TASKS = {
    "ranking": Task("ncf", ("--epochs=3",), ("ndcg@10/full",), ("ndcg@10/full:0.005",)),
    "clicks": Task("dlrm", ("--epochs=2",), ("auc", "logloss"), ("auc:0.005", "logloss:0.01")),
}


def months_of(source: str | None) -> dict[str, pl.DataFrame]:
    """Returns users, items, ratings and times by month; a synthetic world has eight of them."""
    if source:
        columns = ["user", "item", "rating", "time"]
        ratings = pl.read_csv(
            Path(source, "u.data"), separator="\t", has_header=False, new_columns=columns
        )
        named = ratings.with_columns(month=pl.from_epoch("time").dt.strftime("%Y-%m"))
    else:
        world = synthetic.SyntheticOptions(users=900, items=500, ratings=50_000)
        ratings = synthetic.load(world).events
        first, last = ratings["time"].min(), ratings["time"].max()
        part = (pl.col("time") - first) * 8 // (pl.lit(last) - first + 1) + 1
        named = ratings.with_columns(month=pl.format("part-{}", part))
    parts = named.sort("time").partition_by("month", as_dict=True, include_key=False)
    return {str(month): frame for (month,), frame in sorted(parts.items())}


def run(*arguments: str, allowed: tuple[int, ...] = (0,)) -> int:
    """Shows and runs one of our commands. Returns its exit code, one of those allowed."""
    print("$ python -m", " ".join(arguments), flush=True)
    done = subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode not in allowed:
        sys.exit(f"{done.stdout}\n{done.stderr}\nended with {done.returncode}")
    shown = [line for line in done.stdout.splitlines() if line.startswith("Not worse")]
    shown += [line for line in done.stderr.splitlines() if line.startswith("refused")]
    for line in shown:
        print(line, flush=True)
    return done.returncode


class Retraining:
    """The months of one product.

    Args:
        work: Folder for everything.
        months: The log, by month.
        name: Of the task.

    Attributes:
        export: Folder of the versions.
        lines: The table of what happened.
    """

    def __init__(self, work: Path, months: dict[str, pl.DataFrame], name: str) -> None:
        self._work, self._months, self._name = work, months, name
        self._task = TASKS[name]
        self._data = self._served = Path()  # the newest dataset, and the run that is served
        self.export = work / "export"
        self.lines: list[list[str]] = []
        (work / "features.yaml").write_text(SPEC)

    def begin(self, months: list[str]) -> None:
        """Trains and exports a first model."""
        self._data = self._prepare(months, "")
        self._served = self._train("first", self._data, ())
        run("serving.export", f"--model_dir={self._served}", f"--export_dir={self.export}")

    def retrain(self, months: list[str], *, again: bool) -> None:
        """Goes on with the last of some months; `again` prepares all of them anew."""
        month = months[-1]
        if again:
            self._data = self._prepare(months, "")
        else:
            self._data = self._prepare(months[-1:], f"--append={self._data}")
        warm = (f"--warm_start={self._served}", *self._task.warm_flags)
        new = self._train(month, self._data, warm)
        self._export(month, new, "prepared again" if again else "appended")

    def from_scratch(self) -> None:
        """Trains the last month once more, without a warm start and for all epochs."""
        new = self._train("scratch", self._data, ())
        self.lines.append(["from scratch", "the same", "", "", "", *self._of_run(new), ""])

    def broken(self, month: str) -> None:
        """Trains the last month once more, with a learning rate that ruins the model."""
        wrong = ("--learning_rate=2", f"--warm_start={self._served}", *self._task.warm_flags)
        new = self._train(f"{month}-broken", self._data, wrong)
        self._export(f"{month}, broken", new, "the same")

    def _prepare(self, months: list[str], append: str) -> Path:
        source, out = self._work / f"until-{months[-1]}.csv", self._work / f"data-{months[-1]}"
        pl.concat([self._months[month] for month in months]).write_csv(source)
        how = [f"--spec={self._work / 'features.yaml'}", append]
        if self._name == "ranking":
            how = ["--dataset=table", "--rating_column=rating", "--time_column=time"]
        run("data.prepare", *filter(None, how), f"--source={source}", f"--out={out}")
        return out

    def _train(self, name: str, data: Path, more: tuple[str, ...]) -> Path:
        folder = self._work / f"run-{name}"
        run("trainers.run", f"--model={self._task.model}", "--recipe=tiny", f"--data_dir={data}",
            f"--model_dir={folder}", *more)  # fmt: skip
        return folder

    def _export(self, month: str, new: Path, how: str) -> None:
        """Exports a run if it is not worse than the one that is served, and takes its place."""
        before, now = (
            PreparedDataset(read_config_file(folder)["data"]["folder"])
            for folder in (self._served, new)
        )
        served = results_file(self._served)
        if before.schema_sha256 != now.schema_sha256:
            run("trainers.run", "--mode=evaluate", f"--model_dir={self._served}",
                f"--data_dir={now.folder}")  # fmt: skip
            served = results_file(self._served, now.schema_sha256)
        gates = [f"--must_not_regress={text}" for text in self._task.tolerances]
        code = run(
            "serving.export", f"--model_dir={new}", f"--export_dir={self.export}",
            f"--baseline_run={self._served}", *gates, allowed=(0, REFUSED),
        )  # fmt: skip
        counts = renumber_all(before, now)
        ids = [f"{c.kept}/{c.new}/{c.dropped}" for c in (counts["user"], counts["item"])]
        ending = "refused" if code else f"version {max(version_folders(self.export))}"
        line = [month, how, *ids, self._metrics(read_results(served)), *self._of_run(new), ending]
        self.lines.append(line)
        if not code:
            self._served = new

    def _of_run(self, folder: Path) -> list[str]:
        """Returns a run's metrics, and how long its steps took."""
        results = read_results(results_file(folder))
        return [self._metrics(results), f"{results['timings']['train_seconds']:.0f} s"]

    def _metrics(self, results: dict[str, Any]) -> str:
        return " ".join(f"{results['metrics'][name]:.4f}" for name in self._task.metrics)


def retrain(work: Path, name: str, months: dict[str, pl.DataFrame], count: int) -> str:
    """Goes through the months. Returns the table and what became of the requests."""
    names = list(months)
    retraining = Retraining(work, months, name)
    retraining.begin(names[:-count])
    first = months[names[0]].row(0, named=True)
    known = {key: int(first[key]) for key in ("user", "item")}
    print("$ python -m serving.local_server --model_base_path=... &", flush=True)
    with server({name: retraining.export}, []) as (addresses, _):
        asking = Asking(addresses["rest"], name, known)
        asking.start()
        for number in range(count):
            last = len(names) - count + number + 1
            retraining.retrain(names[:last], again=name == "ranking" or number == 1)
        retraining.from_scratch()
        retraining.broken(names[-1])
        told = asking.end(max(version_folders(retraining.export)))
    table = [[*_HEAD], *retraining.lines]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in table]
    metrics = ", ".join(TASKS[name].metrics)
    note = f"users, items: kept/new/dropped by the warm start; metrics: {metrics}"
    return "\n".join(["", *lines, note, told])


def main(argv: list[str]) -> None:
    """Parses and runs."""
    del argv
    months = months_of(_SOURCE.value)
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(_WORK.value or scratch)
        work.mkdir(parents=True, exist_ok=True)
        print(retrain(work, _TASK.value, months, _MONTHS.value))


if __name__ == "__main__":
    app.run(main)
