"""Asks a served model for recommendations over REST: TF Serving's or the local server.

python -m serving.client --url=http://127.0.0.1:8501 --model_name=ncf --users=5,17 --k=5
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
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

    def _nobody(self) -> RawId:
        """Returns the padding of users, whose type the server knows."""
        metadata = self._call("GET", "/metadata")["metadata"]["signature_def"]["signature_def"]
        is_text = metadata["recommend"]["inputs"]["user"]["dtype"] == "DT_STRING"
        return "" if is_text else -1

    def _predict(self, body: dict[str, Any]) -> dict[str, Any]:
        return self._call("POST", ":predict", body)["outputs"]

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            url = f"{self._model_url}{path}"
            answer = self._session.request(method, url, json=body, timeout=self._timeout)
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


def main(argv: list[str]) -> None:
    """Asks for each user and prints a table."""
    values = flags.FLAGS
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument: {argv[1]}")
    client = Client(values.url, values.model_name)
    try:
        for text in values.users:
            user = text if values.text_ids else _integer(text)
            answer = client.recommend(user, values.k)
            shown = "  ".join(f"{r.item} ({r.score:.2f})" for r in answer.recommendations)
            note = "  [unknown user: popular items]" if answer.is_popular else ""
            print(f"user {user}: {shown}{note}")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    flags.DEFINE_string("url", "http://127.0.0.1:8501", "The server.")
    flags.DEFINE_string("model_name", "ncf", "The model's name there.")
    flags.DEFINE_list("users", None, "Raw user ids, by comma.", required=True)
    flags.DEFINE_bool("text_ids", False, "Whether user ids are text and not integers.")
    flags.DEFINE_integer("k", 10, "Items for each user.", lower_bound=1)
    app.run(main)
