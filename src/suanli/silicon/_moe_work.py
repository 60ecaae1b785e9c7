"""The ideal work of routed experts on the most loaded chip: grouped products over the experts that tokens reach."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from suanli.kinds import BITS, Chip
from suanli.silicon._formats import Format, peak_rate
from suanli.silicon._gemm_work import missing
from suanli.silicon._laws import Work
from suanli.silicon._moe_grid import drawn, layout_of, spent, tiles_of
from suanli.silicon._moe_load import Load, load_of
from suanli.silicon._timing import USUAL, Timing
from suanli.silicon._unit import energy_time, unit_of

Array = NDArray[np.float64]


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
    load = load_of(tokens, top_k, n_experts, ep, skew, pile=pile)
    width = inter / tp
    matrices = 3.0 if gated else 2.0
    first = (matrices - 1.0) * width
    up, down = tiles_of(layout, unit, load, (first, hidden))
    weights = load.awake * matrices * hidden * width * form.weight
    buffered, copied = (load.rows, load.rows) if layout.slots == "own" else (load.slots, np.zeros_like(load.rows))
    moved = (load.tokens + 2.0 * copied) * hidden * form.activation + load.tokens * hidden * form.output
    moved += buffered * (2.0 * (first + hidden) * form.output + width * (form.output + form.activation))
    size = weights + moved
    again = missing(size, size, unit.cache)
    missed = again if warm else weights + missing(moved, moved, unit.cache)
    flop = 2.0 * load.rows * matrices * hidden * width
    paired = layout.paired(unit)
    reads = drawn(up, form, hidden, first, paired=paired) + drawn(down, form, width, hidden, paired=paired)
    rate = peak_rate(chip, form.rate)
    waves = np.log2(up.waves(unit, first))
    share = np.log2(size / max(unit.cache, 1e6)) / 4.0
    return Work(
        compute=(spent(up, unit, hidden, first) + spent(down, unit, width, hidden)) / rate,
        memory=missed / unit.bandwidth,
        cache=(reads + moved) / unit.cache_rate,
        vector=np.zeros_like(size),
        power=energy_time(unit, flop, BITS[form.rate]),
        roofline=np.maximum(flop / rate, size / unit.bandwidth),
        flop=flop,
        launch=1e3 / unit.clock,
        host=np.full_like(size, timing.host),
        held=(missed - again) / np.maximum(missed, 1.0),
        features={
            **_shape_features(load, hidden, width),
            "waves": np.clip(waves, -6.0, 8.0) / 3.0,
            "many_waves": np.clip(waves, 0.0, 8.0) / 3.0,
            "skew": np.minimum(skew, 2.0),
            "kept": 1.0 - missed / size,
            "size": np.clip(share, -6.0, 6.0),
            "over": np.clip(share, 0.0, 6.0),
        },
    )


def _shape_features(load: Load, hidden: Array, width: Array) -> dict[str, Array]:
    """Return the features that rows, experts and widths alone tell."""
    each = load.rows / load.awake
    return {
        "each": np.log2(np.clip(each, 1.0, 16384.0)) / 4.0 - 1.5,
        "awake": np.log2(np.clip(load.awake, 1.0, 1024.0)) / 3.0 - 1.5,
        "rows": np.log2(np.clip(load.rows, 1.0, 1e7)) / 5.0 - 1.5,
        "local": np.log2(np.clip(load.local, 1.0, 1024.0)) / 3.0 - 1.5,
        "hidden": np.log2(hidden) / 1.0 - 12.0,
        "width": np.log2(np.clip(width, 16.0, 65536.0)) / 3.0 - 3.3,
        "tokens": np.log2(np.clip(load.tokens, 1.0, 1e6)) / 5.0 - 1.5,
        "idle_share": 1.0 - load.awake / load.local,
        "short_each": 16.0 / (each + 16.0),
        "short_width": 128.0 / (width + 128.0),
    }
