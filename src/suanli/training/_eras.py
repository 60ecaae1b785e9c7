"""Software eras: the habits of a generation of training code, as data with sources."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from suanli.errors import unknown_name
from suanli.files import plain, read_yaml
from suanli.training._step import Habits

_RENAMED = {"from": "first_year", "to": "last_year"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Era:
    """One software generation; fields as data/eras.yaml explains them. ``batch_tokens`` is its usual global batch."""

    id: str
    name: str
    kin: str
    schedules: tuple[str, ...]
    first_year: int
    last_year: int
    attention: float
    pieces: float
    fusion: float
    dropout: float
    gradient_bytes: float
    tp_overlap: float
    dp_overlap: float
    kernels: float
    outside: float
    vocab_multiple: float
    softmax_multiple: float
    expert_kernels: float
    forced_balance: float
    ep_overlap: float
    rounds: float
    once_per_node: float
    interleaved: float
    selective_gemm: float
    selective_attention: float
    selective_elementwise: float
    sequence_parallel: float
    recompute: str
    sharding: str
    batch_tokens: float
    source: str

    @property
    def flash(self) -> bool:
        """Whether attention keeps its scores on chip."""
        return self.attention > 0


@cache
def _file() -> dict[str, Any]:
    path = Path(str(files("suanli.training").joinpath("data/eras.yaml")))
    raw: dict[str, Any] = plain(read_yaml(path))
    return raw


@cache
def eras() -> tuple[Era, ...]:
    """Return all known eras."""
    rows = _file()["eras"]
    return tuple(_era(row) for row in rows)


def _era(row: dict[str, Any]) -> Era:
    values: dict[str, Any] = {_RENAMED.get(k, k): tuple(v) if isinstance(v, list) else v for k, v in row.items()}
    return Era(**values)


def era(name: str) -> Era:
    """Return the era called ``name``. Raises UnknownNameError with the nearest name."""
    for one in eras():
        if one.id == name:
            return one
    raise unknown_name("era", name, [one.id for one in eras()])


_WORDS: tuple[tuple[str, str], ...] = (
    (r"torchtitan|fsdp2", "fsdp2"),
    (r"maxtext|palm|pathways|\bjax\b|\bxla\b", "xla"),
    (r"megascale", "megascale"),
    (r"mindspeed|modellink|pangu|\bcann\b", "mindspeed"),
    (r"primus", "primus"),
    (r"\bnemo\b|megatron-bridge|mlperf", "nemo"),
    (r"deepseek-v3 technical|dualpipe", "megascale"),
    (r"llm-foundry|mosaic|\bfsdp\b", "fsdp"),
    (r"deepspeed|neox|bigscience", "deepspeed"),
)


def era_for(*, vendor: str, year: int, sharding: str = "", text: str = "", own: str = "") -> Era:
    """Return the era that a run most likely belongs to, from what is said of it, its chip's vendor and its year.

    ``own`` is what is said of this run alone. Names of frameworks in ``text`` count first, then the vendor (Google:
    XLA, Huawei: MindSpeed, AMD: Primus), then ZeRO-3 (FSDP or DeepSpeed), then Megatron's generation by year.
    """
    low = text.casefold()
    found = next((name for pattern, name in _WORDS if re.search(pattern, low)), "")
    alone = own.casefold()
    if found == "megascale" and ("baseline" in low or ("megatron" in alone and "megascale" not in alone)):
        return era(_megatron(year - 1))  # the paper's own baseline is Megatron-LM of the year before
    by_vendor = {"google": "xla", "huawei": "mindspeed", "amd": "primus"}
    name = by_vendor.get(vendor.casefold(), found) or found
    whole = sharding == "zero3"
    if not name and whole:
        name = "fsdp" if year >= 2023 else "deepspeed"
    if name in {"fsdp", "deepspeed"}:
        recent = {"fsdp": "fsdp2" if year >= 2024 else "fsdp1"}
        name = recent.get(name, ("deepspeed-2021" if year < 2023 else "fsdp1") if whole else "megatron-deepspeed")
    elif name == "mindspeed":
        name = "mindspeed-legacy" if year <= 2024 and "mcore" not in low else "mindspeed"
    elif name in {"", "nemo"}:
        name = _megatron(year)
    return era(name)


def _megatron(year: int) -> str:
    for limit, name in ((2021, "megatron-2021"), (2022, "megatron-2022"), (2024, "megatron-core"), (2025, "nemo-2025")):
        if year <= limit:
            return name
    return "nemo-2026"


def generations_behind(vendor: str) -> float:
    """Return how many generations a vendor's training software is behind the oldest (data/eras.yaml)."""
    table = _file()["generations_behind"]
    return float(table.get(vendor, table["others"]))


def habits(of: Sequence[Era], *, family: str) -> Habits:
    """Return the habits of several eras on one chip family along one candidate axis."""
    best = float(_file()["attention_best"].get(family, 0.0))

    def column(name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array([float(getattr(one, name)) for one in of])

    return Habits(
        flash=column("flash"),
        core=np.array([max(0.0, best - one.attention) if one.flash else 0.0 for one in of]),
        pieces=column("pieces"),
        fusion=column("fusion"),
        dropout=column("dropout"),
        gradient_bytes=column("gradient_bytes"),
        kernels=column("kernels"),
        outside=column("outside"),
        vocab_multiple=column("vocab_multiple"),
        softmax_multiple=column("softmax_multiple"),
        expert_kernels=column("expert_kernels"),
        balanced=np.zeros(len(of)),
        ep_overlap=column("ep_overlap"),
        once_per_node=column("once_per_node"),
        selective_gemm=column("selective_gemm"),
        selective_attention=column("selective_attention"),
        selective_elementwise=column("selective_elementwise"),
    )
