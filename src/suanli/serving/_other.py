"""Services that are no language models: pictures and videos by diffusion, recommenders over embedding tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from suanli.errors import SuanliError
from suanli.kinds import Chip, Model, Service
from suanli.quantities import GIB
from suanli.serving._adapters import HOST_LINK
from suanli.serving._capacity import Option
from suanli.serving._formats import formats_of
from suanli.serving._layout import Layout
from suanli.serving._layouts import domain
from suanli.serving._profile import joined
from suanli.serving._steady import GRID, Lanes

if TYPE_CHECKING:
    from suanli.workloads import Ops

Array = NDArray[np.float64]
Ints = NDArray[np.intp]
Answer = tuple[float, float, str]
Rule = Callable[[Service, Chip, Sequence[int]], list[Answer]]

_AROUND = (
    1.12  # time of text encoder and picture decoder beside the denoiser: a tenth to an eighth in published profiles
)
_HOT = 0.35  # exponent: a share f of the rows, hottest first, takes f**_HOT of the lookups (Zipf-like access)
_SHARE = 0.9  # of the memory is the engine's
_SIGMA = 0.45  # log-standard deviation; no served runs of these kinds are among the measurements
_REQUESTS = tuple(2**k for k in range(13))
_MOST = 4_194_304  # items of a batch
_P99 = 2.6  # of a batch's time: a request waits for the batch before its own, and bursts lengthen the tail


class Pass(NamedTuple):
    """One forward pass: ``batch`` samples or items, each of ``length``, on ``tp`` chips."""

    batch: int
    length: int
    tp: int


def other_options(services: Sequence[Service], chips: Sequence[Chip], *, max_chips: int = 16) -> list[Option]:
    """Return layouts of the services that are no language models, each at its best load within ``latency_s``."""
    out = []
    for number, service in enumerate(services):
        kind = service.model.architecture
        if kind == "transformer":
            continue
        rule, widest = (_diffusion, 8) if kind == "dit" else (_recommender, 16)
        for chip in chips:
            most = min(domain(chip), max_chips, widest)
            degrees = [2**k for k in range(most.bit_length())]
            answers = _answers(rule, service, chip, degrees)
            out += [_option(number, service, chip, tp, one) for tp, one in zip(degrees, answers, strict=True)]
    return out


def _answers(rule: Rule, service: Service, chip: Chip, degrees: Sequence[int]) -> list[Answer]:
    """Return what ``rule`` says of each tensor degree, or why the chip can't be asked."""
    try:
        return rule(service, chip, degrees)
    except SuanliError as error:
        return [(float("nan"), float("nan"), str(error))] * len(degrees)


def _option(number: int, service: Service, chip: Chip, tp: int, answer: Answer) -> Option:
    rate, latency, reason = answer
    limit = service.latency_s
    if not reason and limit is not None and latency > limit:
        reason = f"latency {latency:.3g} s above {limit:.3g} s"
    return Option(
        service=number,
        chip=chip,
        deployment=None,
        layout=Layout(tp=tp),
        requests_per_s=rate,
        ttft_s=latency,
        tpot_s=float("nan"),
        running=1.0,
        sigma=_SIGMA,
        reason=reason,
    )


def _seconds(chip: Chip, model: Model, precision: str, passes: Sequence[Pass]) -> Array:
    """Return the time of each forward pass on its ``tp`` chips (s), operators and collectives."""
    from suanli import silicon
    from suanli.fabric import collective_time, network_of

    if not passes:
        return np.zeros(0)
    ops, at = _operators(model, formats_of(model, chip, precision).table, tuple(passes))
    spent = np.zeros(len(passes))
    np.add.at(spent, at, silicon.ops_time(chip, ops).value)
    for tp in {one.tp for one in passes} - {1}:
        network = network_of(chip, tp)
        mine = np.array([one.tp == tp for one in passes])
        items = np.array([float(one.batch) for one in passes])[mine]
        if model.architecture == "dit":
            size = 2.0 * items * np.array([float(one.length) for one in passes])[mine] * model.hidden
            spent[mine] += 2 * model.n_layers * collective_time(network, "all_reduce", size, tp)
        else:
            size = np.maximum(1.0, 2.0 * items * _row_numbers(model) / tp)
            spent[mine] += collective_time(network, "all_to_all", size, tp)
    return spent


@lru_cache(maxsize=256)
def _operators(model: Model, dtype: str, passes: tuple[Pass, ...]) -> tuple[Ops, Ints]:
    """Return the operators of forward passes in one table, and the pass of each row."""
    from suanli.workloads import forward_ops

    phase = "encoder" if model.architecture == "dit" else "prefill"
    tables = [forward_ops(model, phase=phase, batch=p.batch, q_len=p.length, tp=p.tp, dtype=dtype) for p in passes]
    at = np.repeat(np.arange(len(tables), dtype=np.intp), [len(t) for t in tables])
    return joined(tables), at


def _row_numbers(model: Model) -> float:
    """Return the pooled numbers an item brings from the embedding tables."""
    table = model.recommender
    return float(table.n_tables * table.dim) if table else 0.0


