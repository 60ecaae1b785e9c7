"""Which features the efficiencies of attention may depend on."""

from __future__ import annotations

from collections.abc import Mapping

from validation.fit._ops_form import EXCHANGE_START, HOST_START, Spec, products

_ROWS = 1200  # kernels, head widths, windows and caches make more kinds of shapes than a product has
_START = {
    "overhead": 2.0,
    "compute": 0.0,
    "memory": -1.5,
    "cache": 1.0,
    "vector": 1.0,
    "power": -2.0,
    "host": HOST_START,
    "exchange": EXCHANGE_START,
}

DECODE = Spec(
    base={
        "overhead": ("combine", "few_waves", "grouped", "scalar"),
        "compute": ("scalar",),
        "memory": ("over",),
        "cache": ("kv", "waves", "shared", "width", "size", "over", "scalar"),
        "vector": ("grouped", "tiles", "width", "apart", "scalar", "short_kv", "chain"),
    },
    family={"overhead": ("combine",), "compute": (), "memory": (), "cache": (), "vector": ("grouped", "width")},
    kernel={
        "overhead": ("combine", "grouped", "copied", "cut", "scalar", "usual", "wide", "packed"),
        "compute": ("scalar",),
        "memory": (),
        "cache": ("kv", "shared", "size", "grouped", "usual", "wide", "huge", "scalar"),
        "vector": (
            *(
                "grouped",
                "tiles",
                "packed",
                "width",
                "usual",
                "wide",
                "huge",
                "apart",
                "scalar",
                "cut",
                "short_kv",
                "chain",
            ),
            *("scalar*chain", "scalar*width"),
        ),
    },
    start=_START,
    sharpness=3.0,
    hardware=("power",),
    rows=_ROWS,
)

PREFILL = Spec(
    base={
        "overhead": ("few_waves", "grouped", "single"),
        "compute": (
            *("short_q", "short_kv", "many_waves", "cut", "q", "kv", "width", "waves", "groups"),
            *("q*q", "q*width", "width*width", "q*waves", "waves*waves"),
        ),
        "memory": ("size", "cut", "width"),
        "cache": (),
        "vector": ("width", "single", "short_q", "kv", "groups"),
    },
    family={
        "overhead": (),
        "compute": ("q", "waves"),
        "memory": ("size",),
        "cache": (),
        "vector": (),
    },
    kernel={
        "overhead": ("grouped", "copied", "single"),
        "compute": ("q", "kv", "width", "usual", "wide", "huge", "odd", "cut", "sharing", "cut*sharing", "cut*width"),
        "memory": ("cut", "width"),
        "cache": ("cut", "width"),
        "vector": ("width", "usual", "wide", "huge", "odd", "single", "filled", "cut", "kv", "sharing", "cut*sharing"),
    },
    start={**_START, "compute": -0.5, "cache": -1.5, "vector": 1.5},
    sharpness=3.0,
    hardware=("power",),
    rows=_ROWS,
)

_LATENT = ("kv", "groups", "packed", "waves")
_LATENT_PRODUCTS = products(("kv", "groups", "packed"))
MLA_DECODE = Spec(
    base={
        "overhead": ("combine", "few_waves", "packed", "kv"),
        "compute": ("short_kv", "split", *_LATENT),
        "memory": ("over", "kept", *_LATENT, *_LATENT_PRODUCTS),
        "cache": ("size", "over", "shared", "short_kv", *_LATENT, *_LATENT_PRODUCTS),
        "vector": ("tiles", "kv"),
    },
    family={
        "overhead": ("combine",),
        "compute": ("kv", "packed"),
        "memory": (),
        "cache": ("kv", "packed", "waves"),
        "vector": (),
    },
    kernel={
        "overhead": ("kv", "groups", "packed"),
        "compute": _LATENT,
        "memory": ("size", *_LATENT),
        "cache": ("size", "shared", *_LATENT),
        "vector": ("tiles",),
    },
    start=_START,
    sharpness=3.0,
    hardware=("power",),
    rows=_ROWS,
)

_SHAPE = ("q", "kv", "groups", "packed", "waves")
MLA_PREFILL = Spec(
    base={
        "overhead": ("kv", "q", "groups"),
        "compute": ("short_q", "short_kv", "many_waves", *_SHAPE, *products(("q", "kv", "waves"))),
        "memory": ("kept", "size", "q", "kv", "waves"),
        "cache": (),
        "vector": (),
    },
    family={
        "overhead": ("kv", "q"),
        "compute": ("short_q", "short_kv", "many_waves", *_SHAPE),
        "memory": ("kept", "size"),
        "cache": (),
        "vector": (),
    },
    kernel={
        "overhead": ("kv", "q", "groups"),
        "compute": ("q", "kv", "waves"),
        "memory": ("size",),
        "cache": (),
        "vector": (),
    },
    start={"overhead": 2.5, "compute": 0.0, "memory": -1.0, "cache": 1.0, "vector": 0.0, "power": 0.0},
    sharpness=3.0,
    hardware=("power",),
    rows=_ROWS,
)

ATTENTION: Mapping[str, Spec] = {
    "attention_prefill": PREFILL,
    "attention_encoder": PREFILL,
    "attention_decode": DECODE,
    "mla_prefill_core": MLA_PREFILL,
    "mla_prefill_module": MLA_PREFILL,
    "mla_decode_core": MLA_DECODE,
    "mla_decode_module": MLA_DECODE,
}
