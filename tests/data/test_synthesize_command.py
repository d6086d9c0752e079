"""The command `data.synthesize`: what it writes, prints and refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import polars as pl

from tests.commands import run_module


def test_command(tmp_path: Path) -> None:
    out = tmp_path / "clicks.tsv"
    good = ["--shape=criteo_1tb", "--scale=0.001", "--rows=3000", f"--out={out}"]
    done = run_module("data.synthesize", *good)
    assert done.returncode == 0, done.stderr
    truth = json.loads((tmp_path / "clicks.truth.json").read_text())
    assert done.stdout.startswith("3,000 rows in ")
    assert f"best AUC {truth['best_auc']:.5f}" in done.stdout
    spec = tmp_path / "clicks.features.yaml"
    assert f"data.prepare --spec={spec} --source={out}" in done.stdout
    assert len(pl.read_csv(out, separator="\t", has_header=False, infer_schema=False)) == 3000
    elsewhere = f"--out={tmp_path / 'x'}"
    refused = {
        "must not exist yet": good,
        "Either --shape or --table": ["--rows=1", elsewhere],
        "Did you mean 'criteo_1tb'": ["--shape=criteo", "--rows=1", elsewhere],
    }
    for message, flags in refused.items():
        done = run_module("data.synthesize", *flags)
        assert done.returncode == 2
        assert re.search(f"^error: .*{message}", done.stderr, re.MULTILINE)
