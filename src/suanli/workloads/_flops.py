"""FLOP of a token, in closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from suanli.errors import InputError
from suanli.kinds import Model
from suanli.workloads._compressed import chosen
from suanli.workloads._layers import count_layers
from suanli.workloads._parameters import parameters

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]


def flop_per_token(model: Model, context: ArrayLike = 0) -> Array:
    """Return the forward FLOP of one token that sees ``context`` keys (itself included): 2 x active + attention.

    For a whole causal sequence of length s use the mean context (s + 1) / 2 where no layer has a window. Attention is
    that of prefill: under MLA expanded keys and values, with an indexer at most its top-k keys, plus their scores.
    Raises InputError for a model that is no transformer.
    """
    if model.architecture != "transformer":
        raise InputError(f"{model.id} is a {model.architecture}; FLOP per token is a transformer's")
    import numpy as np

    seen = np.asarray(context, dtype=np.float64)
    if model.compressed is not None:
        return _compressed(model, seen)
    latent, indexer = model.latent, model.indexer
    pair = 4.0 * model.n_heads * model.head_dim
    if latent is not None:
        pair = 2.0 * model.n_heads * (latent.nope_dim + latent.rope_dim + latent.v_dim)
    kept = np.minimum(seen, indexer.top_k) if indexer is not None else seen
    near = np.minimum(seen, model.window) if model.window else seen
    full, windowed = count_layers(model, mixer="full"), count_layers(model, mixer="window")
    total = 2.0 * parameters(model).active + pair * (full * kept + windowed * near)
    if indexer is not None:
        total = total + 2.0 * full / indexer.every * indexer.n_heads * indexer.head_dim * seen
    if model.linear is not None:
        state = model.linear.n_heads * model.linear.k_dim * model.linear.v_dim
        total = total + 6.0 * count_layers(model, mixer="linear") * state
    return np.asarray(total, dtype=np.float64)


def _compressed(model: Model, seen: Array) -> Array:
    import numpy as np

    shape, indexer = model.compressed, model.indexer
    assert shape is not None
    keys = len(shape.ratios) * np.minimum(seen, shape.window)
    scores = np.zeros_like(seen)
    for ratio in filter(None, shape.ratios):
        entries = seen / ratio
        if indexer is not None and (top_k := chosen(model, ratio)):
            scores = scores + 2.0 * indexer.n_heads * indexer.head_dim * entries
            entries = np.minimum(entries, top_k)
        keys = keys + entries
    total = 2.0 * parameters(model).active + 4.0 * model.n_heads * model.head_dim * keys + scores
    return np.asarray(total, dtype=np.float64)
