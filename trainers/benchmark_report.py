"""What `--mode=benchmark` prints and writes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from data.atomic import write_json
from trainers.benchmark import Measurement

BENCHMARK_FILE = "benchmark.json"
_PARTS = {
    "input_wait": "waiting for input",
    "gather": "looking up rows",
    "dense": "dense part",
    "update": "update",
}


def report(found: Measurement, model_dir: Path | None) -> str:
    """Returns the table for people; writes the figures where there is a run folder."""
    if model_dir:
        model_dir.mkdir(parents=True, exist_ok=True)
        write_json(model_dir / BENCHMARK_FILE, found.to_json())
    return "\n".join([*_lines(found), found.verdict])


def _lines(found: Measurement) -> list[str]:
    milliseconds = "  ".join(f"{name} {value:.2f}" for name, value in found.step_ms.items())
    ceilings = found.ceilings
    lines = [
        _line("examples/s", f"{found.examples_per_second:,.0f}"),
        _line("steps timed", f"{found.steps} in calls of {found.steps_per_call}"),
        _line("a step alone, ms", milliseconds),
    ]
    for name, share in asdict(found.shares).items():
        lines.append(_line(f"  {_PARTS[name]}", f"{share:.1%}"))
    if found.sent_bytes:
        sent = f"{found.sent_bytes / 2**20:,.3f} MiB sent"
        lines.append(_line("collectives, ms a step", f"{found.collectives_ms:.2f}, {sent}"))
    lines += [
        _line("peak memory, MiB", f"{found.peak_bytes / 2**20:,.0f}"),
        *_of_device(found),
        _line("FLOP an example, dense part", f"{found.flops_per_example:,.0f}"),
        _line(
            "  its rate, of a matmul's",
            f"{found.share_of_matmul:.0%} of {ceilings.flops / 1e9:,.0f} GFLOP/s",
        ),
        _line("bytes an example, dense part", f"{found.dense_bytes_per_example:,.0f} unfused"),
        _line("bytes an example, tables", f"{found.table_bytes_per_example:,.0f}"),
        _line(
            "  their rate, of streaming's",
            f"{found.share_of_stream:.0%} of {ceilings.streamed / 1e9:,.1f} GB/s",
        ),
        _line(f"loss after {found.steps_taken} steps", f"{found.loss:.4f}"),
    ]
    return lines


def _of_device(found: Measurement) -> list[str]:
    if not found.device_peak_bytes:
        return []
    return [_line("  of the GPU, MiB", f"{found.device_peak_bytes / 2**20:,.0f}")]


def _line(name: str, value: str) -> str:
    return f"{name:<30}{value}"
