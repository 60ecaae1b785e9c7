"""Services that are no language models: pictures and videos by diffusion, recommenders over embedding tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
from suanli.serving._steady import GRID, Lanes

Array = NDArray[np.float64]
Rule = Callable[[Service, Chip, int], tuple[float, float, str]]

_AROUND = (
    1.12  # time of text encoder and picture decoder beside the denoiser: a tenth to an eighth in published profiles
)
_HOT = 0.35  # exponent: a share f of the rows, hottest first, takes f**_HOT of the lookups (Zipf-like access)
_SHARE = 0.9  # of the memory is the engine's
_SIGMA = 0.45  # log-standard deviation; no served runs of these kinds are among the measurements
_REQUESTS = tuple(2**k for k in range(13))
_MOST = 4_194_304  # items of a batch
_P99 = 2.6  # of a batch's time: a request waits for the batch before its own, and bursts lengthen the tail


def other_options(services: Sequence[Service], chips: Sequence[Chip], *, max_chips: int = 16) -> list[Option]:
    """Return layouts of the services that are no language models, each at its best load within ``latency_s``."""
    out = []
    for number, service in enumerate(services):
        kind = service.model.architecture
        if kind == "transformer":
            continue
        rule = _diffusion if kind == "dit" else _recommender
        for chip in chips:
            tp = 1
            while tp <= min(domain(chip), max_chips, 8 if kind == "dit" else 16):
                out.append(_try(rule, number, service, chip, tp))
                tp *= 2
    return out


def _try(rule: Rule, number: int, service: Service, chip: Chip, tp: int) -> Option:
    try:
        rate, latency, reason = rule(service, chip, tp)
    except SuanliError as error:
        rate, latency, reason = float("nan"), float("nan"), str(error)
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


def _seconds(chip: Chip, model: Model, precision: str, *, batch: int, length: int, tp: int) -> float:
    """Return the time of one forward pass on ``tp`` chips, operators and collectives."""
    from suanli import silicon
    from suanli.fabric import collective_time, network_of
    from suanli.workloads import forward_ops

    formats = formats_of(model, chip, precision)
    phase = "encoder" if model.architecture == "dit" else "prefill"
    ops = forward_ops(model, phase=phase, batch=batch, q_len=length, tp=tp, dtype=formats.table)
    spent = silicon.ops_time(chip, ops).total
    if tp > 1:
        network = network_of(chip, tp)
        if model.architecture == "dit":
            size = 2.0 * batch * length * model.hidden
            spent += 2 * model.n_layers * float(np.max(collective_time(network, "all_reduce", size, tp)))
        else:
            size = max(1.0, 2.0 * batch * _row_numbers(model) / tp)
            spent += float(np.max(collective_time(network, "all_to_all", size, tp)))
    return spent


def _row_numbers(model: Model) -> float:
    """Return the pooled numbers an item brings from the embedding tables."""
    table = model.recommender
    return float(table.n_tables * table.dim) if table else 0.0


def _diffusion(service: Service, chip: Chip, tp: int) -> tuple[float, float, str]:
    """Return (answers/s, latency, reason): denoising steps of one sample at a time, guidance counted in."""
    from suanli.workloads import parameters, passes, picture_tokens

    model = service.model
    formats = formats_of(model, chip, service.precision)
    assert model.diffusion is not None
    weights = parameters(model).total * formats.weight_bytes * max(1, model.diffusion.denoisers) / tp
    tokens = picture_tokens(model, height=service.height, width=service.width, frames=service.frames)
    need = weights + 24.0 * tokens * model.hidden / tp
    room = (chip.memory_bytes or 0.0) * _SHARE
    if need > room:
        return float("nan"), float("nan"), f"does not fit: {(need - room) / GIB:.1f} GiB too much for a chip"
    once = _seconds(chip, model, service.precision, batch=1, length=tokens, tp=tp)
    latency = passes(model, steps=service.steps) * once * _AROUND
    return 1.0 / latency, latency, ""


def _recommender(service: Service, chip: Chip, tp: int) -> tuple[float, float, str]:
    """Return (requests/s, p99 latency, reason) at the best number of requests a batch within the limit.

    Embedding tables spread over ``tp`` chips; rows that don't fit lie in host memory and are read over the host
    link, the coldest first.
    """
    missed, reason = _missed(service, chip, tp)
    if reason:
        return float("nan"), float("nan"), reason
    batch, spent = _best_batch(service, chip, tp, missed)
    return batch / spent, _P99 * spent, ""


def _missed(service: Service, chip: Chip, tp: int) -> tuple[float, str]:
    """Return (share of lookups that go to host memory, why it does not fit)."""
    from suanli.workloads import format_bytes, parameters

    model, table = service.model, service.model.recommender
    assert table is not None
    tables = float(table.rows) * table.dim * format_bytes(model.weight_format)
    dense = max(0.0, parameters(model).total - float(table.rows) * table.dim) * 2.0
    room = (chip.memory_bytes or 0.0) * _SHARE - dense
    if room <= 0:
        return 1.0, f"does not fit: dense layers take {dense / GIB:.1f} GiB a chip"
    near = min(1.0, room * tp / tables)
    return (1.0 - near**_HOT if near < 1.0 else 0.0), ""


def _batch_seconds(service: Service, chip: Chip, tp: int, missed: float, requests: int) -> float:
    """Return the time of a batch of ``requests`` of a recommender (s), NaN where a batch is too large to run."""
    from suanli.workloads import format_bytes

    model, table = service.model, service.model.recommender
    assert table is not None
    items = max(1, int(service.input_tokens))
    batch, length = (requests, items) if model.architecture == "hstu" else (requests * items, 1)
    if batch * length > _MOST:
        return float("nan")
    read = batch * length * table.lookups * table.dim * format_bytes(model.weight_format)
    spent = _seconds(chip, model, service.precision, batch=batch, length=length, tp=tp)
    return spent + read * missed / (HOST_LINK * tp)


def _best_batch(service: Service, chip: Chip, tp: int, missed: float) -> tuple[int, float]:
    """Return (requests, s) of the batch with the greatest rate whose p99 is within the limit."""
    best = (1, _batch_seconds(service, chip, tp, missed, 1))
    for requests in _REQUESTS[1:]:
        spent = _batch_seconds(service, chip, tp, missed, requests)
        if not spent < np.inf:
            break
        within = service.latency_s is None or _P99 * spent <= service.latency_s
        if within and requests / spent > best[0] / best[1]:
            best = (requests, spent)
    return best


def other_lane(service: Service, chip: Chip, tp: int) -> Lanes:
    """Return the lane of one copy of a service without tokens, for simulation: a request counts as one token.

    Pictures are made one at a time; a recommender takes up to its best batch in a step.
    """
    most, times = 1, GRID * _diffusion(service, chip, tp)[1] if service.model.architecture == "dit" else GRID
    if service.model.architecture != "dit":
        missed, _ = _missed(service, chip, tp)
        most, _ = _best_batch(service, chip, tp, missed)
        known = [_batch_seconds(service, chip, tp, missed, int(n)) for n in GRID if n <= most]
        times = np.array([known[k] if k < len(known) else known[-1] * n / most for k, n in enumerate(GRID)])
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
