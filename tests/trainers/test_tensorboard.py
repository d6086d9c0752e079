"""Real TensorBoard on a run of each model: what it answers over HTTP, and what a browser shows."""

from __future__ import annotations

import html
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from playwright.sync_api import expect
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from configs.overrides import apply_overrides
from configs.registry import build_model, recipe
from configs.runs import TrainedRun
from data.dataset import PreparedDataset
from data.schema import FIRST_ID
from models.communicator import Communicator
from models.ncf import NCF
from models.recommender import Recommender
from models.vae_cf import VAECF
from tests.browser import open_browser
from tests.page_servers import tensorboard
from trainers.board import projector
from trainers.board.projector import write_projector
from trainers.loop import Trainer
from trainers.precision import precision
from trainers.profiling import Profiler
from trainers.run_folder import command_line

METRIC = "ndcg@10/sampled99"
NAMES = ("bert4rec", "dlrm", "ncf", "vae_cf", "wide_deep")
MORE = {
    "dlrm": ("trainer.mixed_precision=float16",),
    "ncf": ("trainer.epochs=4", "trainer.steps_per_call=5", "trainer.batch_size=256"),
}
# Beside those that every run has.
TAGS = {
    "bert4rec": {"4_loss_parts/per_target", "5_table_norm/item", "6_unknown_ids/item"},
    "dlrm": {"2_training/loss_scale/scale", "5_table_norm/deep/user"},
    "ncf": {"4_loss_parts/logistic", "5_table_norm/user", "6_unknown_ids/user"},
    "vae_cf": {"4_loss_parts/kl", "4_loss_parts/multinomial"},
    "wide_deep": {"4_loss_parts/logistic", "5_table_norm/wide/item"},
}
EVERY_RUN = {
    "1_quality/loss",
    f"1_quality/validation/{METRIC}",
    f"1_quality/validation_best/{METRIC}",
    "2_training/examples_per_second",
    "2_training/gradient_norm/dense",
    "2_training/gradient_norm/tables",
    "2_training/learning_rate/dense",
    "2_training/learning_rate/tables",
    "2_training/table_norm",
    "2_training/time_share/outside_steps",
    "2_training/time_share/waiting_for_input",
    "2_training/unknown_ids",
    "3_validation/hr@10/sampled99",
    f"3_validation/{METRIC}",
}


def train(name: str, data: PreparedDataset, folder: Path) -> Recommender:
    """Trains a little, in this process; the run of `ncf` is asked for a profile."""
    config = apply_overrides(recipe(name, "tiny"), ["trainer.epochs=1", *MORE.get(name, ())])
    with precision(config.trainer.mixed_precision):
        model = build_model(config, data)
    trainer = Trainer(config, data, model, folder, Communicator(), Profiler(folder, None))
    if name == "ncf":
        threading.Thread(target=ask_for_profile, args=(trainer,)).start()
    state = trainer.train()
    write_projector(TrainedRun(folder, config, data, model, state.step), silent=False)
    return model


def ask_for_profile(trainer: Trainer) -> None:
    """Sends the signal once the training takes steps."""
    while not trainer.state.step:
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGUSR1)


@pytest.fixture(scope="module")
def runs(
    synthetic_data: PreparedDataset, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Recommender]]:
    """A folder of runs, and the models by name."""
    folder = tmp_path_factory.mktemp("runs")
    return folder, {name: train(name, synthetic_data, folder / name) for name in NAMES}


@pytest.fixture(scope="module")
def board(runs: tuple[Path, dict[str, Recommender]]) -> Iterator[str]:
    """Address of a TensorBoard that has read all runs."""
    with tensorboard(runs[0]) as url:
        deadline = time.monotonic() + 60
        while set(get(url, "scalars/tags")) != set(NAMES) and time.monotonic() < deadline:
            time.sleep(0.2)
        yield url


def get(url: str, what: str, **query: str) -> Any:
    """Asks a plugin for JSON."""
    response = requests.get(f"{url}/data/plugin/{what}", params=query, timeout=60)
    response.raise_for_status()
    return response.json()


@pytest.mark.parametrize("name", NAMES)
def test_each_run_has_its_scalars(board: str, name: str) -> None:
    tags = set(get(board, "scalars/tags")[name])
    assert tags >= EVERY_RUN | TAGS[name]
    assert ("2_training/loss_scale/scale" in tags) == (name == "dlrm")
    points = {tag: get(board, "scalars/scalars", run=name, tag=tag) for tag in EVERY_RUN}
    for values in points.values():
        assert np.isfinite([value for _, _, value in values]).all()
    for part in ("outside_steps", "waiting_for_input"):
        assert all(0 <= v <= 1 for _, _, v in points[f"2_training/time_share/{part}"])
    chosen = [value for _, _, value in points[f"1_quality/validation/{METRIC}"]]
    best = [value for _, _, value in points[f"1_quality/validation_best/{METRIC}"]]
    np.testing.assert_allclose(best, np.maximum.accumulate(chosen))


def test_every_chart_of_the_layout_has_values(board: str) -> None:
    (overview,) = get(board, "custom_scalars/layout")["category"]
    found: dict[str, set[str]] = {}
    for chart in overview["chart"]:
        for tag in chart["multiline"]["tag"]:
            for run in NAMES:
                answer = get(board, "custom_scalars/scalars", tag=tag, run=run)
                assert answer["regex_valid"]
                found.setdefault(chart["title"], set()).update(answer["tag_to_events"])
    assert all(found.values())
    assert found["Loss scale"] == {"2_training/loss_scale/scale"}
    assert found["Validation ndcg@10, by protocol"] == {f"3_validation/{METRIC}"}


