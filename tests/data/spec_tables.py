"""Tables prepared by a feature spec that tests write down as they need it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from data.dataset import PreparedDataset
from data.engine.engines import LocalEngine
from data.engine.prepare_table import prepare_table
from data.engine.stages import TableOptions
from data.spec.parsing import load_spec, parse_spec
from data.spec_flags import SHIPPED


def prepare_frame(
    frame: pl.DataFrame, features: dict[str, Any], out: Path, **parts: Any
) -> PreparedDataset:
    """Prepares a frame; unless told otherwise, its column `split` says how rows are split."""
    source = out.with_suffix(".parquet")
    source.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(source)
    parts = {"split": {"method": "column", "column": "split"}, **parts}
    spec = parse_spec({"name": out.name, "features": features, **parts}, "features.yaml")
    prepare_table(spec, str(source), TableOptions(), out, LocalEngine(1))
    return PreparedDataset(out)


def prepare_shipped(spec: str, source: Path | str, out: Path, **options: Any) -> PreparedDataset:
    """Prepares a source by a spec that is shipped."""
    loaded = load_spec(SHIPPED / f"{spec}.yaml")
    prepare_table(loaded, str(source), TableOptions(**options), out, LocalEngine(2))
    return PreparedDataset(out)
