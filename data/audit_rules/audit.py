"""Shows all rows to all rules, and says what they found."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from data.audit_rules.fitted_numbers import TOLERANCE, FittedNumbers
from data.audit_rules.label_alone import THRESHOLD, LabelAlone
from data.audit_rules.rule import Finding, Rule, Verdict
from data.audit_rules.same_event import SameEvent
from data.audit_rules.time_order import EARLIER, Order, TimeOrder
from data.audit_rules.vocabularies import FittedVocabularies, NewItems
from data.dataset import PreparedDataset
from data.errors import InputError, nearest
from data.inspection.report import table
from data.inspection.scan import ROWS
from data.row_stream import Report, stream_rows

RULES = tuple(
    rule.name
    for rule in (TimeOrder, SameEvent, LabelAlone, FittedNumbers, FittedVocabularies, NewItems)
)


@dataclass(frozen=True)
class AuditOptions:
    """What counts as a finding.

    Attributes:
        order: Whose events must be in order of time; see `TimeOrder`.
        threshold: AUC from which a single feature predicts too well.
        tolerance: Largest difference of statistics, in standard deviations.
        most_new_items: Largest share of held-out events with new items.
        ignore: Accepted findings: `RULE` or `RULE:SUBJECT`.
    """

    order: Order = "auto"
    threshold: float = THRESHOLD
    tolerance: float = TOLERANCE
    most_new_items: float = 1.0
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True)
class Audit:
    """What the rules said.

    Attributes:
        verdicts: By rule.
        ignored: Names of accepted findings.
        unused: What was to be ignored and was not found.
    """

    verdicts: dict[str, Verdict]
    ignored: tuple[str, ...]
    unused: tuple[str, ...]

    @property
    def findings(self) -> list[Finding]:
        """All findings that are not accepted."""
        found = [f for verdict in self.verdicts.values() for f in verdict.findings]
        return [finding for finding in found if finding.name not in self.ignored]


def audit_dataset(
    data: PreparedDataset, options: AuditOptions, report: Report = lambda _: None
) -> Audit:
    """Reads train once and the held-out splits twice, and asks the rules.

    Args:
        data: The dataset.
        options: What counts as a finding.
        report: Called with how far it is.

    Raises:
        InputError: An unknown rule to ignore, no rows of train, or damaged data.
    """
    _check_ignore(options.ignore)
    splits = data.schema.view(ROWS).splits
    held_out = [split for split in EARLIER if split in splits]
    data.split(ROWS, "train")
    rules: list[Rule] = [
        TimeOrder(data.schema, options.order),
        SameEvent(data),
        LabelAlone(data, options.threshold),
        FittedNumbers(data.schema, options.tolerance),
        FittedVocabularies(data),
        NewItems(data.schema, options.most_new_items),
    ]
    for split in held_out:
        for rows in stream_rows(data, ROWS, split, report):
            for rule in rules:
                rule.see_held_out(split, rows)
    for rows in stream_rows(data, ROWS, "train", report):
        for rule in rules:
            rule.see_train(rows)
    for split in held_out:
        for rows in stream_rows(data, ROWS, split, report):
            for rule in rules:
                rule.see_held_out_again(split, rows)
    verdicts = {rule.name: rule.verdict() for rule in rules}
    return _judged(verdicts, options.ignore)


def _check_ignore(ignore: Sequence[str]) -> None:
    for name in ignore:
        if name.partition(":")[0] not in RULES:
            raise InputError(
                "--ignore must name a rule, or a finding as RULE:SUBJECT",
                received=repr(name),
                action=nearest(name.partition(":")[0], RULES),
            )


def _judged(verdicts: dict[str, Verdict], ignore: Collection[str]) -> Audit:
    found = [finding for verdict in verdicts.values() for finding in verdict.findings]
    ignored = tuple(f.name for f in found if f.name in ignore or f.rule in ignore)
    hit = {name for finding in found for name in (finding.name, finding.rule)}
    return Audit(verdicts, ignored, tuple(name for name in ignore if name not in hit))


def audit_text(audit: Audit, name: str, where: object) -> str:
    """Returns what was found, for people.

    Args:
        audit: What was found.
        name: The dataset's name.
        where: Its folder.
    """
    lines = [f"audit of {name} in {where}", "", _table(audit)]
    for rule, verdict in audit.verdicts.items():
        lines += [f"\nnote, {rule}: {note}" for note in verdict.notes]
    for finding in audit.findings:
        lines.append(
            f"\nFINDING {finding.name}\n  found  {finding.found}\n  where  {finding.where}\n"
            f"  do     {finding.action}"
        )
    if audit.ignored:
        lines.append(f"\nignored: {', '.join(audit.ignored)}")
    lines += [f"\nnote: --ignore={name} has nothing to ignore" for name in audit.unused]
    count = len(audit.findings)
    lines.append(f"\n{count:,} finding{'s' * (count != 1)}" if count else "\nno findings")
    return "\n".join(lines)


def _table(audit: Audit) -> str:
    rows = [["rule", "result", "looked at"]]
    for rule, verdict in audit.verdicts.items():
        open_ones = [f for f in verdict.findings if f.name not in audit.ignored]
        result = "ok" if verdict.checked else "-"
        if verdict.findings:
            result = f"{len(open_ones):,} found" if open_ones else "ignored"
        rows.append([rule, result, verdict.looked_at])
    return table(rows, left=3)
