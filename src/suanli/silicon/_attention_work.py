"""The ideal work of attention: tiles over cores, keys and values through cache and memory, exponentials, latency."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from suanli.kinds import BITS, Chip
from suanli.silicon._attention_grid import Grid, Heads, Layout, encoding, grid_of, layout_of, padded
from suanli.silicon._cache import Traffic, missing_in_order, over_cache, pass_time
from suanli.silicon._formats import Format, peak_rate
from suanli.silicon._laws import Work
from suanli.silicon._timing import USUAL, Timing
from suanli.silicon._unit import Unit, energy_time, roofline, unit_of

Array = NDArray[np.float64]

_LATENCY = 0.5e-6  # s; of a tile's chain of loads and stores, which memory makes wait whatever the clock
_CYCLES = 900.0  # cycles that the same chain spends in the core
_SHARED = 128.0  # bytes that a core reads from shared memory in a cycle
LAUNCH = 0.57e-6  # s; prefill is launched kernel by kernel, which no clock shortens
_EXCHANGED = 12.0  # bytes of a score between apart units: 32 bits out and in, a 16-bit weight out and in
_PARTIAL = 4.0  # bytes of a number in a part's output, before all parts are added up
_NONE = np.zeros(1)


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
    unit = unit_of(chip)
    grid = grid_of("processor" if unit.kind == "cpu" else kernel or "usual")
    if phase == "encoder":
        grid = encoding(grid)
    causal, decode = phase != "encoder", phase == "decode"
    pairs = attended(q_len, kv_len, window, causal=causal)
    seen = window if grid.windows or decode else np.zeros_like(window)
    reach = np.where(seen > 0, np.minimum(kv_len, seen + q_len), kv_len)
    shape = Heads(
        batch=batch,
        q_len=q_len,
        reach=reach,
        pairs=pairs if seen is window else attended(q_len, kv_len, seen, causal=causal),
        heads=n_heads,
        groups=n_kv_heads,
        window=seen,
        cut=(seen > 0.0) & (kv_len > seen),
        keys=2.0 * batch * n_kv_heads * head_dim * reach * kv.activation,
        lanes=2.0 * padded(grid, head_dim),
        history=kv_len,
        narrow=kv.activation <= 1.0,
    )
    narrowed = phase == "prefill" and unit.family in grid.multiplies_narrow and shape.narrow
    return work_on(
        chip,
        kv if narrowed else form,
        grid,
        shape,
        decode=decode,
        width=2.0 * head_dim,
        queries=batch * n_heads * head_dim * q_len * (form.activation + form.output),
        prepared=_prepared(grid, form, kv, shape, head_dim) if phase in grid.writes else _NONE,
        flop=4.0 * batch * n_heads * head_dim * pairs,
        warm=warm,
        host=timing.host,
    )


def _prepared(grid: Grid, form: Format, kv: Format, shape: Heads, head_dim: Array) -> Array:
    """Return the bytes that writing new keys and values to the cache moves, and turning the queries by position."""
    written = shape.batch * shape.q_len * 2.0 * shape.groups * head_dim * (form.activation + kv.activation)
    turned = shape.batch * shape.q_len * shape.heads * head_dim * 2.0 * form.activation
    out: Array = written + turned if grid.rotates else written
    return out


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
    unit, peak = unit_of(chip), peak_rate(chip, form.rate)
    lay = layout_of(unit, grid, shape, decode=decode, splits=splits)
    size = queries + shape.keys
    traffic = _traffic(unit, shape, lay, queries, warm=warm)
    return Work(
        compute=_computing(unit, peak, shape, lay, shared=decode and not splits),
        memory=traffic.missed / unit.bandwidth,
        cache=_through_cache(shape, lay, width, queries) * lay.idle / unit.cache_rate,
        exchange=_EXCHANGED * lay.scored * lay.idle / unit.exchange,
        vector=(_LATENCY + _CYCLES / unit.clock) * np.ceil(lay.waves),
        power=energy_time(unit, flop, BITS[form.rate]),
        roofline=roofline(unit, flop, peak, size),
        flop=flop,
        launch=(unit.kilocycle if decode else LAUNCH) * (2.0 if prepared.any() else 1.0),
        before=pass_time(unit, prepared, missing_in_order(prepared, unit.cache)),
        host=np.full_like(size, host),
        held=traffic.held,
        features=_features(unit, shape, lay, width, size, traffic.kept(size)),
    )


def _traffic(unit: Unit, shape: Heads, lay: Layout, queries: Array, *, warm: bool) -> Traffic:
    """Return the bytes from memory: a cold run finds no keys in the cache, but queries that were just written."""
    lacking = missing_in_order(queries + shape.keys, unit.cache)
    return Traffic(
        first=lacking if warm else shape.keys + missing_in_order(queries, unit.cache),
        warm=lacking,
        # Where blocks of a sequence run far apart, each finds its keys evicted by those of other sequences.
        again=(lay.passes - 1.0) * missing_in_order(shape.keys, unit.cache),
    )


def _computing(unit: Unit, peak: float, shape: Heads, lay: Layout, *, shared: bool) -> Array:
    """Return seconds of products and exponentials; ``shared``: and of reading their operands from shared memory."""
    products, exponentials = 2.0 * lay.scored * shape.lanes / peak, lay.scored / unit.exp_rate
    # A processor's core has no unit for exponentials beside its products.
    out: Array = products + exponentials if unit.kind == "cpu" else np.hypot(products, exponentials)
    if shared:  # each warp of 16 rows reads a tile's keys and values
        out = lay.scored * shape.lanes / (8.0 * _SHARED * unit.cores * unit.clock) + out
    return out * lay.idle


def _through_cache(shape: Heads, lay: Layout, width: Array, queries: Array) -> Array:
    """Return the bytes that pass through the last cache: operands, and parts of split outputs."""
    # Splits write their partial outputs in fp32, and a second kernel adds them up.
    partial = _PARTIAL * lay.split * shape.batch * shape.heads * shape.q_len * width
    partial = np.where(lay.split > 1.0, partial, 0.0)
    drawn: Array = np.where(lay.drawn > 0.0, queries + lay.drawn + partial, 0.0)
    return drawn


def _features(unit: Unit, shape: Heads, lay: Layout, width: Array, size: Array, kept: Array) -> dict[str, Array]:
    over = over_cache(size, unit.cache)
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
        "kept": kept,
        "size": np.clip(over, -6.0, 4.0),
        "over": np.clip(over, 0.0, 4.0),
    }
