"""Where the tables of a run on several ranks live: a copy on each, or a part on each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from data.errors import InputError

REPLICATED, SHARDED, AUTO = "replicated", "sharded", "auto"
_MIB = 2**20


@dataclass(frozen=True)
class Placement:
    """Which tables are sharded by row over the ranks.

    Attributes:
        chosen: `auto`, `replicated` or `sharded` for all tables, and TABLE=... for single ones,
            of which the last counts.
        replicate_mib: Most that all ranks' copies of a table, with the optimizer's slots, may take
            together for `auto` to give it to every rank: their memory, and about what a rank may
            have to send of them in a step.
    """

    chosen: tuple[str, ...] = (AUTO,)
    replicate_mib: float = 8.0

    def __post_init__(self) -> None:
        """Checks the names of placements.

        Raises:
            InputError: A placement that is none.
        """
        for entry in self.chosen:
            if entry.rpartition("=")[2] not in (REPLICATED, SHARDED, AUTO):
                raise InputError(
                    "trainer.placement must name auto, replicated or sharded",
                    received=repr(entry),
                    action="For single tables: trainer.placement=auto,TABLE=sharded",
                )

    @property
    def tables(self) -> set[str]:
        """The tables that are named."""
        return {entry.rpartition("=")[0] for entry in self.chosen if "=" in entry}

    def decide(self, table: str, bytes_with_slots: int, ranks: int) -> tuple[bool, str]:
        """Returns whether a table is sharded, and why, for people."""
        rule = _last((e for e in self.chosen if "=" not in e), AUTO)
        own = _last((e for e in self.chosen if e.rpartition("=")[0] == table), "")
        placement = own.rpartition("=")[2] or rule
        if placement != AUTO:
            named = f" for '{table}'" if own else ""
            return placement == SHARDED, f"trainer.placement says so{named}"
        copies = bytes_with_slots * ranks
        size = f"{ranks} copies with slots take {copies / _MIB:,.1f} MiB"
        if copies > self.replicate_mib * _MIB:
            return True, f"{size}, above trainer.replicate_mib={self.replicate_mib:g}"
        return False, f"{size}, at most trainer.replicate_mib={self.replicate_mib:g}"


def _last(entries: Iterable[str], otherwise: str) -> str:
    return ([otherwise, *entries])[-1]
