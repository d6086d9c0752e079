"""The models that are explored: exports, loaded here, or models that a server answers for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from configs.differences import from_recipe, short_settings
from data.errors import InputError
from data.titles import read_titles
from serving.client.in_process import InProcessTransport
from serving.client.recommender import Recommender, connect
from serving.client.transport import Input, Transport
from serving.explore.stored_past import StoredPast
from serving.model_card import CARD_FILE
from serving.server.errors import ServingError
from serving.server.servable import GRAPH_FILE, Servable
from serving.server.tensor_json import array_to_json
from serving.server.warm_up import warm_up, warm_up_requests
from serving.versions import TITLES_FILE, find_version

RECOMMEND, SCORE = "recommend", "score"
MOST_LISTED = 10_000  # items that one request may ask for

_SERVED = re.compile(r"(.+://.+?)/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?/?")


@dataclass(frozen=True, eq=False)
class ExploredModel:
    """One model that is explored. Not for several threads at once.

    Attributes:
        name: Of the model, for people.
        version: The export's version; None of a served model whose latest version is asked.
        transport: What it is asked through.
        card: The export's model card, if it has one.
        past: What the export stores of users; None of a served model.
        row: Values of the inputs of `score` in an example that the export holds.
        titles: The title of each raw item id, as far as the export holds them.
    """

    name: str
    version: int | None
    transport: Transport
    card: Mapping[str, Any] | None = None
    past: StoredPast | None = None
    row: Mapping[str, list[Any]] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def signatures(self) -> dict[str, dict[str, Input]]:
        """The inputs of the signatures that can be explored, by name."""
        found = self.transport.inputs()
        return {name: found[name] for name in (RECOMMEND, SCORE) if name in found}

    @cached_property
    def recommender(self) -> Recommender:
        """Asks the model."""
        return Recommender(self.transport)

    @cached_property
    def popular_items(self) -> list[str]:
        """Raw ids of the items that the model knows, the most popular first; at most 10,000."""
        if RECOMMEND not in self.signatures:
            return []
        nobody = "" if self.signatures[RECOMMEND]["user"].dtype == "DT_STRING" else -1
        answer = self.recommender.recommend(nobody, MOST_LISTED)
        return [str(r.item) for r in answer.recommendations]

    @cached_property
    def known_items(self) -> frozenset[str] | None:
        """Raw ids of all items that the model knows; None where they are too many to ask for."""
        items = self.popular_items
        return frozenset(items) if 0 < len(items) < MOST_LISTED else None


def open_model(source: str) -> ExploredModel:
    """Opens a model.

    Args:
        source: An export (its latest version is taken), a version's folder, or the address of a
            served model, such as `http://127.0.0.1:8501/v1/models/ncf`.

    Raises:
        InputError: No model there, one that cannot be loaded, or that neither recommends nor scores
            as ours do; RequestError where a server does not answer.
    """
    model = _served(source) if "://" in source else _exported(Path(source))
    if not model.signatures:
        raise InputError(
            f"A model must have the signature {RECOMMEND} or {SCORE} to be explored",
            received=", ".join(sorted(model.transport.inputs())),
            where=source,
            action="Export one: python -m serving.export --model_dir=RUN --export_dir=EXPORT",
        )
    return model


def _served(source: str) -> ExploredModel:
    match = _SERVED.fullmatch(source)
    if match is None:
        raise InputError(
            "The address of a served model must name the model",
            received=source,
            action="As http://127.0.0.1:8501/v1/models/ncf, or grpc://127.0.0.1:8500/v1/models/ncf",
        )
    url, name, number, label = match.groups()
    version = int(number) if number else None
    return ExploredModel(name, version, connect(url, name, version=version, label=label))


def _exported(path: Path) -> ExploredModel:
    folder = path if (path / GRAPH_FILE).is_file() else find_version(path)
    card = _card(folder)
    name = _name(card) if card else folder.parent.name
    version = int(folder.name) if folder.name.isdigit() else None
    servable = Servable("explored", version or 0, folder)
    try:
        warm_up(servable)  # the first run of a graph takes long
        row = _example_row(folder)
    except ServingError:  # warm-up requests may be of any program, and are a convenience only
        row = {}
    transport = InProcessTransport(servable)
    file = folder / TITLES_FILE
    titles = read_titles(file) if file.is_file() else {}
    return ExploredModel(name, version, transport, card, StoredPast.find(folder), row, titles)


def _name(card: Mapping[str, Any]) -> str:
    """Returns the model's name, with the settings that tell it from others of the same recipe."""
    settings = short_settings(from_recipe(card["config"], ("model",)))
    return f"{card['model']} {settings}".strip()


def _card(folder: Path) -> dict[str, Any] | None:
    path = folder / CARD_FILE
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError("A model card must be JSON", received=error, where=path) from error


def _example_row(folder: Path) -> dict[str, list[Any]]:
    """Returns the row that the export is warmed up with, as lists of one value."""
    row = dict(warm_up_requests(folder)).get(SCORE, {})
    return {name: array_to_json(name, values) for name, values in row.items()}
