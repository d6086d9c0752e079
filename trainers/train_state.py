"""Where a run is: all that a checkpoint tells beside the weights."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from trainers.streams import Streams


@dataclass
class TrainState:
    """Where a run is. Every random choice is keyed by the seed and this position.

    Attributes:
        step: Steps taken.
        epoch: Epoch in progress, from 0.
        streams: Where that epoch's readers stand; None before its first step.
        seconds: Time spent in training steps, over all sittings.
        best_value: Best `monitor` so far.
        best_step: Step of the best `monitor`; 0 before the first evaluation.
        evaluations_since_best: Evaluations without a better one.
    """

    step: int = 0
    epoch: int = 0
    streams: Streams | None = None
    seconds: float = 0.0
    best_value: float = float("-inf")
    best_step: int = 0
    evaluations_since_best: int = 0

    def to_json(self) -> str:
        """Returns the state as JSON."""
        # JSON has no infinity; absent means that nothing was evaluated yet.
        values = {k: v for k, v in asdict(self).items() if v != float("-inf")}
        return json.dumps(values, indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> TrainState:
        """Returns what `to_json` told.

        Raises:
            ValueError, TypeError: It did not.
        """
        values = json.loads(text)
        streams = values.pop("streams", None)
        if streams is not None:
            streams = Streams(streams["length"], tuple(streams["positions"]))
        return cls(streams=streams, **values)
