"""What Horovod costs: one rank against none, and collectives against what `--plan` says of them.

  python -m benchmarks.ranks                          some ten minutes
  python -m benchmarks.ranks --case=neumf_sharded

One device and one rank (launch/local.sh 1) take turns in `--mode=benchmark`. Then
`trainers.measure_network` measures what two ranks of this machine can send each other, `--plan
--network` predicts bytes and time of a step's collectives from it, and runs on two ranks count
them: the time of exchanging from Horovod's timeline, and that in collectives, which holds the
waiting for the slower rank. Prints a table, and writes it with the machine to benchmarks/results.

Cases: CASES
"""

from __future__ import annotations

import json
import os
import re
import statistics
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from absl import app, flags

from benchmarks.contest import execute
from benchmarks.datasets import datasets, ready
from benchmarks.results import dated, machine
from benchmarks.suites import SUITES
from benchmarks.timeline import exchange_seconds
from data.atomic import write_json, write_text
from data.command_line import no_argument, parse_flags

# A suite, whose model, data and batch are taken, and where its tables are.
CASES = {
    "dlrm_small_sharded": ("dlrm_small", "sharded"),
    "neumf_sharded": ("neumf", "sharded"),
    "neumf_replicated": ("neumf", "replicated"),
}
_MOST_OVERHEAD = 0.03
_ROOT = Path(__file__).parents[1]
_ALONE, _ONE_RANK = "no Horovod", "one rank"

_CASE = flags.DEFINE_multi_enum("case", [], list(CASES), "Cases to run; all if not given.")
_REPEATS = flags.DEFINE_integer("repeats", 5, "Runs of each.", lower_bound=1)
_STEPS = flags.DEFINE_integer("steps", 200, "Steps of a run.", lower_bound=10)
_WORK_DIR = flags.DEFINE_string("work_dir", "~/.cache/recommender_zoo/benchmarks", "Datasets.")
_OUT = flags.DEFINE_string("out", "benchmarks/results", "Folder for the results.")


@dataclass(frozen=True)
class Counted:
    """What rank 0 of two did in a step.

    Attributes:
        sent: Bytes.
        exchanging: Seconds of exchanging, of each repetition.
        in_collectives: Seconds in collectives, waiting for the other rank included, likewise.
    """

    sent: float
    exchanging: list[float]
    in_collectives: list[float]


class Ranks:
    """One case on some ranks.

    Args:
        case: Its name.
        work: Folder of the datasets.
    """

    def __init__(self, case: str, work: Path) -> None:
        name, placement = CASES[case]
        suite = SUITES[name]
        settings = (*suite.settings, f"trainer.placement={placement}")
        self.flags = [f"--model={suite.model}", f"--batch_size={suite.batch_size}"]
        self.flags += [f"--data_dir={ready(datasets()[suite.data], work)}"]
        self.flags += [f"--set={setting}" for setting in settings]

    def benchmark(self, launcher: list[str], *more: str) -> dict[str, Any]:
        """Returns the figures of a run that a launcher starts."""
        with tempfile.TemporaryDirectory() as folder:
            mode = ["--mode=benchmark", f"--benchmark_steps={_STEPS.value}"]
            execute([*launcher, *self.flags, *mode, *more, f"--model_dir={folder}"])
            return json.loads((Path(folder) / "benchmark.json").read_text(encoding="utf-8"))

    def overhead(self, repeats: int) -> dict[str, list[float]]:
        """Returns examples a second of each repetition, by how it was started."""
        launchers = {
            _ALONE: [sys.executable, "-m", "trainers.run"],
            _ONE_RANK: [str(_ROOT / "launch/local.sh"), "1"],
        }
        speeds: dict[str, list[float]] = {name: [] for name in launchers}
        for _ in range(repeats):
            for name, launcher in launchers.items():
                speeds[name].append(self.benchmark(launcher)["examples_per_second"])
        return speeds

    def predicted(self, network: str) -> tuple[float, float]:
        """Returns the bytes that a rank of two sends in a step, and their seconds, by --plan."""
        plan = [sys.executable, "-m", "trainers.run", "--plan", "--ranks=2", *self.flags]
        found = re.findall(
            r"^together +([\d.,]+) +([\d.,]+)", execute([*plan, f"--network={network}"]), re.M
        )
        sent, ms = (float(text.replace(",", "")) for text in found[0])
        return sent * 1e6, ms / 1e3

    def counted(self, repeats: int) -> Counted:
        """Returns what runs on two ranks counted."""
        launcher = [str(_ROOT / "launch/local.sh"), "2"]
        runs, exchanges = [], []
        with tempfile.TemporaryDirectory() as folder:
            for number in range(repeats):
                timeline = Path(folder) / f"{number}.json"
                # Several, for the timeline tells steps within a call from other collectives.
                found = self.benchmark(
                    ["env", f"TIMELINE={timeline}", *launcher], "--set=trainer.steps_per_call=10"
                )
                runs.append(found)
                exchanges.append(exchange_seconds(timeline))
        waiting = [found["collectives_ms"] / 1e3 for found in runs]
        return Counted(runs[-1]["sent_bytes"], exchanges, waiting)


