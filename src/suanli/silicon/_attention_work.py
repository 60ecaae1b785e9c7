"""The ideal work of attention: query tiles over cores, keys and values through cache and memory, exponentials."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from suanli.kinds import BITS, Chip, Latent
from suanli.silicon._formats import Format, peak_rate
from suanli.silicon._gemm_work import missing
from suanli.silicon._laws import Work
from suanli.silicon._unit import Unit, energy_time, unit_of

Array = NDArray[np.float64]

_ROWS = 128.0  # query rows of a prefill tile
_PACKED = 16.0  # rows that a decode tile has at least
_KEYS = 256.0  # keys below which a decode split is not worth its reduction


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
    warm: bool = True,
) -> Work:
    """Return the ideal work of attention of these shapes; not ``warm``: keys and values come from memory."""
    pairs = attended(q_len, kv_len, window, causal=phase != "encoder")
    reach = np.where(window > 0, np.minimum(kv_len, window + q_len), kv_len)
    queries = batch * n_heads * head_dim * q_len * (form.activation + form.output)
    keys = 2.0 * batch * n_kv_heads * head_dim * reach * kv.activation
    return _work(
        chip,
        form,
        decode=phase == "decode",
        batch=batch,
        q_len=q_len,
        reach=reach,
        pairs=pairs,
        heads=n_heads,
        groups=n_kv_heads,
        width=2.0 * head_dim,
        queries=queries,
        keys=keys,
        warm=warm,
    )


def mla_work(
    chip: Chip,
    form: Format,
    kv: Format,
    latent: Latent,
    *,
    phase: str,
    batch: Array,
    q_len: Array,
    kv_len: Array,
    n_heads: Array,
    warm: bool = True,
) -> Work:
    """Return the ideal work of the latent attention core; decode reads the shared latent, prefill expanded heads."""
    pairs = attended(q_len, kv_len, np.zeros_like(q_len), causal=True)
    decode = phase == "decode"
    if decode:
        wide_k, wide_v = latent.kv_rank + latent.rope_dim, latent.kv_rank
        keys = batch * kv_len * wide_k * kv.activation
    else:
        wide_k, wide_v = latent.nope_dim + latent.rope_dim, latent.v_dim
        keys = batch * kv_len * n_heads * (wide_k + wide_v) * form.activation
    return _work(
        chip,
        form,
        decode=decode,
        batch=batch,
        q_len=q_len,
        reach=kv_len,
        pairs=pairs,
        heads=n_heads,
        groups=np.ones_like(n_heads) if decode else n_heads,
        width=np.full_like(n_heads, float(wide_k + wide_v)),
        queries=batch * n_heads * q_len * (wide_k * form.activation + wide_v * form.output),
        keys=keys,
        warm=warm,
    )


def _work(
    chip: Chip,
    form: Format,
    *,
    decode: bool,
    batch: Array,
    q_len: Array,
    reach: Array,
    pairs: Array,
    heads: Array,
    groups: Array,
    width: Array,
    queries: Array,
    keys: Array,
    warm: bool,
) -> Work:
    """Return the work of ``heads`` that share ``groups`` of keys; ``width`` is the sum of key and value widths."""
    unit = unit_of(chip)
    packed = heads / groups * q_len
    if decode:
        rows = np.ceil(packed / _PACKED) * _PACKED
        tasks = batch * groups * np.ceil(packed / 64.0)
        split = np.clip(np.floor(unit.cores / tasks), 1.0, np.maximum(1.0, np.floor(reach / _KEYS)))
        scored = batch * groups * rows * np.ceil(reach / 16.0) * 16.0
    else:
        rows = np.ceil(q_len / 16.0) * 16.0
        tasks = batch * heads * np.ceil(q_len / _ROWS)
        split = np.ones_like(tasks)
        scored = batch * heads * rows * pairs / q_len
    waves = tasks * split / unit.cores
    idle = np.minimum(_idle(waves), unit.cores)
    size = queries + keys
    again = missing(size, size, unit.cache)
    missed = again if warm else keys + missing(queries, queries, unit.cache)
    return Work(
        compute=2.0 * scored * width * idle / peak_rate(chip, form.rate),
        memory=missed / unit.bandwidth,
        cache=size * idle / unit.cache_rate,
        vector=scored * idle / unit.exp_rate,
        power=energy_time(unit, 2.0 * batch * heads * pairs * width, BITS[form.rate]),
        roofline=np.maximum(2.0 * batch * heads * pairs * width / peak_rate(chip, form.rate), size / unit.bandwidth),
        flop=2.0 * batch * heads * pairs * width,
        launch=1e3 / unit.clock,
        features=_features(unit, q_len, reach, batch * groups, packed, width, waves, split, size, again),
    )


def _idle(waves: Array) -> Array:
    """Return how much longer the cores run than if their tasks filled every wave; tails overlap in many waves."""
    whole: Array = np.ceil(waves) / waves
    return whole


def _features(
    unit: Unit,
    q_len: Array,
    reach: Array,
    groups: Array,
    packed: Array,
    width: Array,
    waves: Array,
    split: Array,
    size: Array,
    missed: Array,
) -> dict[str, Array]:
    share = np.log2(size / max(unit.cache, 1e6)) / 4.0
    return {
        "q": np.log2(np.minimum(q_len, 131072.0)) / 4.0 - 2.0,
        "kv": np.log2(np.clip(reach, 1.0, 262144.0)) / 4.0 - 2.8,
        "groups": np.log2(np.minimum(groups, 65536.0)) / 4.0 - 1.5,
        "packed": np.log2(np.clip(packed, 1.0, 128.0)) / 3.0,
        "width": np.log2(width) / 1.0 - 8.0,
        "waves": np.clip(np.log2(waves), -8.0, 6.0) / 3.0,
        "many_waves": np.clip(np.log2(waves), 0.0, 6.0) / 3.0,
        "few_waves": np.clip(np.log2(waves), -8.0, 0.0) / 3.0,
        "short_q": 64.0 / (q_len + 64.0),
        "short_kv": 128.0 / (reach + 128.0),
        "split": np.log2(split) / 3.0,
        "kept": 1.0 - missed / size,
        "size": np.clip(share, -6.0, 4.0),
        "over": np.clip(share, 0.0, 4.0),
    }


def mla_module_work(
    chip: Chip,
    form: Format,
    kv: Format,
    products: Format,
    latent: Latent,
    hidden: float,
    *,
    phase: str,
    batch: Array,
    q_len: Array,
    kv_len: Array,
    n_heads: Array,
    warm: bool = True,
) -> Work:
    """Return the ideal work of the whole latent attention block: the core and its projections in ``products``.

    Down to the ranks, queries up, keys and values up (prefill) or absorbed into queries and outputs (decode), and
    the output projection; ``n_heads`` is the chip's own share of heads.
    """
    unit = unit_of(chip)
    core = mla_work(
        chip, form, kv, latent, phase=phase, batch=batch, q_len=q_len, kv_len=kv_len, n_heads=n_heads, warm=warm
    )
    tokens = batch * q_len
    head = latent.nope_dim + latent.rope_dim
    up = latent.nope_dim + latent.v_dim
    down = hidden * (latent.q_rank + latent.kv_rank + latent.rope_dim)
    numbers = down + n_heads * (head * (latent.q_rank or hidden) + latent.v_dim * hidden + up * latent.kv_rank)
    rows = np.ceil(tokens / 16.0) * 16.0
    weights = numbers * products.weight
    passing = tokens * (hidden * 2.0 + n_heads * (head + latent.v_dim)) * products.output
    size = weights + passing
    missed = missing(size, size, unit.cache) if warm else weights + missing(passing, passing, unit.cache)
    return Work(
        compute=core.compute + 2.0 * rows * numbers / peak_rate(chip, products.rate),
        memory=core.memory + missed / unit.bandwidth,
        cache=core.cache + size / unit.cache_rate,
        vector=core.vector,
        power=core.power + energy_time(unit, 2.0 * tokens * numbers, BITS[products.rate]),
        roofline=core.roofline
        + np.maximum(2.0 * tokens * numbers / peak_rate(chip, products.rate), size / unit.bandwidth),
        flop=core.flop + 2.0 * tokens * numbers,
        launch=core.launch,
        features=core.features,
    )
