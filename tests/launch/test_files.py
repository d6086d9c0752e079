"""Launch files for clusters that are not here: whole, and true to the scripts that they call."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

LAUNCH = Path(__file__).parents[2] / "launch"


def test_the_mpi_job_starts_what_ssh_sh_reads() -> None:
    job = yaml.safe_load((LAUNCH / "kubernetes.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v2beta1", "MPIJob")
    replicas = job["spec"]["mpiReplicaSpecs"]
    pods = {name: part["template"]["spec"] for name, part in replicas.items()}
    launcher, worker = (pods[name]["containers"][0] for name in ("Launcher", "Worker"))
    script, hosts = launcher["command"]
    assert os.access(LAUNCH.parent / script, os.X_OK)
    assert hosts == "/etc/mpi/hostfile"
    assert launcher["image"] == worker["image"]
    for pod in pods.values():
        mounts = {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
        assert mounts == {volume["name"] for volume in pod["volumes"]}
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == job["spec"]["slotsPerWorker"]


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_docker_files_run_targets_and_scripts_that_exist(kind: str) -> None:
    text = (LAUNCH / f"Dockerfile.{kind}").read_text()
    makefile = (LAUNCH.parent / "Makefile").read_text()
    targets = re.findall(r"make (setup[a-z-]*)", text)
    assert targets
    assert all(f"\n{target}:" in makefile for target in targets)
    scripts = set(re.findall(r"launch/\w+\.sh", text))
    assert scripts
    assert all((LAUNCH.parent / script).is_file() for script in scripts)
    assert "openssh-server" in text  # a worker of kubernetes.yaml runs it


@pytest.mark.horovod
def test_the_slurm_script_trains_on_the_hosts_of_the_job(tmp_path: Path) -> None:
    scontrol = tmp_path / "scontrol"  # Slurm's own, for a job of this host alone
    scontrol.write_text("#!/bin/sh\necho localhost\n")
    scontrol.chmod(0o755)
    # Without the signs of gradients near zero, whose rounding Adam would enlarge.
    flags = ["-m", "trainers.verify_distributed", "--models=ncf", "--placements=sharded"]
    flags += ["--table_optimizers=sgd", "--wire_dtype=bfloat16"]
    done = subprocess.run(
        ["bash", str(LAUNCH / "slurm.sbatch"), *flags],
        env={
            **os.environ,
            "PYTHON": sys.executable,
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "SLURM_JOB_NODELIST": "localhost",
            "SLURM_GPUS_ON_NODE": "2",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 cases on 2 ranks: all agree with one rank" in done.stdout
