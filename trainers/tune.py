"""Searches for better settings of a recipe, by validation; the test split is never read.

  python -m trainers.tune --model=ncf --data_dir=DATA --study_dir=STUDY --trials=20
  python -m trainers.tune --model=ncf --data_dir=DATA --study_dir=STUDY --trials=40 --workers=2
  python -m trainers.tune --model=vae_cf --data_dir=DATA --study_dir=STUDY --set=trainer.epochs=50
  python -m trainers.tune --model=ncf --recipe=ml_1m_ranking ... --space=space.yaml
  python -m trainers.tune ... --storage=postgresql://tuner@db/studies   (on several machines)

The first trial is the recipe itself. Those that fall behind the median of the others at the same
epoch are ended early. Stopped or killed, the same command goes on; with more --trials it adds to
the study. Watch with `tensorboard --logdir=STUDY`.

STUDY/best.yaml is the best recipe; the command that trains it and reports test, once, is printed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is loaded

from absl import app, flags

import models  # noqa: F401  Keras 2 must be chosen before tf.keras is touched.
from configs.overrides import apply_overrides
from configs.registry import MODELS, entry, recipe
from configs.search import check_space, that_can_apply, without_fixed
from configs.search_file import read_space
from data.command_line import EXIT_BAD_INPUT, no_argument, parse_flags
from data.errors import InputError
from trainers.agreement import StoppedError
from trainers.tuning.job import TuningJob

EXIT_SIGTERM = 143

_MODEL = flags.DEFINE_enum("model", None, sorted(MODELS), "The model to tune.")
_RECIPE = flags.DEFINE_string("recipe", "default", "Recipe to start from, by name or file.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Prepared dataset, from data.prepare.")
_STUDY_DIR = flags.DEFINE_string(
    "study_dir", None, "Study folder: written, or gone on with; its name is the study's."
)
_TRIALS = flags.DEFINE_integer(
    "trials", 20, "Trials of the whole study, pruned and failed ones included.", lower_bound=1
)
_WORKERS = flags.DEFINE_integer(
    "workers", 1, "Trials at a time on this machine; they share its threads.", lower_bound=1
)
_STORAGE = flags.DEFINE_string(
    "storage", None, "Database of the study; by default sqlite:///STUDY/study.db."
)
_TIMEOUT = flags.DEFINE_float(
    "timeout_minutes", None, "Start no trial after so many minutes.", lower_bound=0.0
)
_SET = flags.DEFINE_multi_string(
    "set", [], "Fix a config field, such as --set=model.gmf_dim=32, for all trials; repeatable."
)
_SPACE = flags.DEFINE_string(
    "space", None, "YAML file of what to search, in place of SEARCH in configs/<model>.py."
)
_SEED = flags.DEFINE_integer("seed", 1, "Seed of what is proposed; not trainer.seed.")


def make_job() -> TuningJob:
    """Returns what the flags ask for.

    Raises:
        InputError: A flag is missing, or the search space does not suit the recipe.
    """
    if not _MODEL.value:
        raise InputError("--model must be given", action=f"Known: {', '.join(MODELS)}")
    config = apply_overrides(recipe(_MODEL.value, _RECIPE.value), _SET.value)
    declared = read_space(Path(_SPACE.value)) if _SPACE.value else entry(_MODEL.value).search
    space = that_can_apply(without_fixed(declared, _SET.value), config)
    check_space(space, config)
    folder = _required(_STUDY_DIR.value, "--study_dir")
    return TuningJob(
        config=config,
        space=space,
        data_dir=_required(_DATA_DIR.value, "--data_dir"),
        folder=folder,
        storage=_STORAGE.value or f"sqlite:///{folder.resolve() / 'study.db'}",
        trials=_TRIALS.value,
        seed=_SEED.value,
    )


def _required(value: str | None, flag: str) -> Path:
    if value:
        return Path(value)
    raise InputError(f"{flag} must be given", action="See --help")


def main(argv: list[str]) -> None:
    """Parses and calls."""
    no_argument(argv)
    try:
        job = make_job()
        try:
            from trainers.tuning.search import search
        except ImportError as error:
            raise InputError(
                "trainers.tune needs Optuna",
                received=error,
                action="pip install 'recommender-zoo[tune]'",
            ) from error
        print(search(job, _WORKERS.value, _TIMEOUT.value))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)
    except StoppedError:
        print("Stopped by SIGTERM; the same command goes on from here", file=sys.stderr)
        sys.exit(EXIT_SIGTERM)
    except KeyboardInterrupt:
        sys.exit("Stopped; the same command goes on from here")


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
