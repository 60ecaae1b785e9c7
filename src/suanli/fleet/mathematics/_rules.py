"""Rules: no row at all. What a ruling forbids is no variable, so it has no price and can't be relaxed."""

from __future__ import annotations

TITLE = "Rules"
SENTENCE = (
    "A line may be ordered, delivered or run in a month only where every ruling of that month is free, or conditional "
    "with its condition stated as met in the case with a source. Restricted and open never enter: the variable does "
    "not exist, so that no price is shown and nothing can relax, perturb or search around it."
)
EQUATION = r"x_{j,t},\ K_{j,k,t},\ u_{q,w,t,\omega}\ \text{exist only where } \ell_{j,t,\omega} = 1"
