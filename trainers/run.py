"""Trains and evaluates a model on a prepared dataset.

  python -m trainers.run --model=ncf --data_dir=DATA --model_dir=RUN
  python -m trainers.run --model=ncf --recipe=ml_1m_mf --data_dir=DATA --model_dir=RUN --seed=2
  python -m trainers.run --model=ncf --data_dir=DATA --model_dir=RUN --set=model.gmf_dim=32
  python -m trainers.run --model=ncf --data_dir=TODAY --model_dir=RUN --warm_start=YESTERDAYS_RUN
  python -m trainers.run --mode=evaluate --model_dir=RUN [--set=evaluation.ks=10,100]
  python -m trainers.run --mode=evaluate --model_dir=YESTERDAYS_RUN --data_dir=TODAY
  python -m trainers.run --mode=benchmark --model=dlrm --data_dir=DATA [--benchmark_steps=50]
  python -m trainers.run --plan --model=dlrm --data_dir=DATA [--ranks=4] [--memory_gib=64]
  launch/local.sh 2 --model=ncf --data_dir=DATA --model_dir=RUN

Stopped or killed, the same command goes on from the newest checkpoint. Watch with
`tensorboard --logdir=RUN`; `kill -USR1 PID` writes a profile of the next steps.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is loaded

from absl import app, flags, logging

import models  # noqa: F401  Keras 2 must be chosen before tf.keras is touched.
from configs.base import RunConfig
from configs.overrides import apply_overrides
from configs.registry import MODELS, recipe
from configs.runs import (
    CONFIG_FILE,
    config_from_json,
    read_config_file,
)
from data.command_line import no_argument, parse_flags
from data.dataset import PreparedDataset
from data.errors import InputError
from data.process_memory import peak_bytes
from models.communicator import Communicator
from trainers import plan_flags
from trainers.agreement import failing_together, largest
from trainers.allocator import give_back_freed_memory, keep_freed_memory
from trainers.announcements import next_commands
from trainers.distributed import make_communicator, with_ranks
from trainers.dry_runs import print_plan, time_steps
from trainers.failures import explained_failures
from trainers.final_evaluation import evaluate_run
from trainers.fitting import fit
from trainers.profiling import parse_profile_steps
from trainers.run_folder import check_run_writable, open_run_folder, unlock_run_folder

_FLAGGED = ("epochs", "batch_size", "learning_rate", "mixed_precision", "xla", "seed", "warm_start")

_MODEL = flags.DEFINE_enum("model", None, sorted(MODELS), "The model to train.")
_RECIPE = flags.DEFINE_string(
    "recipe", "default", "Recipe of configs/<model>.py to start from, or a file: best.yaml."
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir",
    None,
    "Prepared dataset, from data.prepare. --mode=evaluate: by default the run's own; on another, "
    "results go to metrics-on-HASH.json.",
)
_MODEL_DIR = flags.DEFINE_string("model_dir", None, "Run folder: written, or gone on with.")
_MODE = flags.DEFINE_enum(
    "mode",
    "train",
    ["train", "evaluate", "benchmark"],
    "What to do. benchmark: time steps and say what limits them; nothing is trained.",
)
_BENCHMARK_STEPS = flags.DEFINE_integer(
    "benchmark_steps", 50, "Steps that --mode=benchmark times.", lower_bound=1
)
_PROFILE_STEPS = flags.DEFINE_list(
    "profile_steps", [], "First and last step to write a TensorBoard profile of: 100,110."
)
_OVERWRITE = flags.DEFINE_bool(
    "overwrite", False, "Delete a finished run, or one with other settings, in --model_dir first."
)
_SET = flags.DEFINE_multi_string(
    "set", [], "Override any config field, such as --set=model.gmf_dim=32; may be repeated."
)
flags.DEFINE_integer("epochs", None, "Most passes over the data.", lower_bound=1)
flags.DEFINE_integer("batch_size", None, "Rows of a batch on each rank.", lower_bound=1)
flags.DEFINE_float("learning_rate", None, "Learning rate of the dense weights.")
flags.DEFINE_enum(
    "mixed_precision", None, ["off", "bfloat16", "float16"], "Type of the dense activations."
)
flags.DEFINE_bool("xla", None, "Compile the dense part with XLA.")
flags.DEFINE_string(
    "warm_start", None, "Run folder whose weights to start from, by raw id (docs/retrain.md)."
)
flags.DEFINE_integer("seed", None, "Seed of initial values, data order and sampling.")


def resolve_config() -> RunConfig:
    """Returns the recipe with the everyday flags and then `--set` applied."""
    if not _MODEL.value:
        raise InputError("--model must be given", action=f"Known: {', '.join(MODELS)}")
    config = recipe(_MODEL.value, _RECIPE.value)
    given = {name: flags.FLAGS[name].value for name in _FLAGGED}
    assignments = [f"trainer.{name}={value}" for name, value in given.items() if value is not None]
    return apply_overrides(config, [*assignments, *_SET.value])


def train(config: RunConfig, model_dir: Path, communicator: Communicator) -> None:
    """Trains, evaluates the chosen checkpoint on test, and writes `metrics.json`."""
    timings = _fit(config, model_dir, communicator)
    give_back_freed_memory()  # the evaluation reads the tables anew, and twice they may not fit
    evaluate_run(model_dir, _DATA_DIR.value, timings, config.evaluation, communicator)
    if communicator.rank == 0:
        print(next_commands(model_dir))


def _fit(config: RunConfig, model_dir: Path, communicator: Communicator) -> dict[str, float]:
    started = time.perf_counter()
    data = PreparedDataset(_required(_DATA_DIR.value, "--data_dir"))
    _open_on_rank_0(model_dir, config, data, communicator)
    profile_steps = parse_profile_steps(_PROFILE_STEPS.value)
    fitted = fit(config, data, model_dir, communicator, profile_steps)
    state, examples = fitted.state, fitted.rows * fitted.model.examples_per_row
    communicator.barrier()
    return {
        "train_seconds": state.seconds,
        "examples_per_second": examples / max(state.seconds, 1e-9),
        "wall_seconds": time.perf_counter() - started,
        "steps": state.step,
        "peak_bytes": largest(peak_bytes(), communicator),
    }


def evaluate_again(model_dir: Path, communicator: Communicator) -> None:
    """Evaluates a finished run, with `--set=evaluation...` applied to its own config.

    Raises:
        InputError: A flag was given that only training heeds.
    """
    training_flags = ("model", "recipe", "overwrite", *_FLAGGED)
    given = [f"--{name}" for name in training_flags if flags.FLAGS[name].present]
    given += [f"--set={path}" for path in _SET.value if not path.startswith("evaluation.")]
    if given:
        raise InputError(
            "--mode=evaluate takes the run's own config; only --set=evaluation... may change it",
            received=" ".join(given),
            action="Leave them out, or train another run",
        )
    config = config_from_json(read_config_file(model_dir), model_dir / CONFIG_FILE)
    settings = apply_overrides(config, _SET.value).evaluation
    check_run_writable(model_dir)
    evaluate_run(model_dir, _DATA_DIR.value, {}, settings, communicator)


def _open_on_rank_0(
    model_dir: Path, config: RunConfig, data: PreparedDataset, communicator: Communicator
) -> None:
    unlock_run_folder()  # of an attempt before, in which this process was perhaps rank 0
    communicator.barrier()
    with failing_together(communicator):
        if communicator.rank == 0:
            open_run_folder(model_dir, config, data, _OVERWRITE.value)
    with failing_together(communicator):
        check_run_writable(model_dir)  # by each rank, perhaps of another host


def _required(value: str | None, flag: str) -> Path:
    if value:
        return Path(value)
    raise InputError(f"{flag} must be given", action="See --help")


def run() -> None:
    """Does what the flags ask for."""
    if plan_flags.PLAN.value:
        data = PreparedDataset(_required(_DATA_DIR.value, "--data_dir"))
        print_plan(resolve_config(), data, **plan_flags.wanted())
        return
    if _MODE.value == "evaluate":
        evaluate_again(_required(_MODEL_DIR.value, "--model_dir"), make_communicator())
        return
    config = resolve_config()
    wire = config.trainer.wire_dtype
    if _MODE.value == "benchmark":
        data = PreparedDataset(_required(_DATA_DIR.value, "--data_dir"))
        folder, steps = _MODEL_DIR.value, _BENCHMARK_STEPS.value
        time_steps(config, data, steps, folder, make_communicator(wire))
    else:
        model_dir = _required(_MODEL_DIR.value, "--model_dir")
        with_ranks(lambda communicator: train(config, model_dir, communicator), wire)


def main(argv: list[str]) -> None:
    """Parses, builds and calls."""
    no_argument(argv)
    keep_freed_memory()
    logging.set_verbosity(logging.ERROR)  # TensorFlow's notes on checkpoints help no user
    with explained_failures():
        run()


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
