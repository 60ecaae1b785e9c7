"""Tokens: a training run is done when its tokens are through."""

from __future__ import annotations

from suanli.fleet._grid import SECONDS_A_MONTH
from suanli.fleet.mathematics._base import INFINITE, Block, Family, Setting, Triples


def rows(setting: Setting) -> Block:
    """Return one row per scenario and run."""
    g, c = setting.grid, setting.columns
    out = Triples()
    for s in range(setting.futures.n):
        for r in range(len(g.runs)):
            row = out.open(1, 1.0 - (g.run_done[r] if g.run_done else 0.0), INFINITE, scenario=s, run=r)
            out.put(row, c.miss[s, r], 1.0)
            for q in range(len(g.pools)):
                if (s, r, q) in c.train:
                    _, speed = setting.rates.train[r, q]
                    for segment, rate in zip(c.train[s, r, q], speed, strict=True):
                        out.put(row[0], segment, rate * SECONDS_A_MONTH / g.run_tokens[r])
    return out.block()


FAMILY = Family(
    name="tokens",
    title="Tokens",
    sentence="The tokens of {run} are trained by its deadline, or the part that is missing is counted.",
    unit="share of the run's tokens",
    equation=r"\sum_{q,n,t} \frac{\theta_{r,q,n}\,\tau}{\Theta_r}\,v_{r,q,n,t,\omega} + m_{r,\omega} \ge 1",
    where="θ tokens/s of a thousand chips in pool segment n (falls with size); τ seconds a month; Θ tokens; m missing",
    rows=rows,
    per="1 % of the run",
    scale=100.0,
)
