"""Recipes of NCF.

Those of MovieLens-1M are of the NCF authors' split with its 99 frozen negatives, prepared by

    python -m data.prepare --dataset=ncf_authors --source=ncf/Data --out=DATA

Settings and epochs were chosen on one held-out training item of each user (trainer.fit_on=train);
the recipes then train on all. Sources of the targets: He et al. 2017, whose best epoch was chosen
on test (NeuMF .705 / .426, pretrained .730 / .447), and Rendle et al. 2020 (tuned matrix
factorisation .7294 / .4523).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from configs.base import EvaluationConfig, RunConfig, TrainerConfig
from configs.search import Choice, Integer, LogUniform, Uniform
from models.ncf_config import NCFConfig


def default() -> RunConfig:
    """NeuMF of 64 factors, a starting point for your own data."""
    return RunConfig(
        model_name="ncf",
        recipe="default",
        model=NCFConfig(),
        trainer=TrainerConfig(epochs=20, learning_rate=0.002, xla=True, patience=3),
    )


def tiny() -> RunConfig:
    """Seconds on a small synthetic world, for tests."""
    base = default()
    return replace(
        base,
        recipe="tiny",
        model=replace(base.model, gmf_dim=16, mlp_dim=16, hidden=(32, 16)),
        trainer=replace(base.trainer, epochs=10, batch_size=1024, learning_rate=0.005, xla=False),
        evaluation=EvaluationConfig(batch_size=256),
    )


def quickstart() -> RunConfig:
    """Half a minute on the default synthetic world.

    python -m trainers.run --model=ncf --recipe=quickstart --data_dir=DATA --model_dir=RUN
    """
    base = ml_1m_mf()
    return replace(
        base,
        recipe="quickstart",
        model=replace(base.model, gmf_dim=64, negatives=4),
        trainer=replace(
            base.trainer, fit_on=("train",), epochs=30, batch_size=1024, patience=4, xla=False
        ),
    )


def ml_1m() -> RunConfig:
    """NeuMF of 64 factors, from scratch.

    python -m trainers.run --model=ncf --recipe=ml_1m
        --data_dir=DATA --model_dir=RUN --seed=1

    Test, mean of 3 seeds (lowest to highest):
    HR@10 .7169 (.7157 to .7179), NDCG@10 .4440 (.4437 to .4443).
    A run took 6 to 7 minutes on 2 cores of an AMD EPYC (AVX2), 24 GiB, shared with other work.
    Target: .705 / .425.
    """
    return RunConfig(
        model_name="ncf",
        recipe="ml_1m",
        model=NCFConfig(negatives=8, gmf_l2=0.0024, mlp_l2=0.006),
        trainer=TrainerConfig(
            fit_on=("train", "validation"),
            epochs=12,
            learning_rate=0.002,
            table_learning_rate=0.008,
            weight_decay=1.0,
            schedule="linear",
            xla=True,
        ),
    )


def ml_1m_ranking() -> RunConfig:
    """`ml_1m` on MovieLens-1M with each user's last item held out; not tuned anew."""
    base = ml_1m()
    return replace(base, recipe="ml_1m_ranking", trainer=replace(base.trainer, fit_on=("train",)))


def ml_1m_gmf() -> RunConfig:
    """GMF of 256 factors, the first half of `ml_1m_pretrained`.

    python -m trainers.run --model=ncf --recipe=ml_1m_gmf
        --data_dir=DATA --model_dir=RUN --seed=1

    Test, mean of 3 seeds (lowest to highest):
    HR@10 .7255 (.7227 to .7283), NDCG@10 .4499 (.4486 to .4511).
    A run took 5 to 7 minutes on 2 cores of an AMD EPYC (AVX2), 24 GiB, shared with other work.
    """
    base = ml_1m()
    return replace(
        base,
        recipe="ml_1m_gmf",
        model=replace(base.model, variant="gmf", gmf_dim=256, gmf_l2=0.003),
        trainer=replace(base.trainer, epochs=16, learning_rate=0.001, table_learning_rate=0.0065),
    )


