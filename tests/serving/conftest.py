"""Models that are not ours, and a server in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl
import pytest
import tensorflow as tf

from configs.registry import build_model, recipe
from configs.runs import (
    BEST_FILE,
    CHECKPOINTS,
    CONFIG_FILE,
    TrainedRun,
    config_to_json,
    load_run,
)
from data.atomic import write_json
from data.dataset import PreparedDataset
from models.closed_form import ClosedForm
from models.saving import save_weights
from serving.publishing import ExportOptions
from serving.server.model_manager import ModelManager
from serving.server.rest import RestOptions
from serving.server.running import Addresses, Server, ServerOptions
from serving.server.settings import ModelConfig
from serving.writing import export, write_version
from tests.commands import run_module
from tests.data.spec_tables import prepare_frame

Serve = Callable[..., str]
T = TypeVar("T")


class HalfPlusTwo(tf.Module):
    """TensorFlow Serving's own example: y = x / 2 + 2."""

    def __init__(self) -> None:
        super().__init__()
        self.half = tf.Variable(0.5)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def halve(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns x / 2 + 2."""
        return {"y": x * self.half + 2.0}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, name="tag"),
            tf.TensorSpec([None, 3], tf.int32, name="signal"),
        ]
    )
    def describe(self, tag: tf.Tensor, signal: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns outputs of several types."""
        return {
            "tag": tf.strings.join([tag, "!"]),
            "raw_bytes": tag,
            "total": tf.reduce_sum(signal, axis=1),
        }

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.float32, name="x"),
            tf.TensorSpec([2], tf.float32, name="scale"),
        ]
    )
    def uneven(self, x: tf.Tensor, scale: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns outputs that do not share their first dimension."""
        tf.debugging.Assert(tf.reduce_all(scale > 0), ["scale must be positive"])
        return {"y": x * scale[0], "scale": scale}


def save_half_plus_two(folder: Path) -> None:
    """Writes the model as a version folder."""
    model = HalfPlusTwo()
    signatures = {
        "serving_default": model.halve,
        "describe": model.describe,
        "uneven": model.uneven,
    }
    tf.saved_model.save(model, str(folder), signatures=signatures)


@pytest.fixture(scope="session")
def half_plus_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base path with versions 3 and 123, and folders that are no versions."""
    base_path = tmp_path_factory.mktemp("half_plus_two")
    save_half_plus_two(base_path / "3")
    save_half_plus_two(base_path / "123")
    (base_path / ".124.partial-1").mkdir()
    (base_path / "backup").mkdir()
    return base_path


def save_example_model(folder: Path) -> None:
    """Writes a version with signatures that take serialized examples, as estimators made them.

    `regress` and `classify` take one tensor, so that they can be asked together: y = 2x and the
    classes small and large by whether x is above 1. `serving_default` is `predict`.
    """
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        examples = tf.compat.v1.placeholder(tf.string, [None], name="examples")
        parsed = tf.io.parse_example(
            examples,
            {
                "x": tf.io.FixedLenFeature([], tf.float32),
                "scale": tf.io.FixedLenFeature([], tf.float32, default_value=2.0),
            },
        )
        x = parsed["x"]
        scores = tf.stack([1.0 - x, x], axis=1)
        labels = tf.where(scores > -tf.ones_like(scores), [["small", "large"]], "")
        outputs = {
            "regress": ("outputs", x * parsed["scale"]),
            "classify_both": ("scores", scores),
        }
        build = tf.compat.v1.saved_model.build_tensor_info
        signatures = {
            name: tf.compat.v1.saved_model.build_signature_def(
                {"inputs": build(examples)},
                {key: build(value)}
                | ({"classes": build(labels)} if name == "classify_both" else {}),
                f"tensorflow/serving/{name.partition('_')[0]}",
            )
            for name, (key, value) in outputs.items()
        }
        signatures["serving_default"] = tf.compat.v1.saved_model.build_signature_def(
            {"examples": build(examples)}, {"x": build(x)}, "tensorflow/serving/predict"
        )
        builder = tf.compat.v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, ["serve"], signatures)
        builder.save()


