"""The results of a benchmark: a table for people, and a dated JSON and Markdown file."""

from __future__ import annotations

import datetime
import os
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.contenders import Suite, Target
from benchmarks.contest import Result
from data.atomic import write_json, write_text


def table(suite: Suite, results: dict[str, Result]) -> str:
    """Returns a suite's results as Markdown: speeds, losses, ratios and targets."""
    lines = [
        f"### {suite.title}",
        "",
        f"Batches of {suite.batch_size:,}. Median of {_repeats(results)} (lowest to highest).",
        "",
        "| | examples/s | loss | after steps | peak MiB |",
        "|---|---|---|---|---|",
    ]
    for name, result in results.items():
        low, high = min(result.speeds), max(result.speeds)
        speed = f"{result.median:,.0f} ({low:,.0f} to {high:,.0f})"
        loss = f"{result.losses[-1]:.4f}" if result.losses[-1] else ""
        peak = f"{result.peak_bytes / 2**20:,.0f}"
        lines.append(f"| {name} | {speed} | {loss} | {result.steps} | {peak} |")
    lines += [target_line(target, results) for target in suite.targets]
    return "\n".join(lines) + "\n"


def target_line(target: Target, results: dict[str, Result]) -> str:
    """Returns one target as a line of Markdown, with the ratio's range over the repetitions."""
    if target.ours not in results or (target.over and target.over not in results):
        return f"\n- {target.ours} over {target.over}: not run"
    ours = results[target.ours]
    if not target.over:
        verdict = _verdict(ours.median >= target.at_least)
        return (
            f"\n- {target.ours}: {ours.median:,.0f}/s, at least {target.at_least:,.0f}: {verdict}"
        )
    pairs = zip(ours.speeds, results[target.over].speeds, strict=True)
    ratios = [mine / theirs for mine, theirs in pairs]
    ratio = ours.median / results[target.over].median
    return (
        f"\n- {target.ours} over {target.over}: {ratio:.2f} ({min(ratios):.2f} to "
        f"{max(ratios):.2f}), at least {target.at_least:g}: {_verdict(ratio >= target.at_least)}"
    )


def _verdict(is_met: bool) -> str:
    return "met" if is_met else "MISSED"


def _repeats(results: dict[str, Result]) -> str:
    repeats = {len(result.speeds) for result in results.values()}
    return f"{max(repeats)} run" + ("s by turns" if max(repeats) > 1 else "")


def machine() -> dict[str, Any]:
    """Returns what the figures depend on."""
    cpu = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    names = [line.partition(":")[2].strip() for line in cpu.splitlines() if "model name" in line]
    flags = next((line for line in cpu.splitlines() if line.startswith("flags")), "").split()
    known = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "vector_units": known,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "tensorflow": version("tensorflow"),
    }


def dated(folder: Path) -> Path:
    """Returns the path, without ending, of the results of a run that begins now."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder / datetime.datetime.now().strftime("%Y-%m-%d-%H%M%S")


def write(
    stem: Path, command: str, found: dict[str, dict[str, Result]], suites: dict[str, Suite]
) -> None:
    """Writes, or replaces, a JSON and a Markdown file.

    Args:
        stem: Their path without ending.
        command: What was run.
        found: Results by suite and contender.
        suites: The suites by name.
    """
    where = machine()
    results = {n: {c: asdict(r) for c, r in of.items()} for n, of in found.items()}
    write_json(
        stem.with_suffix(".json"), {"command": command, "machine": where, "results": results}
    )
    heading = [f"# Speed, {stem.name[:10]}", "", f"    {command}", ""]
    heading += [f"- {name}: {value}" for name, value in where.items()]
    text = "\n".join([*heading, "", *(table(suites[name], of) for name, of in found.items())])
    write_text(stem.with_suffix(".md"), text)
