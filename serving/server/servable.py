"""One version of a model: a SavedModel, from this project or any other, and its signatures.

It runs as TF Serving runs it, in a session of its own: a call costs a fraction of what calling the
signature as a Python function does, and all memory is given back when the session closes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2, saved_model_pb2

from data.errors import InputError
from serving.server.errors import Code, ServingError, invalid_argument
from serving.server.signature import DEFAULT_SIGNATURE, Signature, SignatureDef

GRAPH_FILE = "saved_model.pb"
_KEPT_CALLABLES = 64  # sets of outputs that were asked for; a client chooses them


@dataclass(frozen=True)
class GraphThreads:
    """Threads of TensorFlow in each session.

    Attributes:
        inter_op: Threads that run a graph's operations side by side; -1 runs them in the thread of
            the request, which is fastest where there are as many requests as processors.
        intra_op: Threads inside an operation; 0 for one a processor.
    """

    inter_op: int = -1
    intra_op: int = 0


class Servable:
    """A loaded SavedModel.

    Args:
        name: The model's name.
        version: The model's version.
        path: Folder that holds `saved_model.pb`.
        threads: Threads of TensorFlow.

    Raises:
        InputError: No SavedModel there that can be loaded.
    """

    def __init__(
        self, name: str, version: int, path: Path, threads: GraphThreads | None = None
    ) -> None:
        self.name = name
        self.version = version
        self.path = path
        self.signature_defs: Mapping[str, SignatureDef] = _read_signature_defs(path)
        self._signatures = _signatures(path, self.signature_defs)
        self._session = _load(path, threads or GraphThreads())
        self._callable = lru_cache(_KEPT_CALLABLES)(self._make_callable)
        self._users = 0
        self._lock = threading.Lock()

    def signature(self, name: str) -> Signature:
        """Returns a signature; an empty name is the default one.

        Raises:
            ServingError: INVALID_ARGUMENT where there is no such signature.
        """
        key = name or DEFAULT_SIGNATURE
        if key not in self._signatures:
            raise invalid_argument(f'Serving signature name: "{key}" not found in signature def')
        return self._signatures[key]

    def acquire(self) -> None:
        """Counts one more that uses it; each must `release` it."""
        with self._lock:
            self._users += 1

    def release(self) -> None:
        """Counts one less that uses it."""
        with self._lock:
            self._users -= 1

    @property
    def in_use(self) -> bool:
        """Whether somebody uses it."""
        return self._users > 0

    def run(self, feeds: Mapping[str, np.ndarray], fetches: Sequence[str]) -> list[np.ndarray]:
        """Runs the graph. Threads may call it at once.

        Args:
            feeds: Values of the graph's tensors, of their types; strings as bytes in object arrays.
            fetches: The graph's tensors that are wanted.

        Returns:
            The value of each.

        Raises:
            ServingError: The graph's own error.
        """
        computed = tuple(dict.fromkeys(name for name in fetches if name not in feeds))
        try:
            values = self._callable(tuple(feeds), computed)(*feeds.values()) if computed else []
        except tf.errors.OpError as error:
            raise ServingError(Code(error.error_code), _graph_message(error)) from error
        found = {**feeds, **dict(zip(computed, values, strict=True))}
        return [np.asarray(found[name]) for name in fetches]

    def close(self) -> None:
        """Gives all memory back; nobody may use it any more."""
        self._callable.cache_clear()
        self._session.close()

    def _make_callable(
        self, feeds: tuple[str, ...], fetches: tuple[str, ...]
    ) -> Callable[..., Any]:
        options = config_pb2.CallableOptions(feed=feeds, fetch=fetches)
        # Keras calls its graphs by the same method; the public `make_callable` takes twice as long.
        return self._session._make_callable_from_options(options)


def _load(path: Path, threads: GraphThreads) -> tf.compat.v1.Session:
    config = tf.compat.v1.ConfigProto(
        inter_op_parallelism_threads=threads.inter_op,
        intra_op_parallelism_threads=threads.intra_op,
        allow_soft_placement=True,
    )
    config.gpu_options.allow_growth = True  # several models share a device
    session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
    try:
        with session.graph.as_default():
            tf.compat.v1.saved_model.loader.load(session, [tf.saved_model.SERVING], str(path))
    except Exception as error:  # the graph may be of any program, and fail as it likes
        session.close()
        raise _not_loadable(path, error) from error
    return session


def _read_signature_defs(path: Path) -> Mapping[str, meta_graph_pb2.SignatureDef]:
    graphs = saved_model_pb2.SavedModel()
    try:
        graphs.ParseFromString((path / GRAPH_FILE).read_bytes())
    except (OSError, DecodeError) as error:
        raise _not_loadable(path, error) from error
    for graph in graphs.meta_graphs:
        if tf.saved_model.SERVING in graph.meta_info_def.tags:
            return dict(graph.signature_def)
    raise _not_loadable(path, f"no graph tagged '{tf.saved_model.SERVING}'")


def _signatures(path: Path, definitions: Mapping[str, SignatureDef]) -> dict[str, Signature]:
    try:
        return {name: Signature.of(name, entry) for name, entry in definitions.items()}
    except Exception as error:  # as in `_load`
        raise _not_loadable(path, error) from error


def _not_loadable(path: Path, received: object) -> InputError:
    return InputError(
        "A version folder must hold a SavedModel that TensorFlow can load",
        received=received,
        where=path,
        action="Export the model again",
    )


def _graph_message(error: tf.errors.OpError) -> str:
    """Returns the graph's error without the parts that TensorFlow adds for developers."""
    message = str(error.message).rpartition("<stack traces unavailable>\n")[2]
    return message.partition("\n\t [[")[0]