Run = Callable[[Coroutine[Any, Any, T]], T]


@contextmanager
def loop_in_a_thread() -> Iterator[Run]:
    """Gives what runs a coroutine in the event loop of another thread, and waits for it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(timeout=60)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def running(manager: ModelManager, options: ServerOptions) -> Iterator[Addresses]:
    """Runs a server in a thread, on free ports."""

    # The server belongs to the loop of its thread, gRPC's part by its own making.
    async def make() -> tuple[Server, Addresses]:
        server = Server(manager, replace(options, port=0, rest_api_port=0))
        return server, await server.start()

    with loop_in_a_thread() as run:
        server, addresses = run(make())
        try:
            yield addresses
        finally:
            run(server.stop())


@pytest.fixture(scope="session")
def serve() -> Iterator[Serve]:
    """Returns a function that serves base paths by model name and gives the server's URL."""
    with ExitStack() as stack:

        def start(base_paths: dict[str, Path], options: RestOptions | None = None) -> str:
            manager = ModelManager({name: ModelConfig(path) for name, path in base_paths.items()})
            rest = ServerOptions(rest=options or RestOptions())
            return f"http://{stack.enter_context(running(manager, rest)).rest}"

        yield start


def save_run(data: PreparedDataset, folder: Path, name: str, **model: Any) -> Path:
    """Writes a finished run of random weights, wide enough that no two scores are equal.

    Args:
        data: The dataset.
        folder: The run folder to write.
        name: The model's name.
        model: Settings of the model other than those of its tiny recipe.
    """
    base = recipe(name, "tiny")
    config = replace(base, model=replace(base.model, **model))
    built = build_model(config, data)
    if isinstance(built, ClosedForm):
        built.solve(data, ("train",))
    else:
        for number, weights in enumerate(built.parameters()):
            weights.assign_add(0.3 * tf.random.stateless_normal(weights.shape, [number, 0]))
    checkpoint = folder / CHECKPOINTS / "step-000000001"
    checkpoint.mkdir(parents=True)
    save_weights(built, checkpoint)
    write_json(folder / BEST_FILE, {"checkpoint": checkpoint.name, "chosen_by": "a test"})
    place = {"folder": str(data.folder), "schema_sha256": data.schema_sha256}
    write_json(folder / CONFIG_FILE, {**config_to_json(config), "data": place})
    results = {"metrics": {"ndcg@10/full": 0.25}, "protocol": {"k": 10}}
    write_json(folder / "metrics.json", results)
    return folder


@dataclass(frozen=True, eq=False)
class Exported:
    """A run and its exported version."""

    run: TrainedRun
    path: Path

    @cached_property
    def signatures(self) -> dict[str, Any]:
        """The signatures by name, and the loaded object, which keeps their variables alive."""
        loaded = tf.saved_model.load(str(self.path))
        return {"loaded": loaded, **loaded.signatures}


ExportOf = Callable[[str], Exported]


def write_export(data: PreparedDataset, folder: Path, name: str, **model: Any) -> Exported:
    """Exports a run of random weights without the check in another process, which takes long."""
    run = load_run(save_run(data, folder / "run", name, **model))
    write_version(run, folder / "export" / "1")
    return Exported(run, folder / "export" / "1")


