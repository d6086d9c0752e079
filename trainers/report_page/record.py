"""What it took, how it was measured, and what was set otherwise."""

from __future__ import annotations

from typing import Any

from trainers.report_page.evidence import Compared
from trainers.report_page.tables import UNKNOWN, Cell, Section, Table, differing, number

_GIB = 2**30


def cost(compared: Compared) -> Section:
    """Returns time and memory."""
    text = (
        "Means over seeds. Training: time in steps, or in solving. Peak memory: the most that a "
        "process held when training ended, of the rank with most; memory of devices is not in it. "
        "Only runs of the same machine, with nothing beside them, compare."
    )
    rows = []
    for place, evidence in enumerate(compared.lines):
        timings = [run.results["timings"] for run in evidence.line.runs]
        peak = _mean(timings, "peak_bytes")
        rows.append(
            [
                Cell(evidence.line.name, series=place),
                Cell(number(evidence.line.train_seconds, ",.1f")),
                Cell(number(evidence.line.examples_per_second)),
                Cell(number(_mean(timings, "wall_seconds"), ",.1f")),
                Cell(number(_mean(timings, "evaluation_seconds"), ",.1f")),
                Cell(number(None if peak is None else peak / _GIB, ",.2f")),
                Cell(str(evidence.line.runs[0].results.get("machine", UNKNOWN))),
            ]
        )
    head = ["run", "training s", "examples/s", "to the end of training s"]
    head += ["evaluation s", "peak memory GiB", "machine"]
    return Section("cost", "Time and memory", text, tables=[Table(head, rows)])


def _mean(timings: list[dict[str, float]], name: str) -> float | None:
    known = [timing[name] for timing in timings if name in timing]
    return sum(known) / len(known) if known and len(known) == len(timings) else None


def protocols(compared: Compared) -> Section:
    """Returns the protocol cards."""
    cards = {name: card for run in compared.runs for name, card in run.results["protocol"].items()}
    text = (
        "What all of these numbers depend on but the model. Runs with other cards are refused, "
        "as theirs are other numbers."
    )
    fields = dict.fromkeys(field for card in cards.values() for field in card)
    rows = [
        [Cell(field), *(Cell(_text(card.get(field, UNKNOWN))) for card in cards.values())]
        for field in fields
    ]
    tables = [Table(["protocol", *cards], rows, prose=True)]
    return Section("protocols", "Protocol cards", text, tables=tables)


def settings(compared: Compared) -> Section:
    """Returns the settings that are not the same in all lines."""
    columns = [
        {
            **run.settings(),
            **{f"versions.{k}": v for k, v in run.config.get("versions", {}).items()},
        }
        for run in (evidence.line.runs[0] for evidence in compared.lines)
    ]
    rows = [
        [
            Cell(name),
            *(Cell(_text(column[name]) if name in column else UNKNOWN) for column in columns),
        ]
        for name in differing(columns)
    ]
    names = [evidence.line.name for evidence in compared.lines]
    tables = [Table(["setting", *names], rows, prose=True)] if rows else []
    notes = [] if rows else ["All settings are the same."]
    text = (
        "Settings that differ between the lines; a dash where a model has no such setting. All "
        "settings of a run are in its config.json."
    )
    return Section("settings", "Differences of settings", text, tables=tables, notes=notes)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