def _diffusion(service: Service, chip: Chip, degrees: Sequence[int]) -> list[Answer]:
    """Return (answers/s, latency, reason) by degree: denoising steps of one sample at a time, guidance counted in."""
    from suanli.workloads import parameters, passes, picture_tokens

    model = service.model
    formats = formats_of(model, chip, service.precision)
    assert model.diffusion is not None
    weights = parameters(model).total * formats.weight_bytes * max(1, model.diffusion.denoisers)
    tokens = picture_tokens(model, height=service.height, width=service.width, frames=service.frames)
    need = {tp: (weights + 24.0 * tokens * model.hidden) / tp for tp in degrees}
    room = (chip.memory_bytes or 0.0) * _SHARE
    inside = [tp for tp in degrees if need[tp] <= room]
    once = _seconds(chip, model, service.precision, [Pass(1, tokens, tp) for tp in inside])
    latency = dict(zip(inside, (passes(model, steps=service.steps) * once * _AROUND).tolist(), strict=True))
    return [
        (1.0 / latency[tp], latency[tp], "")
        if tp in latency
        else _unfit(f"{(need[tp] - room) / GIB:.1f} GiB too much for a chip")
        for tp in degrees
    ]


def _recommender(service: Service, chip: Chip, degrees: Sequence[int]) -> list[Answer]:
    """Return (requests/s, p99 latency, reason) by degree at the best number of requests a batch within the limit.

    Embedding tables spread over the chips; rows that don't fit lie in host memory and are read over the host
    link, the coldest first.
    """
    room, dense = _table_room(service.model, chip)
    if room <= 0:
        return [_unfit(f"dense layers take {dense / GIB:.1f} GiB a chip")] * len(degrees)
    return [(batch / spent, _P99 * spent, "") for batch, spent in _best_batches(service, chip, degrees)]


def _unfit(why: str) -> Answer:
    return float("nan"), float("nan"), f"does not fit: {why}"


def _table_room(model: Model, chip: Chip) -> tuple[float, float]:
    """Return bytes of a chip: (room for embedding tables beside the dense layers, what those take)."""
    from suanli.workloads import parameters

    table = model.recommender
    assert table is not None
    dense = max(0.0, parameters(model).total - float(table.rows) * table.dim) * 2.0
    return (chip.memory_bytes or 0.0) * _SHARE - dense, dense


def _missed(model: Model, chip: Chip, degrees: Array) -> Array:
    """Return the share of lookups that go to host memory when tables spread over so many chips."""
    from suanli.workloads import format_bytes

    table = model.recommender
    assert table is not None
    tables = float(table.rows) * table.dim * format_bytes(model.weight_format)
    near = np.clip(_table_room(model, chip)[0] * degrees / tables, 0.0, 1.0)
    return 1.0 - near**_HOT


def _batch_seconds(service: Service, chip: Chip, asked: Sequence[tuple[int, int]]) -> Array:
    """Return the time (s) of batches (requests, tensor degree) of a recommender, NaN where one is too large to run."""
    from suanli.workloads import format_bytes

    model, table = service.model, service.model.recommender
    assert table is not None
    items = max(1, int(service.input_tokens))
    several = model.architecture == "hstu"
    passes = [Pass(n, items, tp) if several else Pass(n * items, 1, tp) for n, tp in asked]
    size = np.array([one.batch * one.length for one in passes])
    out = np.full(len(passes), np.nan)
    runs = size <= _MOST
    out[runs] = _seconds(chip, model, service.precision, [p for p, fine in zip(passes, runs, strict=True) if fine])
    degrees = np.array([float(tp) for _, tp in asked])
    read = size * table.lookups * table.dim * format_bytes(model.weight_format)
    return out + read * _missed(model, chip, degrees) / (HOST_LINK * degrees)


def _best_batches(service: Service, chip: Chip, degrees: Sequence[int]) -> list[tuple[int, float]]:
    """Return (requests, s) by degree of the batch with the greatest rate whose p99 is within the limit.

    A single request where none is.
    """
    spent = _batch_seconds(service, chip, [(n, tp) for tp in degrees for n in _REQUESTS]).reshape(len(degrees), -1)
    limit = np.inf if service.latency_s is None else service.latency_s
    fine = np.isfinite(spent) & (_P99 * spent <= limit)
    rate = np.where(fine, np.array(_REQUESTS) / spent, 0.0)
    rate[:, 0] = _REQUESTS[0] / spent[:, 0]
    best = np.argmax(rate, axis=1)
    return [(_REQUESTS[k], float(spent[i, k])) for i, k in enumerate(best.tolist())]


def other_lane(service: Service, chip: Chip, tp: int) -> Lanes:
    """Return the lane of one copy of a service without tokens, for simulation: a request counts as one token.

    Pictures are made one at a time; a recommender takes up to its best batch in a step.
    """
    if service.model.architecture == "dit":
        most, times = 1, GRID * _diffusion(service, chip, [tp])[0][1]
    else:
        most, _ = _best_batches(service, chip, [tp])[0]
        known = _batch_seconds(service, chip, [(int(n), tp) for n in GRID if n <= most])
        times = np.concatenate([known, known[-1] * GRID[known.size :] / most])
    zero, one = np.zeros(1), np.ones(1)
    return Lanes(
        linear=times[None, :],
        **dict.fromkeys(("host_s", "kv_s", "sequence_s", "prompt_s", "cross_s"), zero),
        seats=one * 2.0 * most,
        capacity=one * 1e15,
        budget=one * most,
        mixes=np.array([False]),
        reserves=np.array([False]),
        ranks=one,
        verify=one,
        accepted=one,
    )