def network_of_two() -> str:
    """Returns what two ranks of this machine can send, as --network takes it."""
    said = execute([str(_ROOT / "launch/local.sh"), "2", "-m", "trainers.measure_network"])
    return re.findall(r"--network=(\S+)", said)[-1]


def run_case(case: str, work: Path, repeats: int) -> dict[str, Any]:
    """Returns what was found of one case."""
    ranks = Ranks(case, work)
    speeds = ranks.overhead(repeats)
    network = network_of_two()
    sent, seconds = ranks.predicted(network)
    return {
        "examples_per_second": speeds,
        "network": network,
        "predicted": {"bytes": sent, "seconds": seconds},
        "counted": asdict(ranks.counted(repeats)),
    }


def lines(case: str, found: dict[str, Any]) -> list[str]:
    """Returns what was found as Markdown."""
    speeds = found["examples_per_second"]
    alone = statistics.median(speeds[_ALONE])
    text = [f"### {case}", "", "| | examples/s | slower than without Horovod |", "|---|---|---|"]
    for name, values in speeds.items():
        middle = statistics.median(values)
        spread = f"{middle:,.0f} ({min(values):,.0f} to {max(values):,.0f})"
        text.append(f"| {name} | {spread} | {alone / middle - 1:+.1%} |")
    slower = alone / statistics.median(speeds[_ONE_RANK]) - 1
    verdict = "met" if slower <= _MOST_OVERHEAD else "MISSED"
    predicted, counted = found["predicted"], found["counted"]
    text += [
        "",
        f"- one rank at most {_MOST_OVERHEAD:.0%} slower: {verdict}",
        f"- two ranks, measured network {found['network']}: predicted {predicted['bytes']:,.0f} "
        f"bytes and {predicted['seconds'] * 1e3:.2f} ms a step; counted {counted['sent']:,.0f} "
        f"({counted['sent'] / predicted['bytes'] - 1:+.1%}), exchanging "
        f"{_ms(counted['exchanging'])}, in collectives with waiting "
        f"{_ms(counted['in_collectives'])}",
        "",
    ]
    return text


def _ms(seconds: list[float]) -> str:
    low, middle, high = (f(seconds) * 1e3 for f in (min, statistics.median, max))
    return f"{middle:.2f} ms ({low:.2f} to {high:.2f})"


def main(argv: list[str]) -> None:
    """Runs the cases."""
    no_argument(argv)
    os.environ.setdefault("PYTHON", sys.executable)  # for the launchers
    stem = dated(Path(_OUT.value))
    stem = stem.with_name(f"{stem.name}-ranks")
    command, where = " ".join(["python -m benchmarks.ranks", *sys.argv[1:]]), machine()
    heading = [f"# Ranks, {stem.name[:10]}", "", f"    {command}", ""]
    heading += [f"- {name}: {value}" for name, value in where.items()]
    found: dict[str, Any] = {}
    for case in _CASE.value or CASES:
        found[case] = run_case(case, Path(_WORK_DIR.value).expanduser(), _REPEATS.value)
        print("\n".join(lines(case, found[case])), flush=True)
        cases = [line for name, of in found.items() for line in lines(name, of)]
        write_json(
            stem.with_suffix(".json"), {"command": command, "machine": where, "cases": found}
        )
        write_text(stem.with_suffix(".md"), "\n".join([*heading, "", *cases]))


if __name__ == "__main__":
    __doc__ = str(__doc__).replace("CASES", ", ".join(CASES))
    app.run(main, flags_parser=parse_flags)
