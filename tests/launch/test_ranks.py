"""Ranks that die, freeze or refuse: all end within seconds, and the one at fault is named."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from data.dataset import PreparedDataset
from launch.ranks import failure
from tests.trainers.hashed_clicks import hashed_clicks

REPOSITORY = Path(__file__).parents[2]

pytestmark = pytest.mark.horovod


def run_flags(data: PreparedDataset, model_dir: Path, *more: str) -> list[str]:
    flags = ["--model=ncf", "--recipe=tiny", f"--data_dir={data.folder}"]
    flags += [f"--model_dir={model_dir}", "--set=trainer.patience=0", *more]
    return [*flags, "--set=trainer.placement=sharded", "--set=trainer.checkpoint_steps=10"]


@contextlib.contextmanager
def started(*command: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        ["bash", f"launch/{command[0]}", *command[1:]],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHON": sys.executable, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for_checkpoint(model_dir: Path, process: subprocess.Popen[str]) -> None:
    while not list((model_dir / "checkpoints").glob("step-*")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)


def read_until(process: subprocess.Popen[str], text: str) -> bool:
    assert process.stdout is not None
    return any(text in line for line in process.stdout)


def process_of(model_dir: Path, **wanted: str) -> psutil.Process:
    """Finds the process of a rank by its environment and its run folder."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            line, environment = process.cmdline(), process.environ()
            is_run = line[:1] == [sys.executable] and f"--model_dir={model_dir}" in line
            if is_run and all(environment.get(k) == v for k, v in wanted.items()):
                return process
    raise AssertionError(f"no process with {wanted}")


