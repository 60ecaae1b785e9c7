"""Works: what can be added to a site is limited."""

from __future__ import annotations

from suanli.fleet.mathematics._base import ABSENT, INFINITE, Block, Family, Setting, Triples


def rows(setting: Setting) -> Block:
    """Return one row per way to add power."""
    g, c = setting.grid, setting.columns
    out = Triples()
    for o, option in enumerate(g.options):
        if (c.power[o] != ABSENT).any():
            row = out.open(1, -INFINITE, max(0.0, option.limit - option.built), option=o)
            out.put(row, c.power[o], 1.0)
    return out.block()


FAMILY = Family(
    name="works",
    title="Works",
    sentence="What {option} adds over the whole horizon stays within its limit.",
    unit="MW",
    equation=r"\sum_t a_{o,t} \le L_o - b_o",
    where="L most that the option can add; b added by an earlier plan",
    rows=rows,
    business=True,
    per="MW",
)
