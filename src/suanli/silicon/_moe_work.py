"""The ideal work of routed experts on the most loaded chip: grouped products over the experts that tokens reach."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suanli.kinds import BITS, Chip
from suanli.silicon._cache import Traffic, missing, over_cache
from suanli.silicon._formats import Format, peak_rate
from suanli.silicon._laws import Work
from suanli.silicon._moe_grid import Layout, drawn, layout_of, spent, tiles_of
from suanli.silicon._moe_load import Load, load_of
from suanli.silicon._timing import USUAL, Timing
from suanli.silicon._unit import energy_time, roofline, unit_of

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ffn:
    """The products of an expert: to ``first`` columns (gate and up together), to ``width`` of them, back to ``hidden``.

    ``width`` is the chip's own share; ``matrices`` of hidden x width hold an expert's weights.
    """

    hidden: Array
    width: Array
    first: Array
    matrices: float


def moe_work(
    chip: Chip,
    form: Format,
    *,
    tokens: Array,
    hidden: Array,
    inter: Array,
    top_k: Array,
    n_experts: Array,
    tp: Array,
    ep: Array,
    skew: Array,
    gated: bool = True,
    warm: bool = True,
    kernel: str | None = None,
    piled: bool = False,
    timing: Timing = USUAL,
) -> Work:
    """Return the ideal work of the experts' products on the most loaded chip; not ``warm``: weights from memory.

    ``kernel`` decides the tiles and whose rows are buffered; ``piled`` is "reached" of ``load_of``. All arrays have one
    shape.
    """
    unit = unit_of(chip)
    layout = layout_of(kernel, form.name)
    pile = "all" if layout.slots == "computed" else "reached" if piled else ""
    load, ffn = load_of(tokens, top_k, n_experts, ep, skew, pile=pile), _ffn(hidden, inter / tp, gated=gated)
    weights = load.awake * ffn.matrices * hidden * ffn.width * form.weight
    moved = _moved(layout, form, load, ffn)
    size = weights + moved
    lacking = missing(size, size, unit.cache)
    traffic = Traffic(lacking if warm else weights + missing(moved, moved, unit.cache), lacking)
    up, down = tiles_of(layout, unit, load, (ffn.first, hidden))
    paired = layout.paired(unit)
    reads = drawn(up, form, hidden, ffn.first, paired=paired) + drawn(down, form, ffn.width, hidden, paired=paired)
    flop, rate = 2.0 * load.rows * ffn.matrices * hidden * ffn.width, peak_rate(chip, form.rate)
    return Work(
        compute=(spent(up, unit, hidden, ffn.first) + spent(down, unit, ffn.width, hidden)) / rate,
        memory=traffic.missed / unit.bandwidth,
        cache=(reads + moved) / unit.cache_rate,
        vector=np.zeros_like(size),
        power=energy_time(unit, flop, BITS[form.rate]),
        roofline=roofline(unit, flop, rate, size),
        flop=flop,
        launch=unit.kilocycle,
        host=np.full_like(size, timing.host),
        held=traffic.held,
        features={
            **_shape_features(load, skew, ffn),
            **_fit_features(up.waves(unit, ffn.first), over_cache(size, unit.cache)),
            "kept": traffic.kept(size),
        },
    )


def _ffn(hidden: Array, width: Array, *, gated: bool) -> Ffn:
    return Ffn(hidden, width, first=2.0 * width if gated else width, matrices=3.0 if gated else 2.0)


def _moved(layout: Layout, form: Format, load: Load, ffn: Ffn) -> Array:
    """Return the bytes of activations: what tokens bring and take, what a kernel sorts, and its buffers."""
    own = layout.slots == "own"
    copied = load.rows if own else np.zeros_like(load.rows)
    buffered = load.rows if own else load.slots
    moved = (load.tokens + 2.0 * copied) * ffn.hidden * form.activation + load.tokens * ffn.hidden * form.output
    moved += buffered * (2.0 * (ffn.first + ffn.hidden) * form.output + ffn.width * (form.output + form.activation))
    return moved


def _fit_features(waves: Array, over: Array) -> dict[str, Array]:
    """Return the features of how often tiles fill the cores, and of how far bytes lie ``over`` the cache."""
    filled = np.log2(waves)
    return {
        "waves": np.clip(filled, -6.0, 8.0) / 3.0,
        "many_waves": np.clip(filled, 0.0, 8.0) / 3.0,
        "size": np.clip(over, -6.0, 6.0),
        "over": np.clip(over, 0.0, 6.0),
    }


def _shape_features(load: Load, skew: Array, ffn: Ffn) -> dict[str, Array]:
    """Return the features that rows, experts and widths alone tell."""
    each = load.rows / load.awake
    return {
        "each": np.log2(np.clip(each, 1.0, 16384.0)) / 4.0 - 1.5,
        "awake": np.log2(np.clip(load.awake, 1.0, 1024.0)) / 3.0 - 1.5,
        "rows": np.log2(np.clip(load.rows, 1.0, 1e7)) / 5.0 - 1.5,
        "local": np.log2(np.clip(load.local, 1.0, 1024.0)) / 3.0 - 1.5,
        "hidden": np.log2(ffn.hidden) - 12.0,
        "width": np.log2(np.clip(ffn.width, 16.0, 65536.0)) / 3.0 - 3.3,
        "tokens": np.log2(np.clip(load.tokens, 1.0, 1e6)) / 5.0 - 1.5,
        "skew": np.minimum(skew, 2.0),
        "idle_share": 1.0 - load.awake / load.local,
        "short_each": 16.0 / (each + 16.0),
        "short_width": 128.0 / (ffn.width + 128.0),
    }
