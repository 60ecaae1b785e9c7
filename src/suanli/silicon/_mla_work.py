"""The ideal work of latent attention: its core, and the block with its projections."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from suanli.kinds import BITS, Chip, Latent
from suanli.silicon._attention_grid import Heads, grid_of
from suanli.silicon._attention_work import LAUNCH, attended, work_on
from suanli.silicon._formats import Format, peak_rate
from suanli.silicon._gemm_work import missing
from suanli.silicon._laws import Work
from suanli.silicon._unit import energy_time, unit_of

Array = NDArray[np.float64]


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
    kernel: str | None = None,
    warm: bool = True,
    absorbed: bool = False,
) -> Work:
    """Return the ideal work of the latent attention core; decode reads the shared latent, prefill expanded heads.

    ``absorbed``: a prefill that reads the latent too.
    """
    none = np.zeros_like(q_len)
    pairs = attended(q_len, kv_len, none, causal=True)
    decode = phase == "decode"
    shared = decode or absorbed
    if shared:
        wide_k, wide_v = latent.kv_rank + latent.rope_dim, latent.kv_rank
        keys = batch * kv_len * wide_k * kv.activation
    else:
        wide_k, wide_v = latent.nope_dim + latent.rope_dim, latent.v_dim
        keys = batch * kv_len * n_heads * (wide_k + wide_v) * form.activation
    shape = Heads(
        batch=batch,
        q_len=q_len,
        reach=kv_len,
        pairs=pairs,
        heads=n_heads,
        groups=np.ones_like(n_heads) if shared else n_heads,
        window=none,
        cut=np.zeros(np.shape(n_heads), dtype=bool),
        keys=keys,
        lanes=np.full_like(n_heads, wide_k + wide_v),
        history=kv_len,
        narrow=kv.activation <= 1.0,
    )
    width = float(wide_k + wide_v)
    return work_on(
        chip,
        form,
        # All heads share one latent: a tile of 64 of them, whatever the kernel.
        grid_of("processor" if unit_of(chip).kind == "cpu" else None),
        shape,
        decode=decode,
        width=np.full_like(n_heads, width),
        queries=batch * n_heads * q_len * (wide_k * form.activation + wide_v * form.output),
        flop=2.0 * batch * n_heads * pairs * width,
        splits=unit_of(chip).family not in grid_of(kernel).unsplit,
        warm=warm,
    )


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
    kernel: str | None = None,
    warm: bool = True,
) -> Work:
    """Return the ideal work of the whole latent attention block: the core and its projections in ``products``.

    Down to the ranks, queries up, keys and values up (prefill) or absorbed into queries and outputs (decode), and
    the output projection; ``n_heads`` is the chip's own share of heads.
    """
    unit = unit_of(chip)
    core = mla_work(
        chip,
        form,
        kv,
        latent,
        phase=phase,
        batch=batch,
        q_len=q_len,
        kv_len=kv_len,
        n_heads=n_heads,
        kernel=kernel,
        warm=warm,
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
        cache=core.cache,
        vector=core.vector,
        power=core.power + energy_time(unit, 2.0 * tokens * numbers, BITS[products.rate]),
        roofline=core.roofline
        + np.maximum(2.0 * tokens * numbers / peak_rate(chip, products.rate), size / unit.bandwidth),
        flop=core.flop + 2.0 * tokens * numbers,
        launch=LAUNCH,
        features=core.features,
    )
