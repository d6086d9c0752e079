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

DEFAULT_SIGNATURE = "serving_default"
GRAPH_FILE = "saved_model.pb"
_KEPT_CALLABLES = 64  # sets of outputs that were asked for; a client chooses them

SignatureDef = Any  # meta_graph_pb2.SignatureDef


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


@dataclass(frozen=True)
class Signature:
    """One function of a SavedModel.

    Attributes:
        name: Its key in the SavedModel.
        method: What it may be asked by, such as `tensorflow/serving/predict`.
        inputs: Input tensors by name, with the dimensions that are fixed.
        shapes: Their shapes; None for a dimension, or a whole shape, that is not fixed.
        dtypes: Their types as arrays.
        defaults: Values of inputs that a request may leave out.
        feeds: The graph's tensor of each input.
        fetches: The graph's tensor of each output.
    """

    name: str
    method: str
    inputs: Mapping[str, tf.TensorSpec]
    shapes: Mapping[str, Sequence[int | None] | None]
    dtypes: Mapping[str, np.dtype]
    defaults: Mapping[str, np.ndarray]
    feeds: Mapping[str, str]
    fetches: Mapping[str, str]


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
        self._signatures = {k: _signature(k, d) for k, d in self.signature_defs.items()}
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


def checked_inputs(signature: Signature, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the graph's feeds of a request's inputs.

    Args:
        signature: The signature.
        inputs: Arrays by input name; inputs that have a default may be left out.

    Raises:
        ServingError: INVALID_ARGUMENT for inputs that do not fit the signature.
    """
    feeds = {}
    for name, spec in signature.inputs.items():
        value = inputs.get(name, signature.defaults.get(name))
        if value is None:
            raise invalid_argument(f"Missing named input: {name}")
        if not _fits(value.shape, signature.shapes[name]):
            raise invalid_argument(
                f"Input {name} must have shape {spec.shape}. Received: {value.shape}"
            )
        if value.dtype != signature.dtypes[name]:
            received = "string" if value.dtype == object else value.dtype.name
            raise invalid_argument(
                f"Expects {name} to be {spec.dtype.name} but {received} is provided"
            )
        feeds[signature.feeds[name]] = value
    return feeds


def _fits(shape: Sequence[int], wanted: Sequence[int | None] | None) -> bool:
    if wanted is None:
        return True
    return len(shape) == len(wanted) and all(
        size is None or size == given for given, size in zip(shape, wanted, strict=True)
    )


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


def _signature(name: str, definition: SignatureDef) -> Signature:
    specs = {
        key: tf.TensorSpec(tf.TensorShape(entry.tensor_shape), tf.as_dtype(entry.dtype))
        for key, entry in sorted(definition.inputs.items())
    }
    return Signature(
        name,
        definition.method_name,
        specs,
        {key: None if s.shape.rank is None else s.shape.as_list() for key, s in specs.items()},
        {key: np.dtype(spec.dtype.as_numpy_dtype) for key, spec in specs.items()},
        {key: tf.make_ndarray(value) for key, value in definition.defaults.items()},
        {key: definition.inputs[key].name for key in specs},
        {key: definition.outputs[key].name for key in sorted(definition.outputs)},
    )


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
