"""The time of one step: layers, pipeline, collectives and optimizer put together, over arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from suanli.training._comm import Traffic
from suanli.training._compressed import is_compressed
from suanli.training._facts import Facts
from suanli.training._memory import Recipe, kept_activations, local_weights
from suanli.training._schedule import idle_passes, stage_layers
from suanli.training._strategy import Strategies
from suanli.training._units import Kernels, Units

Array = NDArray[np.float64]

_OPTIMIZER_BYTES = 42.0  # a weight: Adam reads 16 and writes 14, norm and scaling read 8, clearing writes 4
_REGATHER = 0.5  # all-reduces: sequence parallelism gathers inputs again, half hidden (Korthikanti 2022, table 4)
_PLAIN_KERNELS = 4.0 / 14.0  # widen, scale, mask, normalise, narrow for one of a layer's 14 (Megatron-LM, forward)
_HOST_RATE = 2.0e10  # B/s a chip: host link and host memory shared by the chips of a node (estimated)


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What the era does by itself, an array each: see data/eras.yaml.

    ``balanced`` 1 says that routing is forced to balance, as benchmarks do. ``core`` counts the generations of
    attention kernels that the era is behind the chip's best; ``pieces`` the collectives that ZeRO-3 makes of a layer.
    ``outside`` 1 counts the host's work between steps; ``vocab_multiple`` times tp is what the vocabulary is padded to.
    ``softmax_multiple`` is how many heads x sequences the fused softmax takes at a time.
    """

    flash: Array
    core: Array
    pieces: Array
    fusion: Array
    dropout: Array
    gradient_bytes: Array
    kernels: Array
    outside: Array
    vocab_multiple: Array
    softmax_multiple: Array
    expert_kernels: Array
    balanced: Array
    ep_overlap: Array
    once_per_node: Array
    selective_gemm: Array
    selective_attention: Array
    selective_elementwise: Array


def recipe_of(h: Habits, *, seq: Array, bits8: Array | float) -> Recipe:
    """Return how a layer of ``seq`` tokens runs under an era's habits; ``bits8`` 1: products in 8 bits or fewer."""
    return Recipe(
        seq=seq,
        flash=h.flash,
        dropout=h.dropout,
        selective_gemm=h.selective_gemm,
        selective_elementwise=h.selective_elementwise,
        bits8=bits8,
    )


