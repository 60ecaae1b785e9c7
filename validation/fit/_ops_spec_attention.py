"""Which features the efficiencies of attention may depend on."""

from __future__ import annotations

from validation.fit._ops_form import Spec, products

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