def test_hparams_puts_first_what_differs_and_knows_validation(board: str) -> None:
    url = f"{board}/data/plugin/hparams"
    experiment = requests.post(f"{url}/experiment", json={"experimentName": ""}, timeout=60).json()
    differing = [info["name"] for info in experiment["hparamInfos"] if info["differs"]]
    assert {"model", "trainer.epochs", "trainer.mixed_precision"} <= set(differing)
    first = [info["name"]["tag"] for info in experiment["metricInfos"]]
    assert first[:3] == sorted(tag for tag in EVERY_RUN if tag.startswith("1_quality/"))
    wanted = [
        {"hparam": "model", "includeInResult": True},
        {"metric": {"tag": first[1]}, "includeInResult": True},
    ]
    asked = {
        "experimentName": "",
        "allowedStatuses": ["STATUS_SUCCESS"],
        "colParams": wanted,
        "startIndex": 0,
        "sliceSize": 100,
    }
    answer = requests.post(f"{url}/session_groups", json=asked, timeout=60).json()
    shown = {}
    for group in answer["sessionGroups"]:
        values = {metric["name"]["tag"]: metric["value"] for metric in group["metricValues"]}
        shown[group["hparams"]["model"]] = values[first[1]]
    assert set(shown) == set(NAMES)
    for name, value in shown.items():
        points = get(board, "scalars/scalars", run=name, tag=first[1])
        assert value == pytest.approx(points[-1][2])


def test_texts_hold_the_config_and_the_command(board: str) -> None:
    assert all(set(tags) == {"command", "config"} for tags in get(board, "text/tags").values())
    (config,) = get(board, "text/text", run="dlrm", tag="config")
    assert "mixed_precision" in config["text"]
    (command,) = get(board, "text/text", run="dlrm", tag="command")
    assert command_line() in html.unescape(command["text"])


def expected_vectors(name: str, model: Recommender) -> np.ndarray:
    """Returns the vectors of all items from the model's own variables."""
    if isinstance(model, VAECF):
        return model.decoder.kernels[-1].numpy().T
    table = "deep/item" if name in ("dlrm", "wide_deep") else "item"
    rows = model.tables.rows(table).numpy()[FIRST_ID : model.schema.cardinality("item")]
    return rows if isinstance(model, NCF) else rows[:, : model.config.dim]


@pytest.mark.parametrize("name", NAMES)
def test_the_projector_has_vectors_and_titles(
    board: str,
    runs: tuple[Path, dict[str, Recommender]],
    name: str,
    synthetic_data: PreparedDataset,
) -> None:
    (info,) = get(board, "projector/info", run=name)["embeddings"]
    query = {"run": name, "name": info["tensorName"]}
    url = f"{board}/data/plugin/projector"
    content = requests.get(f"{url}/tensor", params=query, timeout=60).content
    vectors = np.frombuffer(content, np.float32).reshape(info["tensorShape"])
    np.testing.assert_allclose(vectors, expected_vectors(name, runs[1][name]), rtol=1e-4, atol=1e-9)
    lines = requests.get(f"{url}/metadata", params=query, timeout=60).text.splitlines()
    assert lines[0] == "title\tid\tpopularity_rank"
    first = synthetic_data.raw_ids("item")[0]
    assert lines[1] == f"Synthetic item {first}\t{first}\t1"
    assert len(lines) == 1 + len(vectors)


def test_the_projector_has_the_most_frequent_items_only(
    checkerboard_data: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projector, "MOST_ITEMS", 10)
    for name in ("popularity", "ncf"):
        config = recipe(name, "tiny")
        model = build_model(config, checkerboard_data)
        assert not any(tmp_path.iterdir())  # popularity has no vectors
        write_projector(TrainedRun(tmp_path, config, checkerboard_data, model, 0), silent=False)
    items = checkerboard_data.raw_ids("item")[:10]
    lines = (tmp_path / "projector" / "items_metadata.tsv").read_text().splitlines()
    expected = ["id\tpopularity_rank", *(f"{item}\t{n}" for n, item in enumerate(items, 1))]
    assert lines == expected  # and these items have no titles
    vectors = np.loadtxt(tmp_path / "projector" / "items.tsv")
    np.testing.assert_allclose(vectors, model.tables.rows("item")[FIRST_ID:12], rtol=1e-4)


def test_a_signal_gets_a_profile_of_the_next_steps(
    runs: tuple[Path, dict[str, Recommender]],
) -> None:
    (file,) = (runs[0] / "ncf" / "plugins" / "profile").rglob("*.xplane.pb")
    space = xplane_pb2.XSpace.FromString(file.read_bytes())
    counts: dict[str, int] = {}
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                counts[name] = counts.get(name, 0) + 1
    batches = next(count for name, count in counts.items() if re.match("IteratorGetNext", name))
    assert batches == 10


def test_a_browser_shows_the_charts(board: str) -> None:
    with open_browser((1600, 1300)) as opened:
        page = opened.page
        page.goto(f"{board}/#timeseries")
        for text in ("1_quality/loss", f"1_quality/validation/{METRIC}"):
            expect(page.get_by_text(text, exact=True).first).to_be_visible(timeout=60_000)
        page.goto("about:blank")
        page.goto(f"{board}/#custom_scalars")
        for text in ("Overview", "Training loss and its parts", "Learning rates"):
            expect(page.get_by_text(text, exact=True).first).to_be_visible(timeout=60_000)
        for name in NAMES:
            expect(page.get_by_text(name, exact=True).first).to_be_visible()
        lines = page.locator("vz-line-chart2 path.line")
        expect(lines.first).to_be_attached(timeout=60_000)
        assert opened.faults == []