@pytest.fixture(scope="session")
def neumf(synthetic_data: PreparedDataset, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """NeuMF on integer ids, exported by the function."""
    folder = tmp_path_factory.mktemp("neumf")
    run = load_run(save_run(synthetic_data, folder / "run", "ncf"))
    return Exported(run, export(run, folder / "export"))


@pytest.fixture(scope="session")
def bert_text(
    checkerboard_data: PreparedDataset, tmp_path_factory: pytest.TempPathFactory
) -> Exported:
    """BERT4Rec on text ids, exported by the command as version 7."""
    folder = tmp_path_factory.mktemp("bert_text")
    run = load_run(save_run(checkerboard_data, folder / "run", "bert4rec"))
    flags = [f"--model_dir={folder / 'run'}", f"--export_dir={folder / 'export'}", "--version=7"]
    done = run_module("serving.export", *flags)
    assert done.returncode == 0, done.stderr
    assert "Then: python -m serving.client --model_name=bert4rec --users=u0 --text_ids" in (
        done.stdout
    )
    return Exported(run, folder / "export" / "7")


@pytest.fixture(scope="session")
def census_frame() -> pl.DataFrame:
    """Labelled rows in which -1, which pads requests, is a value, and some values are missing."""
    rng, rows = np.random.default_rng(0), 400
    work = [None if n == 4 else ["a", "b", "d", "c"][n] for n in rng.integers(0, 5, rows)]
    code = [None if n == 3 else n for n in rng.integers(-1, 4, rows).tolist()]
    ages = [None if n % 7 == 0 else float(n) for n in rng.integers(18, 80, rows)]
    return pl.DataFrame(
        {
            "label": pl.Series(rng.integers(0, 2, rows), dtype=pl.Float32),
            "age": pl.Series(ages, dtype=pl.Float32),
            "hours": pl.Series(rng.integers(0, 60, rows), dtype=pl.Float32),
            "work": work,
            "code": pl.Series([3 if n == 2 else n for n in code], dtype=pl.Int64),
            "rare": [f"r{n}" for n in range(rows)],
            "split": rng.choice(["train", "validation", "test"], rows).tolist(),
        }
    )


@pytest.fixture(scope="session")
def census_run(census_frame: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of Wide&Deep on rows without users and items."""
    folder = tmp_path_factory.mktemp("census")
    features = {
        "label": {"kind": "label"},
        "age": {"kind": "numeric", "missing": 30},
        "hours": {"kind": "numeric"},
        "work": {"kind": "categorical", "min_count": 2},
        "code": {"kind": "categorical", "type": "int64", "min_count": 2},
        "rare": {"kind": "categorical", "min_count": 2},
    }
    data = prepare_frame(census_frame, features, folder / "data")
    settings = {"crosses": ("work*code",), "buckets": 4, "exclude": ("hours",)}
    return save_run(data, folder / "run", "wide_deep", **settings)


@pytest.fixture(scope="session")
def census(census_run: Path) -> Exported:
    """Wide&Deep on rows without users and items, exported by the function."""
    run = load_run(census_run)
    return Exported(run, export(run, census_run.parent / "export"))


@pytest.fixture(scope="session")
def quick_export(
    synthetic_data: PreparedDataset,
    checkerboard_data: PreparedDataset,
    census_run: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> ExportOf:
    """Returns a function that exports with card and warm-up, but without the check in a process.

    `mf` and `vae_cf` are on integer ids, `bert4rec` on text ids, `census` is on labelled rows.
    """
    done: dict[str, Exported] = {}

    def run_folder(name: str, folder: Path) -> Path:
        if name == "census":
            return census_run
        if name == "mf":
            return save_run(synthetic_data, folder / "run", "ncf", variant="mf")
        data = checkerboard_data if name == "bert4rec" else synthetic_data
        return save_run(data, folder / "run", name)

    def find(name: str) -> Exported:
        if name not in done:
            folder = tmp_path_factory.mktemp(name)
            run = load_run(run_folder(name, folder))
            path = export(run, folder / "export", ExportOptions(is_verified=False))
            done[name] = Exported(run, path)
        return done[name]

    return find


@pytest.fixture(scope="session")
def export_of(
    neumf: Exported,
    bert_text: Exported,
    synthetic_data: PreparedDataset,
    tmp_path_factory: pytest.TempPathFactory,
) -> ExportOf:
    """Returns a function that exports a model by name: on integer ids, or text for `bert_text`."""
    done = {"ncf": neumf, "bert_text": bert_text}

    def find(name: str) -> Exported:
        if name not in done:
            done[name] = write_export(synthetic_data, tmp_path_factory.mktemp(name), name)
        return done[name]

    return find
