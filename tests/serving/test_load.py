"""The load test, the soak test and the example that serves every model, as users run them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Exported, ExportOf

from benchmarks import soak
from benchmarks.load import Load
from benchmarks.served import Asked, serving_table
from tests.commands import run_module

REPOSITORY = Path(__file__).parents[2]


def write_users(exported: Exported, path: Path) -> None:
    users = exported.run.data.raw_ids("user").tolist()
    path.write_text("\n".join(["user", *map(str, users)]))


@pytest.mark.long
def test_the_load_test_measures_both_protocols(neumf: Exported, tmp_path: Path) -> None:
    write_users(neumf, tmp_path / "users.csv")
    flags = [f"--exports=ncf={neumf.path.parent}", f"--users={tmp_path}/users.csv"]
    flags += ["--concurrency=1,4", "--seconds=0.3", f"--out={tmp_path}/results"]
    done = run_module("benchmarks.serving", *flags)
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "results").glob("*.json")
    loads = json.loads(path.read_text())["results"]["ncf"]
    assert {(load["protocol"], load["batching"], load["concurrency"]) for load in loads} == {
        ("bare", False, 1),
        *((p, on, n) for p in ("grpc", "rest") for on in (False, True) for n in (1, 4)),
    }
    for load in loads:
        times = list(load["milliseconds"].values())
        assert 0 < times[0] <= times[-1]
        assert load["requests_per_second"] > 1
    assert "the server adds" in done.stdout


def test_comparisons_are_those_of_the_figures() -> None:
    def load(protocol: str, batching: bool, clients: int, speed: float, p50: float) -> Load:
        return Load(protocol, batching, clients, 1, speed, {"p50": p50})

    loads = [
        load("bare", False, 1, 1000, 1.0),
        load("grpc", False, 1, 500, 1.75),
        load("grpc", False, 64, 900, 70),
        load("grpc", True, 64, 2250, 30),
    ]
    text = serving_table("ncf", loads)
    assert "- grpc, 1 rows: the server adds 0.75 ms" in text
    assert "- grpc, 64 clients, 1 rows: batching gives 2.50 times the throughput" in text


def test_memory_is_judged_from_the_second_minute_on() -> None:
    second = [(float(n), 100) for n in range(60)]
    assert soak.growth(second) is None
    steady = [(float(n), 10 if n < 60 else 200) for n in range(240)]
    assert soak.growth(steady) == 1.0
    growing = [(float(n), 100 + n) for n in range(240)]
    assert soak.growth(growing) == pytest.approx(339 / 219)
    jump_at_the_end = [(float(n), 100 if n < 119 else 150) for n in range(120)]
    assert soak.growth(jump_at_the_end) == 1.5


def test_a_soak_without_all_kinds_of_requests_is_a_fault() -> None:
    traffic = soak.Soak({"ncf": Asked("ncf", Path(), "recommend_user", [])}, {}, {})
    traffic.counts.update({"ncf by rest": 5, "ncf by grpc": 5, "malformed by rest": 1})
    assert traffic.missing() == ["never asked: malformed by grpc"]
    assert soak.verdict(traffic, 1.0) == 0
    traffic.faults += traffic.missing()
    assert soak.verdict(traffic, 1.0) == 1


@pytest.mark.long
def test_a_short_soak_is_good_and_a_fault_is_found(
    neumf: Exported, quick_export: ExportOf, tmp_path: Path
) -> None:
    write_users(neumf, tmp_path / "users.csv")
    flags = [f"--exports=ncf={neumf.path.parent}", f"--users={tmp_path}/users.csv"]
    flags += ["--minutes=0.1", "--publish_seconds=2"]
    flags += [f"--other_exports=ncf={quick_export('mf').path.parent}"]
    done = run_module("benchmarks.soak", *flags)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All good" in done.stdout
    # Bodies this small refuse good requests too.
    done = run_module("benchmarks.soak", *flags, "--server_flags=--rest_api_max_body_bytes=75")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAULT" in done.stdout


@pytest.mark.long
def test_every_model_is_served_and_answers_alike_in_four_ways() -> None:
    done = subprocess.run(
        [sys.executable, "examples/serve_every_model.py"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("all equal") == 5
