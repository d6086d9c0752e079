"""Asks a served model, TF Serving's or the local server's, over REST or gRPC.

python -m serving.client --url=http://127.0.0.1:8501 --model_name=ncf --users=5,17 --k=5
python -m serving.client --url=grpc://127.0.0.1:8500 --model_name=ncf --users=5,17 --k=5
python -m serving.client --model_name=wide_deep --features='{"age": [39], "sex": ["Female"]}'
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from absl import app, flags

from data.command_line import no_argument, parse_flags
from data.errors import InputError
from serving.client import Client


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise InputError(
            "Raw user ids must be integers, or --text_ids be given",
            received=repr(text),
            action="Pass --text_ids where the source's user ids are text",
        ) from error


def _features(text: str) -> dict[str, list[Any]]:
    try:
        features = json.loads(text)
    except ValueError as error:
        raise InputError("--features must be JSON", received=error) from error
    if isinstance(features, dict) and all(isinstance(v, list) for v in features.values()):
        return features
    raise InputError(
        "--features must hold a list of values by name", received=text, action='As {"age": [39]}'
    )


def _print_recommendations(client: Client, texts: Sequence[str], k: int, text_ids: bool) -> None:
    for text in texts:
        user = text if text_ids else _integer(text)
        answer = client.recommend(user, k)
        shown = "  ".join(f"{r.item} ({r.score:.2f})" for r in answer.recommendations)
        note = "  [unknown user: popular items]" if answer.is_popular else ""
        print(f"user {user}: {shown}{note}")


def _print_scores(client: Client, features: Mapping[str, Sequence[Any]]) -> None:
    answer = client.score(features)
    for row in range(len(answer["logit"])):
        shown = [f"{n} {answer[n][row]:.4f}" for n in ("probability", "logit") if n in answer]
        print(f"row {row + 1}: {', '.join(shown)}")


def main(argv: list[str]) -> None:
    """Asks for each user or row and prints a table."""
    values = flags.FLAGS
    no_argument(argv)
    try:
        client = Client(values.url, values.model_name)
        if not values.users and not values.features:
            raise InputError("--users or --features must be given", action="See --help")
        _print_recommendations(client, values.users or [], values.k, values.text_ids)
        if values.features:
            _print_scores(client, _features(values.features))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    flags.DEFINE_string("url", "http://127.0.0.1:8501", "The server; grpc:// for gRPC.")
    flags.DEFINE_string("model_name", "ncf", "The model's name there.")
    flags.DEFINE_list("users", None, "Raw user ids to recommend to, by comma.")
    flags.DEFINE_bool("text_ids", False, "Whether user ids are text and not integers.")
    flags.DEFINE_integer("k", 10, "Items for each user.", lower_bound=1)
    flags.DEFINE_string("features", None, "Rows to score: JSON, a list of values by input.")
    app.run(main, flags_parser=parse_flags)