def ml_1m_mlp() -> RunConfig:
    """MLP, the second half of `ml_1m_pretrained`.

    python -m trainers.run --model=ncf --recipe=ml_1m_mlp
        --data_dir=DATA --model_dir=RUN --seed=1

    Test, mean of 3 seeds (lowest to highest):
    HR@10 .6901 (.6839 to .6950), NDCG@10 .4163 (.4147 to .4179).
    A run took 6 to 7 minutes on 2 cores of an AMD EPYC (AVX2), 24 GiB, shared with other work.
    """
    base = ml_1m()
    return replace(
        base,
        recipe="ml_1m_mlp",
        model=replace(base.model, variant="mlp"),
        trainer=replace(base.trainer, epochs=14, table_learning_rate=0.0065, weight_decay=0.5),
    )


def ml_1m_pretrained() -> RunConfig:
    """NeuMF from trained GMF and MLP runs (He et al. 2017, section 3.4.1).

    python -m trainers.run --model=ncf --recipe=ml_1m_pretrained
        --data_dir=DATA --model_dir=RUN --seed=1

    Test, mean of 3 seeds (lowest to highest):
    HR@10 .7286 (.7278 to .7293), NDCG@10 .4513 (.4494 to .4530).
    A run took 1 minute on 2 cores of an AMD EPYC (AVX2), 24 GiB, shared with other work.
    Add --set=model.pretrained_gmf=GMF_RUN --set=model.pretrained_mlp=MLP_RUN of the same seed.
    Target: .720 / .440.
    """
    base = ml_1m_gmf()
    return replace(
        base,
        recipe="ml_1m_pretrained",
        model=replace(
            base.model,
            variant="neumf",
            pretrained_gmf="runs/ml_1m_gmf",
            pretrained_mlp="runs/ml_1m_mlp",
            pretrained_alpha=0.9,
        ),
        trainer=replace(
            base.trainer,
            epochs=1,
            learning_rate=1e-5,
            table_learning_rate=3e-5,
            weight_decay=0.0,
        ),
    )


def ml_1m_mf() -> RunConfig:
    """Matrix factorisation with biases (Rendle et al. 2020).

    python -m trainers.run --model=ncf --recipe=ml_1m_mf
        --data_dir=DATA --model_dir=RUN --seed=1

    Test, mean of 3 seeds (lowest to highest):
    HR@10 .7292 (.7278 to .7300), NDCG@10 .4527 (.4517 to .4539).
    A run took 11 to 31 minutes on 2 cores of an AMD EPYC (AVX2), 24 GiB, shared with other work.
    Target: .727 / .450.
    """
    return RunConfig(
        model_name="ncf",
        recipe="ml_1m_mf",
        model=NCFConfig(variant="mf", gmf_dim=384, negatives=8, stddev=0.1, gmf_l2=0.003),
        trainer=TrainerConfig(
            fit_on=("train", "validation"),
            epochs=24,
            learning_rate=0.001,
            table_learning_rate=0.003,
            schedule="linear",
            xla=True,
        ),
    )


RECIPES: dict[str, Callable[[], RunConfig]] = {
    recipe.__name__: recipe
    for recipe in (
        default,
        tiny,
        quickstart,
        ml_1m,
        ml_1m_ranking,
        ml_1m_gmf,
        ml_1m_mlp,
        ml_1m_pretrained,
        ml_1m_mf,
    )
}

_GMF = {"model.variant": ("neumf", "gmf", "mf")}
_MLP = {"model.variant": ("neumf", "mlp")}
SEARCH = (
    LogUniform("trainer.learning_rate", 0.0005, 0.02),
    Choice("trainer.batch_size", (1024, 4096, 16384)),
    Choice("model.gmf_dim", (16, 32, 64, 128), _GMF),
    Choice("model.hidden", ((64, 32), (128, 64, 32), (256, 128, 64)), _MLP),
    Integer("model.negatives", 1, 8),
    LogUniform("model.gmf_l2", 0.0001, 0.03, _GMF),
    LogUniform("model.mlp_l2", 0.0001, 0.03, _MLP),
    Uniform("model.dropout", 0.0, 0.5, _MLP),
)
