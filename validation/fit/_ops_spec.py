"""Which features each law's efficiencies may depend on; the fit keeps those that earn their place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from validation.fit._ops_form import EXCHANGE_START, HOST_START, Spec, products
from validation.fit._ops_spec_attention import ATTENTION

_GEMM = ("m", "n", "k", "waves")
_GEMM_SHIFT = {
    "overhead": ("k", "m"),
    "compute": ("short_n", "short_k", "split", "many_waves", *_GEMM),
    "memory": ("size", "split", "m", "n", "k"),
    "cache": ("size", "split", "m"),
}
GEMM = Spec(
    base={
        "overhead": ("m", "n", "k", "few_waves", "split"),
        "compute": ("short_m", "short_n", "short_k", "split", "tile", "many_waves", *_GEMM),
        "memory": ("short_m", "short_n", "short_k", "kept", "split", "size", *_GEMM),
        "cache": ("short_m", "short_n", "short_k", "split", "size", "waves"),
    },
    family=_GEMM_SHIFT,
    kernel=_GEMM_SHIFT,
    start={
        "overhead": 1.5,
        "compute": -1.5,
        "memory": -1.7,
        "cache": 0.5,
        "host": HOST_START,
        "exchange": EXCHANGE_START,
    },
    sharpness=4.0,
    common=("power", "host"),
    rows=800,
)

_MOE = ("each", "awake", "width", "hidden", "waves")
_BENT = products(("each", "width", "waves"))
_MOE_SHIFT = {
    "overhead": ("rows", "local", "awake", "tokens"),
    "compute": ("short_each", "short_width", "skew", *_MOE),
    "memory": ("short_each", "short_width", "skew", "size", *_MOE),
    "cache": ("short_each", "skew", "size", *_MOE),
}
MOE = Spec(
    base={
        "overhead": ("rows", "local", "tokens", "awake", "hidden", "width", "skew"),
        "compute": ("short_each", "short_width", "skew", "many_waves", "rows", *_MOE, *_BENT),
        "memory": ("short_each", "short_width", "skew", "kept", "size", "rows", "idle_share", *_MOE, *_BENT),
        "cache": ("short_each", "short_width", "skew", "over", "size", *_MOE, *_BENT),
    },
    family=_MOE_SHIFT,
    kernel=_MOE_SHIFT,
    start={"overhead": 3.5, "memory": -1.7, "cache": 1.0, "host": HOST_START, "exchange": EXCHANGE_START},
    sharpness=5.0,
    rows=800,
)

STREAM = Spec(
    base={"memory": ("size",), "cache": ("size",)},
    family={},
    kernel={},
    start={"overhead": 1.0, "memory": -2.0},
    sharpness=2.0,
    common=("cache",),
)

SPECS: Mapping[str, Spec] = {
    "gemm": GEMM,
    **ATTENTION,
    "moe_ffn": MOE,
    "elementwise": STREAM,
    "embedding": replace(STREAM, base={"cache": ("size",)}, sharpness=4.0, common=()),
}
