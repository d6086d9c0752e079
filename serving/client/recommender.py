"""Asks a served model for recommendations and scores, in plain Python values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

from data.errors import InputError
from serving.client.errors import RequestError
from serving.client.over_rest import RestTransport
from serving.client.transport import Transport
from serving.client.values import plain

RawId = int | str
_RECOMMEND = "recommend"
_Self = TypeVar("_Self", bound="Recommender")


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
        is_popular: Whether these are the most popular items, as nothing is known of the user.
        unknown_share: Share of the given user and history ids that training never saw.
    """

    recommendations: list[Recommendation]
    is_popular: bool
    unknown_share: float


class Recommender:
    """Asks one model. Not for several threads at once.

    Args:
        transport: What the model is asked through.
        list_width: Length to which lists of ids are padded at least.
    """

    def __init__(self, transport: Transport, list_width: int = 0) -> None:
        self._transport = transport
        self._list_width = list_width

    def __enter__(self: _Self) -> _Self:
        """Returns itself, to be closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the connection."""
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._transport.close()

    def versions(self) -> dict[int, str]:
        """Returns the state of each version that the server knows, such as `AVAILABLE`.

        Raises:
            RequestError: The server's error, or no answer.
        """
        return self._transport.versions()

    def recommend(
        self,
        user: RawId | None = None,
        k: int = 10,
        *,
        history: Sequence[RawId] = (),
        exclude: Sequence[RawId] = (),
        allow: Sequence[RawId] = (),
        exclude_seen: bool = True,
    ) -> Answer:
        """Returns the k best items for a user, or for a history.

        Args:
            user: The user, if known.
            k: Items wanted.
            history: Items that the user took, in time order.
            exclude: Items never to be returned.
            allow: The only items to be returned; none for all.
            exclude_seen: Whether to leave out items that the user has taken.

        Raises:
            InputError: Neither user nor history.
            RequestError: The server's error, or no answer.
        """
        if user is None and not history:
            raise InputError("recommend needs a user or a history")
        if user is not None and exclude_seen and not (history or exclude or allow):
            outputs = self._predict("recommend_user", {"user": [user], "k": [k]})
            return _answer(outputs)
        outputs = self._predict(
            _RECOMMEND,
            {
                "user": [self._padding("user") if user is None else user],
                "history": [self._padded("history", history)],
                "exclude": [self._padded("exclude", exclude)],
                "allow": [self._padded("allow", allow)],
                "k": [k],
                "exclude_seen": [exclude_seen],
            },
        )
        return _answer(outputs)

    def score(self, inputs: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Scores pairs of a user and an item, or rows of raw features.

        Args:
            inputs: By name, a list, tuple or array of a value for each row; NaN for a missing
                number.

        Returns:
            `logit` and, where the model has them, `probability` and `is_known`, for each row.

        Raises:
            RequestError: The server's error, or no answer.
        """
        return self._predict("score", inputs)

    def _predict(self, signature: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return self._transport.predict(signature, {n: plain(v) for n, v in inputs.items()})

    def _padded(self, name: str, ids: Sequence[RawId]) -> list[RawId]:
        missing = self._list_width - len(ids)
        return [*ids, *([self._padding(name)] * missing if missing > 0 else [])]

    def _padding(self, name: str) -> RawId:
        """Returns what stands for no id in an input, whose type the server knows."""
        signatures = self._transport.inputs()
        if _RECOMMEND not in signatures:
            raise RequestError(
                "The model must have the signature recommend",
                "INVALID_ARGUMENT",
                received=", ".join(sorted(signatures)),
                where=self._transport.address,
            )
        return "" if signatures[_RECOMMEND][name].dtype == "DT_STRING" else -1


class Client(Recommender):
    """A client of one served model. Not for several threads at once.

    Args:
        url: Of the server: `http://127.0.0.1:8501` or `https://`, `grpc://127.0.0.1:8500` or
            `grpcs://`. gRPC needs TensorFlow here, REST does not.
        model_name: The model's name there.
        timeout: Seconds for a request, retries included. The first answer may take two requests,
            as the model is asked for the types of its inputs.
        retries: Most further attempts where the server is busy or away.
        version: The version to ask, if not the latest.
        label: The label of the version to ask.
        list_width: Length to which lists of ids are padded at least. TF Serving with batching needs
            lists of one length in all requests.

    Raises:
        InputError: An address of another form, or both a version and a label.
    """

    def __init__(
        self,
        url: str,
        model_name: str,
        timeout: float = 10.0,
        *,
        retries: int = 2,
        version: int | None = None,
        label: str | None = None,
        list_width: int = 0,
    ) -> None:
        super().__init__(connect(url, model_name, timeout, retries, version, label), list_width)


def connect(
    url: str,
    model_name: str,
    timeout: float = 10.0,
    retries: int = 2,
    version: int | None = None,
    label: str | None = None,
) -> Transport:
    """Returns what one served model is asked through; arguments and errors as of `Client`."""
    if version is not None and label is not None:
        raise InputError("A version or a label can be asked for, not both")
    if url.startswith(("http://", "https://")):
        path = quote(model_name, safe="")
        path += f"/versions/{version}" if version is not None else ""
        path += f"/labels/{quote(label, safe='')}" if label is not None else ""
        return RestTransport(url, path, timeout, retries)
    if url.startswith(("grpc://", "grpcs://")):
        # TensorFlow takes seconds to load, and REST needs none of it.
        from serving.client.over_grpc import GrpcTransport, model_spec

        spec = model_spec(model_name, version, label)
        return GrpcTransport(url, spec, timeout, retries)
    raise InputError(
        "A server's address must start with http://, https://, grpc:// or grpcs://",
        received=url,
        action="For the local server: http://127.0.0.1:8501 or grpc://127.0.0.1:8500",
    )


def _answer(outputs: Mapping[str, Any]) -> Answer:
    pairs = zip(outputs["items"][0], outputs["scores"][0], strict=True)
    return Answer(
        [Recommendation(item, score) for item, score in pairs if item not in ("", -1)],
        bool(outputs["is_popular"][0]),
        float(outputs["unknown_share"][0]),
    )
