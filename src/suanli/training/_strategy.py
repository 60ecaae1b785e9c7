"""Strategies: how a run is laid over chips, as a structure of arrays along the candidate axis."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InputError

Array = NDArray[np.float64]

SHARDING: tuple[str, ...] = ("none", "zero1", "zero2", "zero3")
"""What data parallel ranks share: nothing, optimizer state, and gradients, and weights (FSDP)."""

RECOMPUTE: tuple[str, ...] = ("none", "selective", "full")
"""What the backward pass computes again."""

CONTEXT: tuple[str, ...] = ("all_gather", "ring", "ulysses")
"""How context parallel ranks share attention: keys gathered (Llama 3), passed round (2310.01889), heads exchanged
(DeepSpeed-Ulysses, 2309.14509)."""

SCHEDULES: tuple[str, ...] = ("1f1b", "interleaved", "zero_bubble", "dualpipe")
"""Pipeline schedules: PipeDream 1F1B, Megatron interleaved, ZB-H1 and DeepSeek's DualPipe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategies:
    """Degrees, micro-batch (sequences) and switches of each candidate; every field broadcasts with every other.

    ``sharding``, ``recompute``, ``schedule`` and ``context`` are indices into SHARDING, RECOMPUTE, SCHEDULES and
    CONTEXT; switches are 0 or 1; ``replicas`` counts the groups that each share weights and optimizer state among
    themselves (hybrid sharding, HSDP); ``recompute_share`` is the share of layers that full recomputation covers;
    ``etp`` is the tensor degree inside an expert; ``offload`` puts optimizer state, ``offload_activations`` activations
    into host memory; ``short_moments`` keeps Adam's moments in 2 bytes.
    """

    tp: Array
    pp: Array
    vpp: Array
    dp: Array
    cp: Array
    ep: Array
    etp: Array
    micro_batch: Array
    sharding: Array
    recompute: Array
    recompute_share: Array
    sequence_parallel: Array
    schedule: Array
    context: Array
    replicas: Array
    tp_overlap: Array
    dp_overlap: Array
    offload: Array
    offload_activations: Array
    short_moments: Array

    @property
    def chips(self) -> Array:
        """Chips that each strategy occupies: tp x pp x dp x cp (experts reuse the dp and cp ranks)."""
        return self.tp * self.pp * self.dp * self.cp


_DEFAULTS: dict[str, float] = {
    "vpp": 1.0,
    "dp": 1.0,
    "cp": 1.0,
    "ep": 1.0,
    "context": 0.0,
    "replicas": 1.0,
    "sharding": 1.0,
    "recompute": 0.0,
    "recompute_share": 1.0,
    "sequence_parallel": 1.0,
    "tp_overlap": 0.0,
    "dp_overlap": 1.0,
    "offload": 0.0,
    "offload_activations": 0.0,
    "short_moments": 0.0,
    "micro_batch": 1.0,
    "tp": 1.0,
    "pp": 1.0,
}


def strategies(**given: ArrayLike) -> Strategies:
    """Return strategies from numbers or arrays; what is not given takes plain Megatron defaults.

    ``schedule`` defaults to 1F1B, or interleaved where vpp > 1; ``etp`` to tp without expert parallelism, else 1.
    ``sharding``, ``recompute``, ``schedule`` and ``context`` also take names. Raises InputError for unknown names
    and for degrees below 1.
    """
    values: dict[str, Array] = {}
    for name, default in _DEFAULTS.items():
        raw = given.pop(name, default)
        values[name] = _codes(name, raw)
    schedule = given.pop("schedule", None)
    values["schedule"] = np.where(values["vpp"] > 1, 1.0, 0.0) if schedule is None else _codes("schedule", schedule)
    etp = given.pop("etp", None)
    values["etp"] = np.where(values["ep"] > 1, 1.0, values["tp"]) if etp is None else _codes("etp", etp)
    if given:
        raise InputError(
            f"unknown part of a strategy '{sorted(given)[0]}'; known: {', '.join(f.name for f in fields(Strategies))}"
        )
    for name in ("tp", "pp", "vpp", "dp", "cp", "ep", "etp", "micro_batch", "replicas"):
        if np.any(values[name] < 1):
            raise InputError(f"{name} {values[name].min():g} is below 1")
    return Strategies(**values)


def _codes(name: str, raw: ArrayLike) -> Array:
    names = {"sharding": SHARDING, "recompute": RECOMPUTE, "schedule": SCHEDULES, "context": CONTEXT}.get(name)
    if isinstance(raw, str) and names is not None:
        if raw not in names:
            raise InputError(f"{name} '{raw}' is not one of {', '.join(names)}")
        raw = float(names.index(raw))
    return np.atleast_1d(np.asarray(raw, dtype=np.float64))


def describe(s: Strategies, index: int = 0) -> str:
    """Return one strategy in one line: "tp8 pp16x2 dp64 mbs1 zero1 selective sp"."""

    def at(a: Array) -> float:
        return float(a[index] if a.shape[0] > 1 else a[0])

    vpp = at(s.vpp)
    parts = [f"tp{at(s.tp):g}", f"pp{at(s.pp):g}" + (f"x{vpp:g}" if vpp > 1 else ""), f"dp{at(s.dp):g}"]
    parts += [f"{name}{value:g}" for name, value in (("cp", at(s.cp)), ("ep", at(s.ep))) if value > 1]
    if at(s.cp) > 1 and at(s.context) > 0:
        parts[-1 if at(s.ep) == 1 else -2] += f"-{CONTEXT[int(at(s.context))]}"
    parts += [f"mbs{at(s.micro_batch):g}", SHARDING[int(at(s.sharding))]]
    if at(s.replicas) > 1:
        parts[-1] += f"x{at(s.replicas):g}"
    recompute = RECOMPUTE[int(at(s.recompute))]
    share = at(s.recompute_share)
    parts.append(f"recompute-{recompute}" + (f" {100 * share:.0f} %" if recompute == "full" and share < 1 else ""))
    if at(s.schedule) > 1:
        parts.append(SCHEDULES[int(at(s.schedule))])
    switches = (("sp", s.sequence_parallel), ("tp-overlap", s.tp_overlap), ("dp-overlap", s.dp_overlap))
    parts += [name for name, a in switches if at(a) > 0 and (name[:2] not in {"sp", "tp"} or at(s.tp) > 1)]
    others = (
        ("optimizer-offload", s.offload),
        ("activation-offload", s.offload_activations),
        ("bf16-moments", s.short_moments),
    )
    parts += [name for name, a in others if at(a) > 0]
    return " ".join(parts)
