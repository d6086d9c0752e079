"""Asks a served model over REST, TF Serving's or the local server.

python -m serving.client --url=http://127.0.0.1:8501 --model_name=ncf --users=5,17 --k=5
python -m serving.client --model_name=wide_deep --features='{"age": [39], "sex": ["Female"]}'
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests
from absl import app, flags

from data.errors import InputError

RawId = int | str


@dataclass(frozen=True)
class Recommendation:
    """One recommended item and its score."""

    item: RawId
    score: float


@dataclass(frozen=True)
class Answer:
    """What the model answers.

    Attributes:
        recommendations: The best first; fewer than k where no more items are left.
        is_popular: Whether these are the most popular items, as the user is unknown.
    """

    recommendations: list[Recommendation]
    is_popular: bool


class Client:
    """A client of one served model.

    Args:
        url: Of the server, such as `http://127.0.0.1:8501`.
        model_name: The model's name there.
        timeout: Seconds to wait for an answer.
    """

    def __init__(self, url: str, model_name: str, timeout: float = 10.0) -> None:
        self._model_url = f"{url.rstrip('/')}/v1/models/{model_name}"
        self._timeout = timeout
        self._session = requests.Session()

    def recommend(
        self,
        user: RawId | None = None,
        k: int = 10,
        *,
        history: Sequence[RawId] = (),
        exclude: Sequence[RawId] = (),
        exclude_seen: bool = True,
    ) -> Answer:
        """Returns the k best items for a user, or for a history.

        Raises:
            InputError: Neither user nor history, or the server's error.
        """
        if user is None and not history:
            raise InputError("recommend needs a user or a history")
        inputs = {
            "user": [self._nobody() if user is None else user],
            "history": [list(history)],
            "exclude": [list(exclude)],
            "k": [k],
            "exclude_seen": [exclude_seen],
        }
        outputs = self._predict({"signature_name": "recommend", "inputs": inputs})
        pairs = zip(outputs["items"][0], outputs["scores"][0], strict=True)
        listed = [Recommendation(item, score) for item, score in pairs if item not in ("", -1)]
        return Answer(listed, bool(outputs["is_popular"][0]))

    def score(self, inputs: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Scores pairs of a user and an item, or rows of raw features.

        Args:
            inputs: By name, a value for each row; NaN for a missing number.

        Returns:
            `logit` and, where the model has them, `probability` and `is_known`, for each row.

        Raises:
            InputError: The server's error.
        """
        columns = {name: list(values) for name, values in inputs.items()}
        return self._predict({"signature_name": "score", "inputs": columns})

    def _nobody(self) -> RawId:
        """Returns the padding of users, whose type the server knows."""
        metadata = self._call("GET", "/metadata")["metadata"]["signature_def"]["signature_def"]
        if "recommend" not in metadata:
            raise InputError(
                "The model must have the signature recommend",
                received=", ".join(sorted(metadata)),
                where=self._model_url,
            )
        is_text = metadata["recommend"]["inputs"]["user"]["dtype"] == "DT_STRING"
        return "" if is_text else -1

    def _predict(self, body: dict[str, Any]) -> dict[str, Any]:
        return self._call("POST", ":predict", body)["outputs"]

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            url = f"{self._model_url}{path}"
            # Not by `json=`, which refuses NaN, a missing number.
            data = None if body is None else json.dumps(body)
            answer = self._session.request(method, url, data=data, timeout=self._timeout)
            content = answer.json()
        except (requests.RequestException, ValueError) as error:
            raise InputError(
                "The server must answer",
                received=error,
                where=self._model_url,
                action="Start it: python -m serving.local_server --model_base_path=EXPORT",
            ) from error
        if answer.status_code != requests.codes.ok:
            raise InputError(
                "The server must accept the request",
                received=f"{answer.status_code}: {content.get('error')}",
                where=self._model_url,
            )
        return content


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
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument: {argv[1]}")
    client = Client(values.url, values.model_name)
    try:
        if not values.users and not values.features:
            raise InputError("--users or --features must be given", action="See --help")
        _print_recommendations(client, values.users or [], values.k, values.text_ids)
        if values.features:
            _print_scores(client, _features(values.features))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    flags.DEFINE_string("url", "http://127.0.0.1:8501", "The server.")
    flags.DEFINE_string("model_name", "ncf", "The model's name there.")
    flags.DEFINE_list("users", None, "Raw user ids to recommend to, by comma.")
    flags.DEFINE_bool("text_ids", False, "Whether user ids are text and not integers.")
    flags.DEFINE_integer("k", 10, "Items for each user.", lower_bound=1)
    flags.DEFINE_string("features", None, "Rows to score: JSON, a list of values by input.")
    app.run(main)
