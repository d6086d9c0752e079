"""Proposals of feature specs as tests read them: loaded, and as text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from data.dataset import PreparedDataset
from data.engine.engines import LocalEngine
from data.engine.prepare_table import prepare_table
from data.engine.stages import TableOptions
from data.feature import Kind
from data.inference.propose import propose_spec
from data.spec.parsing import load_spec
from data.spec.table_spec import FeatureSpec, TableSpec


def infer(
    source: Path,
    label: str | None = None,
    rows: int = 100_000,
    *,
    interactions: bool = False,
    keys: Mapping[Kind, str] | None = None,
) -> tuple[TableSpec, str]:
    """Returns the proposal for a file as a spec and as text."""
    text = propose_spec(str(source), label, rows, interactions, keys)
    written = source.parent / "features.yaml"
    written.write_text(text, encoding="utf-8")
    return load_spec(written), text


def prepare(spec: TableSpec, source: Path) -> PreparedDataset:
    out = source.parent / "out"
    prepare_table(spec, str(source), TableOptions(), out, LocalEngine(1))
    return PreparedDataset(out)


def of(spec: TableSpec, name: str) -> FeatureSpec:
    return next(feature for feature in spec.features if feature.name == name)


def why(text: str, name: str) -> str:
    """Returns the comment above a feature, on one line."""
    lines = text.splitlines()
    end = next(n for n, line in enumerate(lines) if line.startswith(f"  {name}: "))
    start = end
    while lines[start - 1].startswith("  # "):
        start -= 1
    return " ".join(line[4:] for line in lines[start:end])
