"""Project: chips of one's own need the project behind them."""

from __future__ import annotations

from suanli.fleet.mathematics._base import ABSENT, INFINITE, Block, Family, Setting, Triples


def rows(setting: Setting) -> Block:
    """Return one row per project's line and month of volume."""
    g, c = setting.grid, setting.columns
    out = Triples()
    for i, project in enumerate(g.projects):
        mine = [j for j in range(g.J) if g.project_of[j] == i]
        for t in range(g.T):
            cols = [c.order[j, t] for j in mine if c.order[j, t] != ABSENT]
            if not cols:
                continue
            row = out.open(1, -INFINITE, 0.0, project=i, month=t)
            for j in mine:
                out.put(row, c.order[j, t], g.wafers[j, t] * 1e3)
            out.put(row, c.project[i], -project.wafers)
    return out.block()


FAMILY = Family(
    name="project",
    title="Project",
    sentence="Wafers started for {project} in {month} need the project, and fit its monthly starts.",
    unit="wafers",
    equation=r"\sum_{j\in i} w_j\,x_{j,t} \le W_i\,z_i,\qquad x_{j,t}=0 \text{ before the last stage ends}",
    where="z 1 if the project is carried on (decided by trying both); W wafer starts a month; w wafers of a chip",
    rows=rows,
    per="wafer and month",
)
