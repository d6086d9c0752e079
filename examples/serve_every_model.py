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
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import grpc
import numpy as np
import tensorflow as tf
from absl import app, flags
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from benchmarks.served import server
from data.dataset import PreparedDataset
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
    world = ["--synthetic_users=400", "--synthetic_items=200", "--synthetic_ratings=12000"]
    run("data.prepare", "--dataset=synthetic", *world, f"--out={work / 'data'}")
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


def by_stubs(url: str, model: str, users: list[int]) -> Lists:
    """Asks with nothing of ours."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.inputs["user"].CopyFrom(tf.make_tensor_proto(users, tf.int64))
    request.inputs["k"].CopyFrom(tf.make_tensor_proto([_K] * len(users), tf.int32))
    with grpc.insecure_channel(url.removeprefix("grpc://")) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        outputs = stub.Predict(request, timeout=30).outputs
    items, scores = (tf.make_ndarray(outputs[name]) for name in ("items", "scores"))
    return list(zip(items.tolist(), scores.tolist(), strict=True))


def compare(work: Path, grpc_url: str, rest_url: str) -> None:
    """Asks every model in every way.

    Raises:
        AssertionError: Two answers differ.
    """
    users = PreparedDataset(work / "data").raw_ids("user")[:20].tolist()
    for model in MODELS:
        answers = {
            "curl": by_curl(rest_url, model, users),
            "client over REST": by_client(rest_url, model, users),
            "client over gRPC": by_client(grpc_url, model, users),
            "gRPC stubs": by_stubs(grpc_url, model, users),
        }
        first = answers["curl"]
        for way, lists in answers.items():
            for (items, scores), (others, other_scores) in zip(first, lists, strict=True):
                np.testing.assert_allclose(scores, other_scores, 1e-5, 1e-5, err_msg=way)
                assert items == others, f"{model} by {way}: {others}, by curl {items}"
        print(f"{model}: {len(users)} users by {', '.join(answers)}: all equal; {first[0][0]}")


def serve(work: Path) -> None:
    """Serves all exports and compares."""
    exports = {model: work / "exports" / model for model in MODELS}
    print("$ python -m serving.local_server --model_config_file=... &", flush=True)
    with server(exports, []) as (addresses, _):
        compare(work, addresses["grpc"], addresses["rest"])


def main(argv: list[str]) -> None:
    """Runs it all."""
    del argv
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(_WORK.value or scratch)
        train_and_export(work)
        serve(work)


if __name__ == "__main__":
    app.run(main)
