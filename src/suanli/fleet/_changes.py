"""What a change of rules between two days does to the offers and the stock of a case."""

from __future__ import annotations

from dataclasses import dataclass

from suanli.fleet._engines import chips_of
from suanli.fleet._lines import lines_of
from suanli.fleet._schema import CaseSpec
from suanli.fleet._screening import acts_of, query
from suanli.kinds import GROUPS


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferChange:
    """A line of a case (offer or stock at a site) and an act whose ruling is another, with the rules behind it."""

    line: str
    act: str
    before: str
    after: str
    rules: tuple[str, ...]

    @property
    def groups(self) -> tuple[str, str]:
        """The groups of the outcomes before and after."""
        return GROUPS[self.before], GROUPS[self.after]


def ruling_changes(spec: CaseSpec, first: str, second: str, *, ruleset: str = "as_enforced") -> tuple[OfferChange, ...]:
    """Return each line and act of a case whose outcome on day ``second`` differs from that on ``first``.

    Raises InputError for a day before the first rule.
    """
    from suanli.controls import screen

    chips, names, _ = chips_of(spec)
    out = []
    for line in lines_of(spec, dict(names)):
        chip = chips[line.chip]
        for act in dict.fromkeys(a for acts in acts_of(line, chip) for a in acts):
            before, after = (screen(query(spec, line, chip, act, day), ruleset=ruleset) for day in (first, second))
            if before.outcome != after.outcome:
                why = after.decided_by or tuple(dict.fromkeys(r.rule for r in after.remarks))
                out.append(OfferChange(line=line.id, act=act, before=before.outcome, after=after.outcome, rules=why))
    return tuple(out)