@pytest.mark.parametrize(
    ("number", "ranks", "reason"),
    [
        (signal.SIGKILL, 3, "Rank 1 failed first (killed by SIGKILL)"),
        (signal.SIGSTOP, 2, "no sign of"),
    ],
)
def test_a_killed_or_frozen_rank_ends_all_within_30_seconds_and_is_named(
    number: int, ranks: int, reason: str, synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    flags = run_flags(synthetic_data, tmp_path, "--epochs=900")
    with started("local.sh", str(ranks), *flags, STALL_WARNING="2", STALL_SHUTDOWN="4") as process:
        wait_for_checkpoint(tmp_path, process)
        victim = process_of(tmp_path, HOROVOD_RANK="1")
        os.kill(victim.pid, number)
        output = process.communicate(timeout=30)[0]
        with contextlib.suppress(psutil.Error):
            victim.kill()
    assert process.returncode > 0
    told = output[output.index("failed first") - 20 :] if number == signal.SIGKILL else output
    assert reason in told
    assert ("memory runs out (dmesg" in output) == (number == signal.SIGKILL)
    if number == signal.SIGSTOP:
        assert f"error: A rank is stalled: rank 1 ({os.uname().nodename}, process" in output
    assert "launch_gloo" not in output  # no traceback of horovodrun


def faulty_run(
    faults: str, data: PreparedDataset, model_dir: Path, **environment: str
) -> tuple[int, str]:
    """Returns the exit code and output of two ranks, the second of which meets faults."""
    flags = run_flags(data, model_dir, "--epochs=6", "--set=trainer.steps_per_call=10")
    command = ("local.sh", "2", "-m", "tests.launch.faulty_run", *flags)
    with started(*command, FAULTS=faults, **environment) as process:
        output = process.communicate(timeout=120)[0]
    return process.returncode, output


def test_a_rank_that_waits_for_its_input_is_named_and_one_whose_loss_is_no_number_ends_all(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    patience = {"STALL_WARNING": "2", "STALL_SHUTDOWN": "0"}
    # Both within a call of several steps; an epoch has seven.
    code, output = faulty_run("stall:22,nan:30", synthetic_data, tmp_path, **patience)
    rank = rf"rank 1 \({os.uname().nodename}, process \d+\)"
    assert re.search(rf"waiting: {rank} is at step 22 for [2-8] s, others at 23", output), output
    assert not re.search(r"rank 0 \([^;\n]* at step 22 ", output), output
    assert code == 2, output
    last = output[output.rindex("Rank 1 failed first (exit code 2)") :]
    assert "must stay finite. Received: NaN or infinity. At: step 31, epoch 5" in last


def test_a_rank_that_fails_while_it_trains_ends_all_and_has_the_last_word(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    code, output = faulty_run("error:22", synthetic_data, tmp_path)
    assert code == 1, output
    last = output[output.rindex("Rank 1 failed first (exit code 1)") :]
    assert "RuntimeError: the disk is on fire" in last
    assert "waiting:" not in output  # nor has the other waited long


def test_a_rank_that_lost_another_is_not_told_as_the_first(tmp_path: Path) -> None:
    for rank, said in enumerate(["error: Another rank has ended", "error: The reason"]):
        (tmp_path / f"rank.{rank}").mkdir()
        (tmp_path / f"rank.{rank}" / "stderr").write_text(f"epoch 1/6\n{said}\n")
    exits = "Process 0 exit with status code 3.\nProcess 1 exit with status code 2.\n"
    text, code = failure(f"{exits}to do so was:\nProcess name: 0\nExit code: 3\n", tmp_path)
    assert code == 2
    assert text.startswith("Rank 1 failed first (exit code 2)")
    assert "error: The reason" in text


def slurm_of_this_host(folder: Path) -> dict[str, str]:
    """Returns the environment of a job on this host, whose `scontrol` writes down its requeues."""
    scontrol = folder / "scontrol"
    scontrol.write_text(
        f"#!/bin/sh\ncase $1 in requeue) echo $2 >{folder}/requeued;; esac\necho localhost\n"
    )
    scontrol.chmod(0o755)
    return {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "SLURM_JOB_NODELIST": "localhost",
        "SLURM_GPUS_ON_NODE": "2",
        "SLURM_JOB_ID": "42",
    }


def test_stop_signals_save_and_other_numbers_of_ranks_go_on(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    flags = run_flags(synthetic_data, run, "--epochs=400", "--set=trainer.steps_per_call=1")

    def goes_on(process: subprocess.Popen[str], step: int) -> bool:
        return read_until(process, f"Going on from step {step} of") and read_until(process, "epoch")

    def is_saved_by(ranks: int, output: str) -> int:
        assert "Stopped by SIGTERM; the same command goes on from here" in output
        assert "trainers/run.py" not in output, output  # no traceback of ours
        saved = sorted((run / "checkpoints").glob("step-*"))[-1]
        files = {path.name for path in (saved / "tables" / "item").glob("values-*")}
        assert files == {f"values-{r:05d}-of-{ranks:05d}.npy" for r in range(ranks)}
        return int(json.loads((saved / "state.json").read_text())["step"])

    with started("local.sh", "3", *flags) as process:
        wait_for_checkpoint(run, process)
        process_of(run, HOROVOD_RANK="2").terminate()
        output = process.communicate(timeout=60)[0]
    step = is_saved_by(3, output)
    assert "failed first (killed by SIGTERM)" in output

    with started("slurm.sbatch", *flags, **slurm_of_this_host(tmp_path)) as process:
        assert goes_on(process, step)
        process.send_signal(signal.SIGUSR1)  # as Slurm before the time limit
        output = process.communicate(timeout=60)[0]
    step = is_saved_by(2, output)
    assert process.returncode == 0
    assert (tmp_path / "requeued").read_text() == "42\n"

    with started("local.sh", "1", *flags) as process:
        assert goes_on(process, step)
        process.send_signal(signal.SIGINT)  # Ctrl-C
        output = process.communicate(timeout=60)[0]
    is_saved_by(1, output)
    assert process.returncode == 128 + signal.SIGINT
    assert "Stopped by a signal" in output
    assert "failed first" not in output


def test_an_elastic_run_goes_on_without_a_killed_rank(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    hosts = tmp_path / "hosts.sh"
    # Two names of this machine: a host is not used again once a rank of it died.
    hosts.write_text("#!/bin/sh\nprintf 'localhost:2\\n127.0.0.1:1\\n'\n")
    hosts.chmod(0o755)
    run = tmp_path / "run"
    flags = run_flags(synthetic_data, run, "--epochs=3")
    with started("elastic.sh", str(hosts), "2", "3", *flags, NETWORK_INTERFACE="lo") as process:
        wait_for_checkpoint(run, process)
        process_of(run, HOROVOD_HOSTNAME="127.0.0.1").kill()
        output = process.communicate(timeout=150)[0]
    assert process.returncode == 0, output
    assert "1/3 of its rows" in output
    assert "A rank is gone; going on with those that are left" in output
    assert output.index("1/3 of its rows") < output.index("1/2 of its rows")
    assert "Going on from step" in output
    metrics = json.loads((run / "metrics.json").read_text())["metrics"]
    assert metrics["hr@10/sampled99"] > 0.1


@pytest.mark.long
def test_three_ranks_train_tables_that_one_has_no_memory_for(tmp_path: Path) -> None:
    data = hashed_clicks(tmp_path / "data", 2_000_000)  # 1.4 GiB with slots, 64 wide
    settings = ["model.dim=64", "model.table_optimizer=adam", "trainer.placement=sharded"]
    flags = ["-m", "tests.launch.limited_run", "--model=dlrm", "--recipe=tiny", "--epochs=1"]
    flags += [f"--data_dir={data.folder}", *(f"--set={setting}" for setting in settings)]
    limit = 1500  # MiB of a process, code and all
    limited = {"LIMIT_MIB": str(limit)}
    with started("local.sh", "1", *flags, f"--model_dir={tmp_path / 'one'}", **limited) as process:
        output = process.communicate(timeout=120)[0]
    assert process.returncode == 2, output
    assert "The tables' optimizer slots must fit into this process's memory" in output
    assert "by trainers.run --plan; tables are dealt to more ranks by launch/local.sh" in output
    run = tmp_path / "three"
    with started("local.sh", "3", *flags, f"--model_dir={run}", **limited) as process:
        output = process.communicate(timeout=180)[0]
    assert process.returncode == 0, output
    results = json.loads((run / "metrics.json").read_text())
    assert "auc" in results["metrics"]
    assert results["timings"]["peak_bytes"] < limit * 2**20


def test_the_first_rank_to_refuse_is_told_at_the_end(tmp_path: Path) -> None:
    flags = ["--model=ncf", f"--model_dir={tmp_path}", "--data_dir=nowhere"]
    with started("local.sh", "2", *flags, LOG_DIR=str(tmp_path / "logs")) as process:
        output = process.communicate(timeout=60)[0]
    assert process.returncode == 2
    end = output[output.rindex("failed first (exit code 2)") :]
    assert "must hold a schema.json" in end
    assert f"Output of each rank: {tmp_path / 'logs'}" in end


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["local.sh"], "the number of ranks comes first. Received: ''"),
        (["local.sh", "--model=ncf"], "Received: '--model=ncf'"),
        (["ssh.sh", "none.txt"], "a file of hosts comes first. Received: 'none.txt'"),
        (["elastic.sh", "2", "3"], "a program that prints hosts"),
    ],
)
def test_launchers_say_what_they_need(command: list[str], message: str) -> None:
    with started(*command) as process:
        output = process.communicate(timeout=30)[0]
    assert process.returncode == 2
    assert message in output


def test_elastic_says_why_it_waits(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts.sh"
    hosts.write_text("#!/bin/sh\necho localhost:1\n")
    hosts.chmod(0o755)
    with started("elastic.sh", str(hosts), "1", "1", NETWORK_INTERFACE="") as process:
        assert read_until(process, "waits until there are two. With one host: NETWORK_INTERFACE=lo")
        process.terminate()
        process.wait(timeout=30)


def test_a_bad_line_of_hosts_is_named(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts.txt"
    hosts.write_text("# ours\nnode1 slots=8\nnode2:8\n")
    with started("ssh.sh", str(hosts)) as process:
        output = process.communicate(timeout=30)[0]
    assert process.returncode == 2
    assert f"Received: 'node2:8', line 3 of {hosts}" in output
