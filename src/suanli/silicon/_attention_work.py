"""The ideal work of attention: tiles over cores, keys and values through cache and memory, exponentials, latency."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from suanli.kinds import BITS, Chip
from suanli.silicon._attention_grid import Grid, Heads, Layout, grid_of, layout_of, padded
from suanli.silicon._formats import Format, peak_rate
from suanli.silicon._laws import Work
from suanli.silicon._timing import USUAL, Timing
from suanli.silicon._unit import Unit, energy_time, unit_of

Array = NDArray[np.float64]

_LATENCY = 0.5e-6  # s; of a tile's chain of loads and stores, which memory makes wait whatever the clock
_CYCLES = 900.0  # cycles that the same chain spends in the core
_SHARED = 128.0  # bytes that a core reads from shared memory in a cycle
LAUNCH = 0.57e-6  # s; prefill is launched kernel by kernel, which no clock shortens
_EXCHANGED = 12.0  # bytes of a score between apart units: 32 bits out and in, a 16-bit weight out and in
_NONE = np.zeros(1)
_KEPT = 0.8  # share of the last cache that keys and values read again and again may fill
_CLIFF = 0.5  # share beyond that, by which a cycle of reads has evicted all of itself


def attended(q_len: Array, kv_len: Array, window: Array, *, causal: bool) -> Array:
    """Return the number of (query, key) pairs a head computes; ``window`` 0 is full attention."""
    if not causal:
        reach = np.where(window > 0, np.minimum(window, kv_len), kv_len)
        return q_len * reach
    past = kv_len - q_len
    full = q_len * past + 0.5 * q_len * (q_len + 1.0)
    # Query i sees min(window, past + i + 1) keys: a ramp up to the window, then flat.
    ramp = np.clip(window - past, 0.0, q_len)
    cut = ramp * past + 0.5 * ramp * (ramp + 1.0) + (q_len - ramp) * window
    return np.where(window > 0, np.minimum(cut, full), full)


def attention_work(
    chip: Chip,
    form: Format,
    kv: Format,
    *,
    phase: str,
    batch: Array,
    q_len: Array,
    kv_len: Array,
    n_heads: Array,
    n_kv_heads: Array,
    head_dim: Array,
    window: Array,
    kernel: str | None = None,
    warm: bool = True,
    timing: Timing = USUAL,
) -> Work:
    """Return the ideal work of attention of these shapes; not ``warm``: keys and values come from memory."""
    grid = grid_of("processor" if unit_of(chip).kind == "cpu" else kernel or "usual")
    pairs = attended(q_len, kv_len, window, causal=phase != "encoder")
    seen = window if grid.windows or phase == "decode" else np.zeros_like(window)
    computed = pairs if seen is window else attended(q_len, kv_len, seen, causal=phase != "encoder")
    reach = np.where(seen > 0, np.minimum(kv_len, seen + q_len), kv_len)
    shape = Heads(
        batch=batch,
        q_len=q_len,
        reach=reach,
        pairs=computed,
        heads=n_heads,
        groups=n_kv_heads,
        window=seen,
        cut=(seen > 0.0) & (kv_len > seen),
        keys=2.0 * batch * n_kv_heads * head_dim * reach * kv.activation,
        lanes=2.0 * padded(grid, head_dim),
        history=kv_len,
        narrow=kv.activation <= 1.0,
    )
    written = batch * q_len * 2.0 * n_kv_heads * head_dim * (form.activation + kv.activation)
    turned = batch * q_len * n_heads * head_dim * 2.0 * form.activation
    narrowed = phase == "prefill" and unit_of(chip).family in grid.multiplies_narrow and shape.narrow
    return work_on(
        chip,
        kv if narrowed else form,
        grid,
        shape,
        decode=phase == "decode",
        width=2.0 * head_dim,
        queries=batch * n_heads * head_dim * q_len * (form.activation + form.output),
        prepared=float(phase in grid.writes) * (written + float(grid.rotates) * turned),
        flop=4.0 * batch * n_heads * head_dim * pairs,
        warm=warm,
        host=timing.host,
    )


def work_on(
    chip: Chip,
    form: Format,
    grid: Grid,
    shape: Heads,
    *,
    decode: bool,
    width: Array,
    queries: Array,
    flop: Array,
    prepared: Array = _NONE,
    splits: bool = True,
    warm: bool = True,
    host: float = 0.0,
) -> Work:
    """Return the work of ``shape``; ``width`` is the sum of key and value widths, ``queries`` bytes in and out.

    ``prepared`` are bytes that a kernel before this one moves; ``host`` seconds that the host needs for a call.
    """
    unit = unit_of(chip)
    lay = layout_of(unit, grid, shape, decode=decode, splits=splits)
    # Splits write their partial outputs in fp32, and a second kernel adds them up.
    partial = np.where(lay.split > 1.0, 4.0 * lay.split * shape.batch * shape.heads * shape.q_len * width, 0.0)
    size = queries + shape.keys
    again = _missing(size, unit.cache)
    first = again if warm else shape.keys + _missing(queries, unit.cache)
    # Where blocks of a sequence run far apart, each finds its keys evicted by those of other sequences.
    missed = first + (lay.passes - 1.0) * _missing(shape.keys, unit.cache)
    peak = peak_rate(chip, form.rate)
    together = np.add if unit.kind == "cpu" else np.hypot  # a core has no unit for exponentials beside its products
    drawn = np.where(lay.drawn > 0.0, queries + lay.drawn + partial, 0.0)
    exchanged = _EXCHANGED * lay.scored if unit.apart else np.zeros_like(size)
    # Each warp of 16 rows reads a tile's keys and values from shared memory.
    fetched = lay.scored * shape.lanes / (8.0 * _SHARED * unit.cores * unit.clock) if decode and not splits else 0.0
    return Work(
        compute=(fetched + together(2.0 * lay.scored * shape.lanes / peak, lay.scored / unit.exp_rate)) * lay.idle,
        memory=missed / unit.bandwidth,
        cache=(drawn + exchanged) * lay.idle / unit.cache_rate,
        vector=(_LATENCY + _CYCLES / unit.clock) * np.ceil(lay.waves),
        power=energy_time(unit, flop, BITS[form.rate]),
        roofline=np.maximum(flop / peak, size / unit.bandwidth),
        flop=flop,
        launch=(1e3 / unit.clock if decode else LAUNCH) * (2.0 if prepared.any() else 1.0),
        before=np.maximum(_missing(prepared, unit.cache) / unit.bandwidth, prepared / unit.cache_rate),
        host=np.full_like(size, host),
        held=(first - again) / np.maximum(missed, 1.0),
        features=_features(unit, shape, lay, width, size, first),
    )


def _missing(size: Array, cache: float) -> Array:
    """Return which of ``size`` bytes memory must deliver each time, when they are read in the same order for ever.

    Such a cycle evicts its own start as soon as it does not fit: all of it misses soon beyond the cache. Never less
    than size - cache.
    """
    share = np.clip((size / max(_KEPT * cache, 1e-3) - 1.0) / _CLIFF, 0.0, 1.0)
    out: Array = size * share
    return out


def _features(unit: Unit, shape: Heads, lay: Layout, width: Array, size: Array, missed: Array) -> dict[str, Array]:
    share = np.log2(size / max(unit.cache, 1e6)) / 4.0
    waves, packed = np.log2(lay.waves), shape.packed
    several = (shape.batch > 1.0) & (packed > 1.0) & (shape.groups > 1.0)
    return {
        "q": np.log2(np.minimum(shape.q_len, 131072.0)) / 4.0 - 2.0,
        "kv": np.log2(np.clip(shape.reach, 1.0, 262144.0)) / 4.0 - 2.8,
        "groups": np.log2(np.minimum(shape.batch * shape.groups, 65536.0)) / 4.0 - 1.5,
        "packed": np.log2(np.clip(packed, 1.0, 128.0)) / 3.0,
        "sharing": np.log2(shape.heads / shape.groups) / 3.0,
        "width": np.log2(width) - 8.0,
        "usual": np.where(width == 256.0, 1.0, 0.0),  # heads of 128, for which kernels are tuned first
        "wide": np.where(width > 256.0, 1.0, 0.0),  # heads beyond 128, whose tiles are cut to fit shared memory
        "huge": np.where(width > 512.0, 1.0, 0.0),
        "odd": np.where(width % 32.0 > 0.0, 1.0, 0.0),  # heads of no multiple of 16, loaded in small pieces
        "waves": np.clip(waves, -8.0, 6.0) / 3.0,
        "many_waves": np.clip(waves, 0.0, 6.0) / 3.0,
        "few_waves": np.clip(waves, -8.0, 0.0) / 3.0,
        "shared": np.clip(waves, 0.0, 2.0) / 2.0,
        "combine": np.where(lay.split > 1.0, 1.0, 0.0),
        "grouped": np.where(packed > 1.0, 1.0, 0.0),
        "copied": np.where(several, 1.0, 0.0),
        "tiles": np.log2(np.ceil(packed / 16.0)) / 2.0,
        "apart": np.where(lay.apart, 1.0, 0.0),
        "scalar": np.where(lay.scalar, 1.0, 0.0),
        "cut": np.where(shape.cut, 1.0, 0.0),
        "single": np.where(shape.q_len <= 1.0, 1.0, 0.0),
        "filled": lay.filled,
        "short_q": 64.0 / (shape.q_len + 64.0),
        "short_kv": 128.0 / (shape.reach + 128.0),
        "split": np.log2(lay.split) / 3.0,
        "chain": np.log2(1.0 + np.minimum(shape.reach / lay.split, 65536.0) / 128.0) / 3.0,
        "kept": 1.0 - missed / size,
        "size": np.clip(share, -6.0, 4.0),
        "over": np.clip(share, 0.0, 4.0),
    }
