"""The model card of an export: what it was made of, what it scored, the hashes of its files."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data.atomic import write_json, write_text
from data.file_hash import file_sha256
from serving.precision import Precision

CARD_FILE = Path("assets.extra", "model_card.json")
CARD_TEXT = Path("assets.extra", "MODEL_CARD.md")


@dataclass(frozen=True)
class ModelCard:
    """What is written of an export, beside the hashes of its files.

    Attributes:
        model: The model's name.
        dataset: The dataset's name.
        schema_sha256: Hash of its schema.json, which holds those of its files.
        step: Training step of the weights.
        config: The resolved config of the run.
        results: The run's metrics with their protocol and baseline; None where it has none.
        precision: Of the embedding tables.
        tolerance: Within which a clean process gave the trainer's scores; None where unchecked.
        tensorflow: Version of TensorFlow that wrote it.
        created: When, UTC.
    """

    model: str
    dataset: str
    schema_sha256: str
    step: int
    config: dict[str, Any]
    results: dict[str, Any] | None
    precision: Precision
    tolerance: float | None
    tensorflow: str
    created: str


def write_card(card: ModelCard, folder: Path) -> None:
    """Writes the card into a version, as JSON and as text, with hashes of all other files."""
    (folder / CARD_FILE).parent.mkdir(exist_ok=True)
    files = {
        path.relative_to(folder).as_posix(): file_sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    write_json(folder / CARD_FILE, {**asdict(card), "sha256": files})
    write_text(folder / CARD_TEXT, _text(card, files))


def _text(card: ModelCard, files: dict[str, str]) -> str:
    checked = (
        "not checked against the trainer"
        if card.tolerance is None
        else f"a clean process gave the trainer's scores within {card.tolerance:g}"
    )
    lines = [
        f"# {card.model} on {card.dataset}",
        "",
        f"Weights of step {card.step:,}, tables in {card.precision}; {checked}. Written "
        f"{card.created} by TensorFlow {card.tensorflow}.",
        "",
        "## Metrics",
        "",
    ]
    results = card.results or {}
    metrics = {k: v for k, v in results.get("metrics", {}).items() if isinstance(v, int | float)}
    if metrics:
        lines += ["| metric | value |", "|---|---|"]
        lines += [f"| {name} | {value:.4f} |" for name, value in sorted(metrics.items())]
        lines += ["", "Protocol:", "", "```json", _json(results.get("protocol")), "```"]
    else:
        lines += ["None: the run was not evaluated."]
    lines += ["", "## Settings", "", "```json", _json(card.config), "```", "", "## Files", ""]
    lines += [f"    {digest}  {name}" for name, digest in files.items()]
    lines += ["", f"Dataset: schema.json {card.schema_sha256}", ""]
    return "\n".join(lines)


def _json(value: object) -> str:
    return json.dumps(value, indent=2, sort_keys=True)
