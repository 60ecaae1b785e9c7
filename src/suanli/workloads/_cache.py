"""What a sequence keeps in memory: keys and values, latents, recurrent state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from suanli.errors import InputError
from suanli.kinds import BITS, Model
from suanli.workloads._compressed import entry_bytes, pool_bytes, window_bytes
from suanli.workloads._layers import count_layers, linear_widths

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]


def format_bytes(fmt: str) -> float:
    """Return the bytes of one number in ``fmt``. Raises InputError for an unknown format."""
    if fmt not in BITS:
        raise InputError(f"unknown number format '{fmt}'; known: {', '.join(BITS)}")
    return BITS[fmt] / 8.0


def kv_bytes_per_token(model: Model, fmt: str = "bf16") -> float:
    """Return the bytes that one more token adds to the cache of a sequence shorter than any window.

    Keys and values of every softmax layer (latents and rotary keys under MLA), and an indexer's keys in 8 bits;
    0 for models that generate nothing. Under compressed attention only entries count, not the windows they leave.
    """
    if model.compressed is not None:
        return entry_bytes(model, format_bytes(fmt))
    layers = count_layers(model, mixer="full") + count_layers(model, mixer="window")
    return layers * _layer_numbers(model) * format_bytes(fmt) + _indexer_bytes(model)


def kv_bytes_per_sequence(model: Model, fmt: str, kv_len: ArrayLike) -> Array:
    """Return the cache bytes of sequences of ``kv_len`` tokens, windowed layers keeping their window only."""
    import numpy as np

    length = np.asarray(kv_len, dtype=np.float64)
    if model.compressed is not None:
        number = format_bytes(fmt)
        near = np.minimum(length, model.compressed.window)
        return np.asarray(entry_bytes(model, number) * length + window_bytes(model, number) * near, dtype=np.float64)
    one = _layer_numbers(model) * format_bytes(fmt)
    windowed = np.minimum(length, model.window) if model.window else length
    full = count_layers(model, mixer="full") * length
    out: Array = one * (full + count_layers(model, mixer="window") * windowed) + _indexer_bytes(model) * length
    return out


def state_bytes_per_sequence(model: Model, fmt: str = "fp32") -> float:
    """Return the bytes of recurrent state a sequence keeps in its linear-attention layers, whatever its length.

    The state of each head and the tail of the short convolution; the pools in progress of compressed attention.
    """
    if model.compressed is not None:
        return pool_bytes(model)
    linear = model.linear
    if linear is None:
        return 0.0
    width, values = linear_widths(model)
    convolved = max(0, linear.conv - 1) * (width - values - 2 * linear.n_heads)
    numbers = linear.n_heads * linear.k_dim * linear.v_dim + convolved
    return count_layers(model, mixer="linear") * numbers * format_bytes(fmt)


def _layer_numbers(model: Model) -> int:
    if model.architecture != "transformer":
        return 0
    if model.latent is not None:
        return model.latent.kv_rank + model.latent.rope_dim
    return 2 * model.n_kv_heads * model.head_dim


def _indexer_bytes(model: Model) -> float:
    if model.indexer is None:
        return 0.0
    layers = count_layers(model, mixer="full")
    return layers * model.indexer.head_dim / model.indexer.every
