"""The command `data.synthesize`: what it writes, prints and refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import polars as pl

REPOSITORY = Path(__file__).parents[2]
# One process for all commands: most of a command's time goes into importing TensorFlow.
DRIVER = """
import json, sys
from absl import flags
from absl.testing import flagsaver
from data import synthesize

codes = []
for arguments in json.load(sys.stdin):
    with flagsaver.flagsaver():
        try:
            synthesize.main(flags.FLAGS(["synthesize", *arguments]))
            codes.append(0)
        except SystemExit as end:
            codes.append(end.code)
print(codes)
"""


def test_command(tmp_path: Path) -> None:
    out = tmp_path / "clicks.tsv"
    good = ["--shape=criteo_1tb", "--scale=0.001", "--rows=3000", f"--out={out}"]
    commands = [good, good, ["--rows=1", f"--out={tmp_path / 'x'}"]]
    commands.append(["--shape=criteo", "--rows=1", f"--out={tmp_path / 'x'}"])
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        check=True,
        cwd=REPOSITORY,
    )
    assert done.stdout.splitlines()[-1] == "[0, 2, 2, 2]"
    truth = json.loads((tmp_path / "clicks.truth.json").read_text())
    assert done.stdout.startswith("3,000 rows in ")
    assert f"best AUC {truth['best_auc']:.5f}" in done.stdout
    spec = tmp_path / "clicks.features.yaml"
    assert f"data.prepare --spec={spec} --source={out}" in done.stdout
    assert len(pl.read_csv(out, separator="\t", has_header=False, infer_schema=False)) == 3000
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "must not exist yet" in errors[0]
    assert "Either --shape or --table" in errors[1]
    assert "Did you mean 'criteo_1tb'" in errors[2]