def kernels_of(h: Habits) -> Kernels:
    """Return which kernels an era has by its habits."""
    return Kernels(
        flash=h.flash, dropout=h.dropout, vocab_multiple=h.vocab_multiple, softmax_multiple=h.softmax_multiple
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Calibrated factors of each candidate, an array each: multiples of silicon's or fabric's time, shares, seconds.

    ``product`` multiplies matrix products, ``expert`` grouped ones besides, ``core`` flash attention forward and
    ``core_back`` its backward, ``mixer`` compressed attention and residual streams besides, ``generation`` for each
    kernel generation behind the chip's best; ``passes`` element-wise traffic, ``passes_back`` their backward over
    forward, ``route`` those that sort tokens by expert; ``uneven`` the fullest expert's share over the mean;
    ``launch`` is s a host operation, ``launch_back`` a backward pass's host time over its forward pass's,
    ``misaligned`` the head's products with odd row lengths over aligned ones, ``hop`` s a step of a ring; ``tp``,
    ``pp``, ``dp``, ``ep``, ``cp`` multiply collectives (``tp`` also data-parallel ones inside a domain, ``piece``
    those of ZeRO-3 across domains); ``tp_hidden``, ``ep_hidden`` and ``dp_hidden`` are the shares that overlap
    hides; ``contention`` slows compute for each hidden second; ``straggler`` is the growth a doubling of chips
    beyond 8; ``fixed`` is s a step; ``overall`` multiplies the whole.
    """

    product: Array
    expert: Array
    core: Array
    core_back: Array
    mixer: Array
    generation: Array
    passes: Array
    passes_back: Array
    route: Array
    uneven: Array
    launch: Array
    launch_back: Array
    misaligned: Array
    hop: Array
    tp: Array
    pp: Array
    dp: Array
    piece: Array
    ep: Array
    cp: Array
    tp_hidden: Array
    ep_hidden: Array
    dp_hidden: Array
    contention: Array
    straggler: Array
    fixed: Array
    overall: Array


PARTS: tuple[str, ...] = (
    "products",
    "attention",
    "element-wise",
    "recompute",
    "launch",
    "tp",
    "cp",
    "ep",
    "head",
    "imbalance",
    "bubble",
    "pp",
    "dp",
    "offload",
    "straggler",
    "optimizer",
    "data",
)
"""Parts of a step, in the order in which they are shown; they add up to the step time."""


_IN_LAYERS = {
    "products": "products", "attention": "attention", "element-wise": "passes", "recompute": "recompute",
    "launch": "launch", "tp": "tp", "cp": "cp", "ep": "ep",
}  # fmt: skip
"""Parts of a step that lie in its layers -> the field of a layer's pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """Seconds of one layer's pass: its parts, exposed."""

    products: Array
    attention: Array
    passes: Array
    recompute: Array
    launch: Array
    tp: Array
    cp: Array
    ep: Array

    @property
    def total(self) -> Array:
        """All parts together."""
        return self.products + self.attention + self.passes + self.recompute + self.launch + self.tp + self.cp + self.ep


def _smooth_max(gpu: Array, host: Array) -> Array:
    """Return what launching adds to ``gpu`` seconds where the host needs ``host`` seconds to launch them.

    The 2-norm stands for the larger of two times that vary from kernel to kernel; of the norms from 1 to 4 it leaves
    the smallest median error on published runs.
    """
    out: Array = np.sqrt(gpu * gpu + host * host) - gpu
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """Calibrated seconds of a layer on the chip: products and attention proper, backward in ``_b``; forward passes over
    scores, the ``light`` ones that selective recomputation repeats, and all ``moves`` but those over scores."""

    products: Array
    products_b: Array
    core: Array
    core_b: Array
    score: Array
    light: Array
    moves: Array


def layer_passes(f: Facts, u: Units, s: Strategies, t: Traffic, h: Habits, r: Rates) -> tuple[Pass, Pass]:
    """Return the forward and the backward pass of one layer and micro-batch, recomputation in the latter."""
    # Capacity and a stated skew are in the rows already (suanli.training._routing).
    uneven = np.where((h.balanced > 0) | (f.capacity > 0) | (f.skew > 0), 1.0, r.uneven)
    w = _work(f, u, s, h, r, uneven=uneven)
    forward = w.products + w.core + w.score + w.moves
    backward = w.products_b + w.core_b + r.passes_back * (w.score + w.moves)
    full = np.where(s.recompute == 2, s.recompute_share, 0.0)
    chosen = np.where(s.recompute == 1, 1.0, 0.0)
    again = full * forward + chosen * (
        h.selective_gemm * w.products + h.selective_attention * (w.core + w.score) + h.selective_elementwise * w.light
    )
    # Products and tensor-parallel collectives run piece by piece over shared buffers, inside a domain only.
    hidden_tp = r.tp_hidden * s.tp_overlap * (1.0 - t.tp_across)
    joints = 2.0 - f.parallel_block  # attention and feed-forward side by side join once (PaLM, 2204.02311)
    exposed_tp = r.tp * t.tp * (1.0 - hidden_tp)
    exposed_ep = uneven * r.ep * t.ep * (1.0 - r.ep_hidden * h.ep_overlap)
    slowed = 1.0 + r.contention * r.tp * t.tp * hidden_tp / np.maximum(forward, 1e-12)
    host = r.launch * (h.kernels * (1.0 + _PLAIN_KERNELS * u.plain) + f.moe_layers / f.layers * h.expert_kernels)
    cp, cp_back = _exposed_context(s, t, r, core=w.core, core_back=w.core_b)
    one = Pass(
        products=w.products * slowed,
        attention=w.core + w.score,
        passes=w.moves,
        recompute=np.zeros(1),
        launch=_smooth_max(forward, host),
        tp=joints * exposed_tp,
        cp=cp,
        ep=exposed_ep,
    )
    two = Pass(
        products=w.products_b * slowed,
        attention=w.core_b + r.passes_back * w.score,
        passes=r.passes_back * w.moves,
        recompute=again,
        launch=_smooth_max(backward + again, host * (r.launch_back + full)),
        tp=joints * (1.0 + full + 0.5 * _REGATHER * s.sequence_parallel) * exposed_tp,
        cp=cp_back + full * cp,
        ep=(1.0 + full) * exposed_ep,
    )
    if np.all(u.own_f == 1.0) and np.all(u.own_b == 1.0):
        return one, two
    return _scaled(one, u.own_f, again=u.own_f), _scaled(two, u.own_b, again=u.own_f)


def _work(f: Facts, u: Units, s: Strategies, h: Habits, r: Rates, *, uneven: Array) -> _Work:
    """Return the calibrated work of a layer; ``uneven`` is the fullest expert's share over the mean."""
    split = np.where(s.sequence_parallel > 0, s.tp, 1.0)
    flash_core = np.where(h.flash > 0, r.core * np.power(r.generation, h.core), r.product)
    expert = r.expert * uneven
    mixer = np.where(is_compressed(f), r.mixer, 1.0)
    light = mixer * h.fusion * r.passes * (u.sharded + u.replicated / split)
    return _Work(
        products=r.product * (u.gemm_f + expert * u.expert_f),
        products_b=r.product * (u.gemm_b + expert * u.expert_b),
        core=mixer * flash_core * u.core_f,
        core_b=mixer * np.where(h.flash > 0, r.core_back, 1.0) * flash_core * u.core_b,
        score=r.passes * u.softmax,
        light=light,
        moves=light + h.fusion * r.passes * (u.cast + r.route * uneven * u.route),
    )


def _scaled(one: Pass, own: Array, *, again: Array) -> Pass:
    """Return a pass whose work on the chip takes ``own`` times as long, what it computes again ``again`` times."""
    return replace(
        one,
        products=own * one.products,
        attention=own * one.attention,
        passes=own * one.passes,
        recompute=again * one.recompute,
        launch=own * one.launch,
    )


def _exposed_context(s: Strategies, t: Traffic, r: Rates, *, core: Array, core_back: Array) -> tuple[Array, Array]:
    """Return the exposed seconds a layer of context exchange, (forward, backward).

    Gathering is calibrated as a whole. A ring passes the next keys on while attention works on these: what exceeds
    the attention of its cp - 1 steps shows, and what is hidden slows it by contention. Heads are exchanged before and
    after attention, where nothing hides them.
    """
    if not np.any(s.context > 0):
        return r.cp * t.cp, r.cp * t.cp_back
    under = (s.cp - 1.0) / s.cp
    ring_f, ring_b = (
        shown + r.contention * (whole - shown)
        for whole, shown in (
            (t.cp, np.maximum(0.0, t.cp - under * core)),
            (t.cp_back, np.maximum(0.0, t.cp_back - under * core_back)),
        )
    )
    forward = np.where(s.context == 1, ring_f, np.where(s.context == 2, t.cp, r.cp * t.cp))
    backward = np.where(s.context == 1, ring_b, np.where(s.context == 2, t.cp_back, r.cp * t.cp_back))
    return forward, backward


def data_parallel(s: Strategies, t: Traffic, r: Rates, *, forward: Array, backward: Array, n_micro: Array) -> Array:
    """Return the exposed seconds a step of data-parallel collectives.

    ``forward`` and ``backward`` are one micro-batch's compute on a stage. Without sharding an all-reduce; ZeRO-1 and -2
    reduce-scatter and gather once a step behind one micro-batch; ZeRO-3 gathers twice and reduces every micro-batch.
    """
    whole = s.sharding == 3
    none = s.sharding == 0
    rate = np.where(t.dp_across > 0, r.dp, r.tp)
    layered = np.where(t.dp_across > 0, r.piece, r.tp)
    pieces = layered * (2.0 * t.piece_gather + t.piece_reduce) + 3.0 * r.hop * t.ring_steps
    total = np.where(whole, n_micro * pieces, rate * (t.dp_reduce + np.where(none, t.dp_extra, t.dp_gather)))
    window = np.where(whole, n_micro * (forward + backward), backward + np.where(none, 0.0, forward))
    total = total + r.dp * t.replicate
    hidden = r.dp_hidden * s.dp_overlap
    covered = np.minimum(total, window) * hidden
    return total - covered + r.contention * covered


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pace:
    """Seconds a micro-batch: a layer ``forward`` and ``backward``, the ``head``, the ``tail`` (the head, once more for
    each prediction depth with its layer), and a stage: one of the ``mean`` number of ``layers`` and the ``worst``.
    """

    forward: Pass
    backward: Pass
    layers: Array
    head: Array
    tail: Array
    mean: Array
    worst: Array


def _pace(f: Facts, s: Strategies, u: Units, t: Traffic, h: Habits, r: Rates, *, even: bool) -> _Pace:
    """Return the pace of layers, head and stages; ``even`` takes the slowest stage to be the mean one."""
    one, two = layer_passes(f, u, s, t, h, r)
    layer = one.total + two.total
    head = r.product * np.power(r.misaligned, u.misaligned) * (u.head_f + u.head_b) + r.passes * u.loss
    head = head + _smooth_max(head, r.launch * h.kernels * (1.0 + r.launch_back))
    tail = head * (1.0 + f.mtp_layers) + f.mtp_layers * (layer + r.product * u.depth)
    layers = f.layers / s.pp
    mean = layers * layer + tail / s.pp
    worst = mean if even else _worst_stage(f, s, layer=layer, tail=tail)
    return _Pace(forward=one, backward=two, layers=layers, head=head, tail=tail, mean=mean, worst=worst)


def _bubble(s: Strategies, p: _Pace) -> Array:
    """Return the seconds a step in which a stage waits for the others, transfers apart."""
    idle_f, idle_i, idle_w = idle_passes(s.pp, s.vpp, s.schedule)
    stage_f = p.layers * p.forward.total + p.tail / s.pp / 3.0
    stage_b = p.layers * p.backward.total + 2.0 * p.tail / s.pp / 3.0
    weights_share = 0.5 * p.layers * p.backward.products + p.tail / s.pp / 3.0
    # A bubble is the time of the other stages: the slowest one's is in the running already.
    others = np.where(s.pp == 1, 1.0, (s.pp * p.mean - p.worst) / np.maximum((s.pp - 1.0) * p.mean, 1e-12))
    bubble = others * (idle_f * stage_f + idle_i * (stage_b - weights_share) + idle_w * weights_share)
    return np.maximum(bubble, 0.0)


def step_parts(
    f: Facts,
    s: Strategies,
    u: Units,
    t: Traffic,
    h: Habits,
    r: Rates,
    *,
    seq: Array,
    batch: Array,
    bits8: float,
    memory_bandwidth: float,
    even: bool = False,
) -> dict[str, Array]:
    """Return the seconds of each of PARTS for one step of ``batch`` sequences; their sum is the step time.

    ``even`` takes every stage to be as fast as the mean one, which no division into whole layers is better than: a
    slower stage costs its excess once a micro-batch and saves at most as much of the bubble.
    """
    p = _pace(f, s, u, t, h, r, even=even)
    one, two = p.forward, p.backward
    n_micro = np.maximum(1.0, batch / (s.dp * s.micro_batch))
    crossings = np.where(s.pp == 1, 0.0, 2.0 * s.vpp)
    p2p = r.pp * t.p2p / np.where(s.sequence_parallel > 0, s.tp, 1.0) * crossings
    forward = p.layers * (one.total - one.tp - one.cp - one.ep)
    backward = p.layers * (two.total - two.tp - two.cp - two.ep) + p.head / s.pp
    parts = {name: n_micro * p.layers * (getattr(one, of) + getattr(two, of)) for name, of in _IN_LAYERS.items()} | {
        "head": n_micro * p.tail / s.pp,
        "imbalance": n_micro * (p.worst - p.mean),
        "bubble": _bubble(s, p) + np.where(s.pp == 1, 0.0, (s.pp - 1.0) * p2p / np.maximum(crossings, 1.0) * 2.0),
        "pp": n_micro * p2p,
        "dp": data_parallel(s, t, r, forward=forward, backward=backward, n_micro=n_micro),
        "offload": n_micro * _offloading(f, s, h, seq=seq, bits8=bits8, compute=forward + backward),
    }
    parts = {name: value * r.overall for name, value in parts.items()}
    busy = sum(parts.values(), np.zeros(1))
    doublings = np.log2(np.maximum(s.chips / 8.0, 1.0))
    parts["straggler"] = busy * (np.power(1.0 + r.straggler, doublings) - 1.0)
    parts["optimizer"] = _optimizer(f, s, memory_bandwidth=memory_bandwidth) * r.passes + r.fixed * h.outside
    return parts


def _worst_stage(f: Facts, s: Strategies, *, layer: Array, tail: Array) -> Array:
    """Return the seconds a micro-batch of the slowest stage, whose pace the pipeline keeps.

    Equal stages leave the head on top of the last one. Where layers don't divide, the layout is taken to even out
    layers and head as well as whole layers allow (custom layouts of Megatron-Core and DeepSeek).
    """
    full, last = stage_layers(f.layers, s.pp, s.vpp)
    even = np.mod(f.layers, s.pp * s.vpp) == 0
    stacked = np.maximum(full * layer, last * layer + tail)
    laid_out = np.maximum(layer * np.ceil((f.layers + tail / layer) / s.pp - 1e-9), tail)
    return np.where(s.pp == 1, full * layer + tail, np.where(even, stacked, np.minimum(laid_out, stacked)))


def _optimizer(f: Facts, s: Strategies, *, memory_bandwidth: float) -> Array:
    """Return the seconds of the optimizer on the fullest stage."""
    dense, routed = local_weights(f, s, stage="first")
    group = s.dp * s.cp / s.replicas
    ranks = np.where(s.sharding > 0, group, 1.0)
    expert_ranks = np.where(s.sharding > 0, np.maximum(1.0, group * s.tp / (s.ep * s.etp)), 1.0)
    size = _OPTIMIZER_BYTES * (dense / ranks + routed / expert_ranks)
    size = size * np.where(s.short_moments > 0, 34.0 / 42.0, 1.0)
    return np.where(s.offload > 0, size / _HOST_RATE, size / memory_bandwidth)


def _offloading(f: Facts, s: Strategies, h: Habits, *, seq: Array, bits8: float, compute: Array) -> Array:
    """Return the exposed seconds a micro-batch of moving a stage's activations to the host and back."""
    if not np.any(s.offload_activations > 0):
        return np.zeros(1)
    kept = kept_activations(f, s, recipe_of(h, seq=seq, bits8=bits8))
    moved = 2.0 * kept * f.layers / s.pp / _HOST_RATE
    return np.where(s.offload_activations > 0, np.maximum(moved - compute, 0.0), 0.0)
