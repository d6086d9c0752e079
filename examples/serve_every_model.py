"""Trains, exports and serves all five models, and asks each in four ways: the answers are equal.

  python examples/serve_every_model.py --work=FOLDER

By curl, by our client over REST and over gRPC, and by the plain gRPC stubs of
`tensorflow-serving-api`. Takes a few minutes; all data is made up.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import grpc
import numpy as np
import tensorflow as tf
from absl import app, flags
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from benchmarks.served import free_ports
from data.dataset import PreparedDataset
from data.errors import InputError
from serving.client import Client

MODELS = ("wide_deep", "dlrm", "ncf", "vae_cf", "bert4rec")
_WORK = flags.DEFINE_string("work", None, "Folder for everything; by default one that is removed.")
_K = 5

Lists = list[tuple[list[int], list[float]]]  # items and scores of each user


def run(*arguments: str) -> None:
    """Shows and runs one of our commands."""
    print("$ python -m", " ".join(arguments), flush=True)
    subprocess.run([sys.executable, "-m", *arguments], check=True, stdout=subprocess.DEVNULL)


def train_and_export(work: Path) -> None:
    """Prepares data, and trains and exports every model."""
    run("data.prepare", "--dataset=synthetic", "--synthetic_users=400", "--synthetic_items=200", "--synthetic_ratings=12000",
        f"--out={work / 'data'}")  # fmt: skip
    for model in MODELS:
        run("trainers.run", f"--model={model}", "--recipe=tiny", f"--data_dir={work / 'data'}",
            f"--model_dir={work / 'runs' / model}")  # fmt: skip
        run("serving.export", f"--model_dir={work / 'runs' / model}",
            f"--export_dir={work / 'exports' / model}")  # fmt: skip


def by_curl(url: str, model: str, users: list[int]) -> Lists:
    """Asks in row form."""
    body = {"instances": [{"user": user, "k": _K} for user in users]}
    command = ["curl", "--silent", "--show-error", "-d", json.dumps(body)]
    done = subprocess.run(
        [*command, f"{url}/v1/models/{model}:predict"], check=True, capture_output=True, text=True
    )
    return [(row["items"], row["scores"]) for row in json.loads(done.stdout)["predictions"]]


def by_client(url: str, model: str, users: list[int]) -> Lists:
    """Asks one user after the other."""
    with Client(url, model) as client:
        answers = [client.recommend(user, _K).recommendations for user in users]
    return [([int(r.item) for r in of], [r.score for r in of]) for of in answers]


def by_stubs(target: str, model: str, users: list[int]) -> Lists:
    """Asks with nothing of ours."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.inputs["user"].CopyFrom(tf.make_tensor_proto(users, tf.int64))
    request.inputs["k"].CopyFrom(tf.make_tensor_proto([_K] * len(users), tf.int32))
    with grpc.insecure_channel(target) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        outputs = stub.Predict(request, timeout=30).outputs
    items, scores = (tf.make_ndarray(outputs[name]) for name in ("items", "scores"))
    return list(zip(items.tolist(), scores.tolist(), strict=True))


def compare(work: Path, grpc_port: int, rest_port: int) -> None:
    """Asks every model in every way.

    Raises:
        AssertionError: Two answers differ.
    """
    url, target = f"http://127.0.0.1:{rest_port}", f"127.0.0.1:{grpc_port}"
    users = PreparedDataset(work / "data").raw_ids("user")[:20].tolist()
    for model in MODELS:
        answers = {
            "curl": by_curl(url, model, users),
            "client over REST": by_client(url, model, users),
            "client over gRPC": by_client(f"grpc://{target}", model, users),
            "gRPC stubs": by_stubs(target, model, users),
        }
        first = answers["curl"]
        for way, lists in answers.items():
            for (items, scores), (others, other_scores) in zip(first, lists, strict=True):
                np.testing.assert_allclose(scores, other_scores, rtol=1e-5, err_msg=way)
                assert items == others, f"{model} by {way}: {others}, by curl {items}"
        print(f"{model}: {len(users)} users by {', '.join(answers)}: all equal; {first[0][0]}")


def serve(work: Path) -> None:
    """Serves all exports and compares."""
    grpc_port, rest_port = free_ports(2)
    entries = "".join(
        f"config {{ name: '{model}' base_path: '{work.resolve() / 'exports' / model}' "
        "model_platform: 'tensorflow' }\n"
        for model in MODELS
    )
    (work / "models.config").write_text(f"model_config_list {{ {entries} }}")
    command = [sys.executable, "-m", "serving.local_server", f"--port={grpc_port}"]
    command += [f"--rest_api_port={rest_port}", f"--model_config_file={work / 'models.config'}"]
    print("$ python", " ".join(command[1:]), "&", flush=True)
    with subprocess.Popen(command) as server:
        try:
            wait_for(server, f"http://127.0.0.1:{rest_port}")
            compare(work, grpc_port, rest_port)
        finally:
            server.terminate()


def wait_for(server: subprocess.Popen[bytes], url: str) -> None:
    """Waits until the server answers."""
    with Client(url, MODELS[0]) as client:
        while server.poll() is None:
            try:
                client.versions()
            except InputError:
                time.sleep(0.2)
            else:
                return
    raise InputError("The server must start", received=f"exit code {server.returncode}")


def main(argv: list[str]) -> None:
    """Runs it all."""
    del argv
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(_WORK.value or scratch)
        train_and_export(work)
        serve(work)


if __name__ == "__main__":
    app.run(main)
