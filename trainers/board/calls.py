"""The scalars of some training steps."""

from __future__ import annotations

from trainers.board.tags import EXAMPLES, OUTSIDE, UNKNOWN_IDS, UNKNOWN_SHARE, WAITING, of_step
from trainers.steps import Call


def of_call(call: Call, examples_per_row: int) -> dict[str, float]:
    """Returns the scalars of some steps by tag.

    Args:
        call: The steps.
        examples_per_row: Training examples of a row of this rank's batch, over all ranks.
    """
    scalars = {of_step(name): value for name, value in call.means.items()}
    if call.is_traced:
        whole = call.seconds + call.outside
        scalars[EXAMPLES] = call.rows * examples_per_row / call.seconds
        scalars[WAITING] = call.waited / whole
        scalars[OUTSIDE] = call.outside / whole
    return scalars | _unknown_shares(call.id_counts)


def _unknown_shares(counts: dict[str, tuple[int, int]]) -> dict[str, float]:
    """Returns the share of ids that are out of vocabulary, by column and of all together."""
    if not counts:
        return {}
    unknown, ids = (sum(column) for column in zip(*counts.values(), strict=True))
    by_column = {f"{UNKNOWN_IDS}/{n}": u / max(of, 1) for n, (u, of) in counts.items()}
    return {UNKNOWN_SHARE: unknown / max(ids, 1), **by_column}
