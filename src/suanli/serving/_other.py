"""Services that are no language models: pictures and videos by diffusion, recommenders over embedding tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from suanli.errors import SuanliError
from suanli.kinds import Chip, Model, Service
from suanli.quantities import GIB
from suanli.serving._capacity import Option
from suanli.serving._formats import formats_of
from suanli.serving._layout import Layout
from suanli.serving._layouts import domain

Array = NDArray[np.float64]
Rule = Callable[[Service, Chip, int], tuple[float, float, str]]

_AROUND = (
    1.12  # time of text encoder and picture decoder beside the denoiser: a tenth to an eighth in published profiles
)
_HOST_LINK = 50e9  # B/s a chip reads rows of its host's memory: a PCIe 5.0 x16 link, less its protocol
_HOT = 0.35  # exponent: a share f of the rows, hottest first, takes f**_HOT of the lookups (Zipf-like access)
_SHARE = 0.9  # of the memory is the engine's
_SIGMA = 0.45  # log-standard deviation; no served runs of these kinds are among the measurements
_REQUESTS = tuple(2**k for k in range(13))


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
    from suanli.workloads import format_bytes, parameters

    model, table = service.model, service.model.recommender
    assert table is not None
    tables = float(table.rows) * table.dim * format_bytes(model.weight_format)
    dense = max(0.0, parameters(model).total - float(table.rows) * table.dim) * 2.0
    room = (chip.memory_bytes or 0.0) * _SHARE - dense
    if room <= 0:
        return float("nan"), float("nan"), f"does not fit: dense layers take {dense / GIB:.1f} GiB a chip"
    near = min(1.0, room * tp / tables)
    missed = 1.0 - near**_HOT if near < 1.0 else 0.0
    items = max(1, int(service.input_tokens))
    best = (0.0, float("inf"))
    for requests in _REQUESTS:
        batch, length = (requests, items) if model.architecture == "hstu" else (requests * items, 1)
        if batch * length > 4_194_304:
            break
        read = batch * length * table.lookups * table.dim * format_bytes(model.weight_format)
        spent = _seconds(chip, model, service.precision, batch=batch, length=length, tp=tp)
        spent += read * missed / (_HOST_LINK * tp)
        p99 = 2.0 * spent * 1.3  # a request waits for the batch before its own; bursts lengthen the tail
        if best[0] == 0.0 or (requests / spent > best[0] and (service.latency_s is None or p99 <= service.latency_s)):
            best = (requests / spent, p99)
    return best[0], best[1], ""
