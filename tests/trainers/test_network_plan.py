"""What ranks send each other: predicted, and counted in real runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from configs.overrides import apply_overrides
from configs.registry import recipe
from data.dataset import PreparedDataset
from data.errors import InputError
from tests.commands import run_module
from tests.trainers.communication import predicted_bytes
from trainers.measure_network import Timed, fit
from trainers.planning.network import Collective, Network, collectives, network_table
from trainers.planning.unallocated import trace

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("text", "bandwidth", "latency"),
    [("100Gbit,5us", 12.5e9, 5e-6), ("450GB, 3 us", 450e9, 3e-6), ("800Mbit,1ms", 1e8, 1e-3)],
)
def test_networks_are_read(text: str, bandwidth: float, latency: float) -> None:
    network = Network.parse(text)
    assert network.bandwidth == pytest.approx(bandwidth)
    assert network.latency == pytest.approx(latency)


@pytest.mark.parametrize("text", ["fast", "100Gbit", "100Gbit;5us", "5us,100Gbit"])
def test_other_networks_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"--network must give.*Such as"):
        Network.parse(text)


def test_time_is_bytes_over_bandwidth_and_messages_times_latency() -> None:
    network = Network(1e9, 1e-3)
    one = Collective("x", 5e6, 3)
    assert one.seconds(network) == pytest.approx(0.005 + 0.003)
    last = network_table([one], network, 100, 0.012, 4).splitlines()[-1]
    assert last == "20,000 rows/s on 4 ranks, 8,333 on one; 40% of the time in collectives"


@pytest.mark.parametrize("wire", ["float32", "bfloat16"])
def test_a_sharded_batch_crosses_the_wire_once_each_way(
    synthetic_data: PreparedDataset, wire: str
) -> None:
    config = apply_overrides(
        recipe("ncf", "tiny"), ["trainer.placement=sharded", f"trainer.wire_dtype={wire}"]
    )
    traced = trace(config, synthetic_data, 4)
    ((key, unique),) = traced.unique_rows().items()
    numbers, vectors, gradients, dense = collectives(traced.model, {key: unique}, config.trainer, 4)
    assert 400 < unique <= 602  # nearly all users and items
    assert numbers.sent == unique * 3 / 4 * 4
    width = traced.model.tables.stacks[0].dim * (4 if wire == "float32" else 2)
    assert vectors.sent == gradients.sent == unique * 3 / 4 * width
    weights = sum(w.shape.num_elements() for w in traced.model.trainable_variables)
    assert dense.sent == pytest.approx(weights * 4 * 2 * 3 / 4)


def test_the_plan_prints_what_ranks_send(synthetic_data: PreparedDataset) -> None:
    flags = ["--model=ncf", "--recipe=tiny", f"--data_dir={synthetic_data.folder}"]
    planning = ("--plan", "--ranks=2", "--network=10Gbit,50us")
    plan = run_module("trainers.run", *planning, *flags).stdout
    (printed,) = re.findall(r"^together +([\d.,]+)", plan, re.MULTILINE)
    predicted = predicted_bytes(recipe("ncf", "tiny"), synthetic_data, 2)
    assert float(printed) == pytest.approx(predicted / 1e6, abs=5e-4)


@pytest.mark.horovod
def test_bytes_are_counted_as_predicted(synthetic_data: PreparedDataset, tmp_path: Path) -> None:
    settings = ["trainer.placement=replicated", "trainer.batch_size=512"]
    flags = ["--model=ncf", "--recipe=tiny", f"--data_dir={synthetic_data.folder}"]
    flags += ["--mode=benchmark", "--benchmark_steps=10", f"--model_dir={tmp_path}"]
    done = subprocess.run(
        ["launch/local.sh", "2", *flags, *(f"--set={setting}" for setting in settings)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHON": sys.executable},
        check=True,
        capture_output=True,
        text=True,
    )
    found = json.loads((tmp_path / "benchmark.json").read_text())
    config = apply_overrides(recipe("ncf", "tiny"), settings)
    predicted = predicted_bytes(config, synthetic_data, 2)
    assert found["sent_bytes"] == pytest.approx(predicted, rel=0.05)
    assert 0 < found["collectives_ms"] < 1000
    sent = f"{found['sent_bytes'] / 2**20:,.3f} MiB sent"
    assert re.search(rf"collectives, ms a step +[\d.]+, {sent}$", done.stdout, re.MULTILINE)


def test_the_fitted_network_is_the_one_that_gave_the_times() -> None:
    network = Network(bandwidth=5e8, latency=3e-4)
    sizes = [Collective("all-to-all", sent, 2) for sent in (1e3, 1e5, 1e7)]
    fitted = fit([Timed(size, size.seconds(network)) for size in sizes])
    assert fitted.bandwidth == pytest.approx(5e8)
    assert fitted.latency == pytest.approx(3e-4)


@pytest.mark.horovod
def test_two_ranks_measure_what_they_can_send() -> None:
    measuring = ["-m", "trainers.measure_network", "--kib=4,16384", "--repeats=3"]
    said = subprocess.run(
        ["launch/local.sh", "2", *measuring],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHON": sys.executable},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    lines = re.findall(r"(all-to-all|sum) +([\d,]+) +[\d.]+ +[\d.]+ +[\d,]+$", said, re.MULTILINE)
    sizes = ("4", "16,384")
    assert lines == [(name, size) for name in ("all-to-all", "sum") for size in sizes]
    network = Network.parse(re.findall(r"--network=(\S+)", said)[0])
    assert 1e7 < network.bandwidth < 1e11
    assert 1e-6 < network.latency < 0.1


@pytest.mark.parametrize(
    ("flag", "message"),
    [("--kib=4,16", "launch/local.sh 2 -m trainers.measure_network"), ("--kib=4", "two sizes")],
)
def test_one_rank_or_one_size_measure_nothing(flag: str, message: str) -> None:
    done = run_module("trainers.measure_network", flag)
    assert done.returncode == 2
    assert message in done.stderr
