"""Which features each law's efficiencies may depend on, and how strongly each coefficient is held at zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

PARTS = ("overhead", "compute", "memory", "cache", "vector", "power")


def products(names: Sequence[str]) -> tuple[str, ...]:
    """Return all squares and products of two of ``names``."""
    return tuple(f"{a}*{b}" for a, b in combinations_with_replacement(names, 2))


@dataclass(frozen=True)
class Spec:
    """Features of each part: pooled over chips (``base``), of one family and of one kernel; starting constants."""

    base: Mapping[str, tuple[str, ...]]
    family: Mapping[str, tuple[str, ...]]
    kernel: Mapping[str, tuple[str, ...]]
    start: Mapping[str, float]
    sharpness: float


_GEMM = ("m", "n", "k", "waves")
GEMM = Spec(
    base={
        "overhead": ("m", "n", "k", "few_waves", "split"),
        "compute": ("short_k", "short_m", "short_n", "split", "tile", "many_waves", *_GEMM, *products(_GEMM)),
        "memory": ("short_m", "short_n", "short_k", "kept", "split", "size", "size*size", *_GEMM, *products(_GEMM)),
        "cache": ("short_m", "short_n", "short_k", "split", "size", "waves"),
        "vector": (),
    },
    family={
        "overhead": ("k", "m"),
        "compute": ("short_k", "split", "tile", "many_waves", *_GEMM),
        "memory": ("short_m", "kept", "split", "size", *_GEMM),
        "cache": ("size", "split"),
        "vector": (),
    },
    kernel={
        "overhead": ("k", "m"),
        "compute": ("m", "k", "waves"),
        "memory": ("m", "size"),
        "cache": ("size",),
        "vector": (),
    },
    start={"overhead": 1.5, "compute": -1.5, "memory": -1.7, "cache": 0.5, "vector": 0.0, "power": 0.0},
    sharpness=4.0,
)

_PREFILL = ("q", "kv", "groups", "packed", "width", "waves")
PREFILL = Spec(
    base={
        "overhead": ("kv", "q", "width", "groups"),
        "compute": ("short_q", "short_kv", "many_waves", *_PREFILL, *products(("q", "kv", "waves", "width"))),
        "memory": ("kept", "size", "q", "kv", "waves"),
        "cache": ("size", "over", *_PREFILL, *products(("q", "kv", "waves"))),
        "vector": ("short_q", "short_kv", "many_waves", *_PREFILL),
    },
    family={
        "overhead": ("kv", "q"),
        "compute": ("short_q", "short_kv", "many_waves", *_PREFILL),
        "memory": ("kept", "size"),
        "cache": ("size", "q", "kv", "waves"),
        "vector": ("q", "kv", "waves"),
    },
    kernel={
        "overhead": ("kv", "q", "groups"),
        "compute": ("q", "kv", "width", "waves"),
        "memory": ("size",),
        "cache": ("size", "q", "kv"),
        "vector": ("q", "kv"),
    },
    start={"overhead": 2.5, "compute": 0.0, "memory": -1.0, "cache": 1.0, "vector": 0.0, "power": 0.0},
    sharpness=3.0,
)

_DECODE = ("kv", "groups", "packed", "width", "waves")
DECODE = Spec(
    base={
        "overhead": ("kv", "width", "groups", "packed", "split", "few_waves"),
        "compute": ("short_kv", "split", "many_waves", *_DECODE),
        "memory": ("kept", "size", "split", "short_kv", *_DECODE, *products(("kv", "groups", "width", "packed"))),
        "cache": ("size", "over", "split", "short_kv", *_DECODE, *products(("kv", "groups", "width", "packed"))),
        "vector": ("short_kv", "split", "many_waves", *_DECODE),
    },
    family={
        "overhead": ("kv", "groups", "packed"),
        "compute": ("short_kv", *_DECODE),
        "memory": ("kept", "size", *_DECODE),
        "cache": ("size", "over", *_DECODE),
        "vector": _DECODE,
    },
    kernel={
        "overhead": ("kv", "groups", "packed"),
        "compute": _DECODE,
        "memory": ("size", *_DECODE),
        "cache": ("size", *_DECODE),
        "vector": _DECODE,
    },
    start={"overhead": 2.5, "compute": 0.0, "memory": -1.0, "cache": 1.0, "vector": 0.0, "power": 0.0},
    sharpness=3.0,
)

_MOE = ("each", "awake", "width", "hidden", "waves")
MOE = Spec(
    base={
        "overhead": ("rows", "local", "tokens", "awake", "hidden", "width", "skew"),
        "compute": ("short_each", "short_width", "skew", "many_waves", "rows", *_MOE, *products(_MOE)),
        "memory": ("short_each", "short_width", "skew", "kept", "size", "rows", "idle_share", *_MOE, *products(_MOE)),
        "cache": ("short_each", "short_width", "skew", "over", "size", *_MOE, *products(_MOE)),
        "vector": (),
    },
    family={
        "overhead": ("rows", "local", "awake"),
        "compute": ("short_each", "skew", *_MOE),
        "memory": ("short_each", "skew", "size", *_MOE),
        "cache": ("short_each", "skew", "size", *_MOE),
        "vector": (),
    },
    kernel={
        "overhead": ("rows", "local", "awake", "tokens"),
        "compute": ("short_each", "short_width", "skew", *_MOE),
        "memory": ("short_each", "short_width", "skew", "size", *_MOE),
        "cache": ("short_each", "skew", "size", *_MOE),
        "vector": (),
    },
    start={"overhead": 3.5, "compute": 0.0, "memory": -1.0, "cache": 1.0, "vector": 0.0, "power": 0.0},
    sharpness=3.0,
)

STREAM = Spec(
    base={"overhead": (), "compute": (), "memory": ("size",), "cache": ("size",), "vector": ()},
    family={"overhead": (), "compute": (), "memory": (), "cache": (), "vector": ()},
    kernel={"overhead": (), "compute": (), "memory": (), "cache": (), "vector": ()},
    start={"overhead": 1.0, "compute": 0.0, "memory": -2.0, "cache": 0.0, "vector": 0.0, "power": 0.0},
    sharpness=4.0,
)

SPECS: Mapping[str, Spec] = {
    "gemm": GEMM,
    "mla_bmm": GEMM,
    "attention_prefill": PREFILL,
    "attention_encoder": PREFILL,
    "mla_prefill_core": PREFILL,
    "mla_prefill_module": PREFILL,
    "attention_decode": DECODE,
    "mla_decode_core": DECODE,
    "mla_decode_module": DECODE,
    "moe_ffn": MOE,
    "elementwise": STREAM,
    "embedding": STREAM,
}
