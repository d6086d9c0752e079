"""Which folders a run may use, and what it may start from."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from configs.base import RunConfig
from configs.registry import build_model, recipe
from configs.runs import load_run
from data.assemble import PrepareOptions, prepare
from data.dataset import PreparedDataset
from data.errors import InputError
from data.sources import synthetic
from models.communicator import Communicator
from trainers.loop import Trainer
from trainers.precision import precision
from trainers.pretrained import adopt_pretrained
from trainers.results import final_results
from trainers.run_folder import open_run_folder, unlock_run_folder

ONE = Communicator()


def train(config: RunConfig, data: PreparedDataset, folder: Path) -> None:
    open_run_folder(folder, config, data, overwrite=False)
    with precision(config.trainer.mixed_precision):
        model = build_model(config, data)
    Trainer(config, data, model, folder, ONE).train()


def variant(name: str, **trainer: object) -> RunConfig:
    base = recipe("ncf", "tiny")
    settings = {"epochs": 1, "patience": 0, **trainer}
    return replace(
        base,
        model=replace(base.model, variant=name),
        trainer=replace(base.trainer, **settings),  # type: ignore[arg-type]
    )


def test_only_one_process_trains_in_a_folder(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", LOCKS, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"
    with pytest.raises(InputError, match="another process is training"):
        open_run_folder(tmp_path, variant("gmf"), synthetic_data, overwrite=True)
    holder.kill()
    holder.communicate()
    open_run_folder(tmp_path, variant("gmf"), synthetic_data, overwrite=False)


LOCKS = """
import sys, time
from pathlib import Path
from trainers.run_folder import _lock
_lock(Path(sys.argv[1]))
print("locked", flush=True)
time.sleep(60)
"""


def test_a_folder_of_something_else_is_refused(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("text")
    for folder, received in ((file, "a file"), (tmp_path, "file, but no config.json")):
        with pytest.raises(InputError, match=f"must be empty or hold a run.*{received}"):
            open_run_folder(folder, variant("gmf"), synthetic_data, overwrite=True)
    assert file.read_text() == "text"


def test_a_run_without_a_checkpoint_gives_way_to_another(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    open_run_folder(tmp_path, variant("gmf"), synthetic_data, overwrite=False)
    unlock_run_folder()
    open_run_folder(tmp_path, variant("mlp"), synthetic_data, overwrite=False)
    unlock_run_folder()
    assert json.loads((tmp_path / "config.json").read_text())["model"]["variant"] == "mlp"
    (tmp_path / "checkpoints" / "step-000000001").mkdir(parents=True)
    with pytest.raises(InputError, match=r"model\.variant='gmf', started with 'mlp'"):
        open_run_folder(tmp_path, variant("gmf"), synthetic_data, overwrite=False)


def test_what_a_killed_start_leaves_does_not_matter(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    (tmp_path / ".config.json.partial-17").write_text("{")
    open_run_folder(tmp_path, variant("gmf"), synthetic_data, overwrite=False)
    assert json.loads((tmp_path / "config.json").read_text())["model"]["variant"] == "gmf"


def test_mixed_precision_trains_and_the_final_word_is_float32(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    train(variant("mlp", mixed_precision="bfloat16"), synthetic_data, tmp_path)
    loaded = load_run(tmp_path)
    assert loaded.model.mlp.compute_dtype == "float32"
    first, second = (final_results(load_run(tmp_path), {}, ONE)["metrics"] for _ in range(2))
    assert first == second


def test_pretrained_halves_must_fit_the_data_and_the_choice_of_epoch(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    for name in ("gmf", "mlp"):
        train(variant(name), synthetic_data, tmp_path / name)
    base = variant("neumf")
    halves = {f"pretrained_{name}": str(tmp_path / name) for name in ("gmf", "mlp")}
    config = replace(base, model=replace(base.model, **halves))
    adopt_pretrained(build_model(config, synthetic_data), config, synthetic_data)

    world = synthetic.SyntheticOptions(users=400, items=200, ratings=12_000, tastes=4, seed=4)
    prepare(synthetic.load(world), PrepareOptions(seed=3), tmp_path / "other")
    other = PreparedDataset(tmp_path / "other")
    with pytest.raises(InputError, match="pretrained gmf must come from the same dataset"):
        adopt_pretrained(build_model(config, other), config, other)

    seen = variant("gmf", fit_on=("train", "validation"))
    train(seen, synthetic_data, tmp_path / "seen")
    leaky = replace(config, model=replace(config.model, pretrained_gmf=str(tmp_path / "seen")))
    with pytest.raises(InputError, match="must not have seen the split that chooses the epoch"):
        adopt_pretrained(build_model(leaky, synthetic_data), leaky, synthetic_data)
