"""The items that can be searched: by title, or by raw id where there is none."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class _Entry:
    id: str
    folded_id: str
    folded_title: str


class Catalogue:
    """All items that have a title, or that a model knows.

    Args:
        titles: The title of each raw id.
        popular: Raw ids, the most popular first, which search prefers in this order.
    """

    def __init__(self, titles: Mapping[str, str], popular: Iterable[str]) -> None:
        self._titles = titles
        ids = dict.fromkeys([*popular, *titles])
        self._entries = [_Entry(i, _folded(i), _folded(titles.get(i, ""))) for i in ids]

    @property
    def has_titles(self) -> bool:
        """Whether items have titles."""
        return bool(self._titles)

    def title(self, item: str) -> str | None:
        """Returns the title of a raw id, if it has one."""
        return self._titles.get(item)

    def search(self, text: str, limit: int) -> list[str]:
        """Returns raw ids of items whose id or title holds every word of a text.

        The id itself comes first, then titles that begin with the text, then the others, each the
        most popular first. Case and accents do not matter. An empty text finds the most popular.

        Args:
            text: What was typed.
            limit: Most items.
        """
        wanted = _folded(text)
        words = wanted.split()
        found: tuple[list[str], list[str], list[str]] = ([], [], [])
        for entry in self._entries:
            if entry.folded_id == wanted:
                found[0].append(entry.id)
            elif all(word in entry.folded_title or word in entry.folded_id for word in words):
                begins = entry.folded_title.startswith(wanted)
                found[1 if begins else 2].append(entry.id)
        return [item for part in found for item in part][:limit]


def _folded(text: str) -> str:
    parts = unicodedata.normalize("NFKD", text.strip().casefold())
    return "".join(letter for letter in parts if not unicodedata.combining(letter))
