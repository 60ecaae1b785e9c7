"""The ideal work of latent attention: its core, and the block with its projections."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suanli.kinds import BITS, Chip, Latent
from suanli.silicon._attention_grid import Heads, grid_of
from suanli.silicon._attention_work import LAUNCH, attended, work_on
from suanli.silicon._cache import Traffic, missing
from suanli.silicon._formats import Format, peak_rate
from suanli.silicon._laws import Work
from suanli.silicon._unit import energy_time, roofline, unit_of

Array = NDArray[np.float64]

_GRANULE = 16.0  # rows to which a projection's tokens are padded
_INSTANT = 1e-15  # s; no memory takes less


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
    unit = unit_of(chip)
    decode = phase == "decode"
    shared = decode or absorbed
    wide_k, wide_v = _widths(latent, shared=shared)
    width, none = wide_k + wide_v, np.zeros_like(q_len)
    shape = Heads(
        batch=batch,
        q_len=q_len,
        reach=kv_len,
        pairs=attended(q_len, kv_len, none, causal=True),
        heads=n_heads,
        groups=np.ones_like(n_heads) if shared else n_heads,
        window=none,
        cut=np.zeros(np.shape(n_heads), dtype=bool),
        # Values are the first part of the latent, which is read once for both.
        keys=batch * kv_len * (wide_k * kv.activation if shared else n_heads * width * form.activation),
        lanes=np.full_like(n_heads, width),
        history=kv_len,
        narrow=kv.activation <= 1.0,
    )
    return work_on(
        chip,
        form,
        # All heads share one latent: a tile of 64 of them, whatever the kernel.
        grid_of("processor" if unit.kind == "cpu" else None),
        shape,
        decode=decode,
        width=np.full_like(n_heads, width),
        queries=batch * n_heads * q_len * (wide_k * form.activation + wide_v * form.output),
        flop=2.0 * batch * n_heads * shape.pairs * width,
        splits=unit.family not in grid_of(kernel).unsplit,
        warm=warm,
    )


def _widths(latent: Latent, *, shared: bool) -> tuple[float, float]:
    """Return the widths of a key and a value: of the ``shared`` latent, or of one head's expanded from it."""
    if shared:
        return float(latent.kv_rank + latent.rope_dim), float(latent.kv_rank)
    return float(latent.nope_dim + latent.rope_dim), float(latent.v_dim)


@dataclass(frozen=True, slots=True)
class Projections:
    """Products around the core (arrays of one shape): ``flop``, those of ``padded`` rows, bytes and their traffic."""

    flop: Array
    padded: Array
    size: Array
    traffic: Traffic


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

    ``n_heads`` is the chip's own share of heads.
    """
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
    unit, rate = unit_of(chip), peak_rate(chip, products.rate)
    around = _projections(unit.cache, products, latent, hidden, batch * q_len, n_heads, warm=warm)
    memory = core.memory + around.traffic.missed / unit.bandwidth
    spared = core.memory * core.held + around.traffic.missed * around.traffic.held / unit.bandwidth
    return Work(
        compute=core.compute + around.padded / rate,
        memory=memory,
        cache=core.cache,
        vector=core.vector,
        power=core.power + energy_time(unit, around.flop, BITS[products.rate]),
        roofline=core.roofline + roofline(unit, around.flop, rate, around.size),
        flop=core.flop + around.flop,
        launch=LAUNCH,
        held=spared / np.maximum(memory, _INSTANT),
        features=core.features,
    )


def _projections(
    cache: float, form: Format, latent: Latent, hidden: float, tokens: Array, n_heads: Array, *, warm: bool
) -> Projections:
    """Return the products that bring ``tokens`` to the core and back.

    Down to the ranks, queries up, keys and values up (prefill) or absorbed into queries and outputs (decode), and
    the output projection.
    """
    head, up = latent.nope_dim + latent.rope_dim, latent.nope_dim + latent.v_dim
    down = hidden * (latent.q_rank + latent.kv_rank + latent.rope_dim)
    numbers = down + n_heads * (head * (latent.q_rank or hidden) + latent.v_dim * hidden + up * latent.kv_rank)
    weights = numbers * form.weight
    passing = tokens * (hidden * 2.0 + n_heads * (head + latent.v_dim)) * form.output
    size = weights + passing
    again = missing(size, size, cache)
    return Projections(
        flop=2.0 * tokens * numbers,
        padded=2.0 * (np.ceil(tokens / _GRANULE) * _GRANULE) * numbers,
        size=size,
        traffic=Traffic(again if warm else weights + missing(passing, passing, cache), again),
    )
