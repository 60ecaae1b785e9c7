"""Dispatch of tokens to experts and the return of their results: a ragged all-to-all with copies in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InputError
from suanli.fabric._collective import used_tiers
from suanli.fabric._parameters import stored
from suanli.kinds import Network

Array = NDArray[np.float64]

_NEAR = 4  # nodes up to which measured exchanges fill the cards

DIRECTIONS: tuple[str, ...] = ("dispatch", "combine")


def expert_exchange_time(
    network: Network,
    direction: str,
    *,
    tokens: ArrayLike,
    hidden: ArrayLike,
    top_k: ArrayLike,
    ep: int,
    number_bytes: float | None = None,
    style: str = "normal",
    channels: ArrayLike | None = None,
    imbalance: ArrayLike = 1.0,
    parameters: Mapping[str, Any] | None = None,
) -> Array:
    """Return seconds to send ``tokens`` a chip of ``hidden`` numbers to ``top_k`` experts over ``ep`` chips, or back.

    ``style`` "normal" sends one copy to every chip that holds one of a token's experts, and one to every node over the
    network (DeepEP, arXiv 2412.19437 section 3.2.2); "low_latency" one copy to each expert, straight; or the name of a
    measured backend. ``number_bytes`` None is the style's own (8 bits out, 16 back). ``channels`` is the number of
    cores a kernel may use, None for the usual; ``imbalance`` the load of the fullest chip over the mean, which all wait
    for. Raises InputError for another direction, or a size below 1.
    """
    if direction not in DIRECTIONS:
        raise InputError(f"direction '{direction}'; it must be one of {', '.join(DIRECTIONS)}")
    sent, width, chosen = (np.asarray(v, dtype=np.float64) for v in (tokens, hidden, top_k))
    skew = np.asarray(imbalance, dtype=np.float64)
    if ep < 1 or min(v.min(initial=1.0) for v in (sent, width, chosen, skew)) < 1:
        raise InputError("tokens, hidden, top_k, ep and imbalance must be at least 1")
    out = np.zeros(np.broadcast_shapes(sent.shape, width.shape, chosen.shape, skew.shape))
    if ep == 1:
        return out
    law = style_of(style, parameters)[direction]
    used = used_tiers(network, ep)
    wide = number_bytes or law["number_bytes"]
    direct = bool(law["direct"])
    crowd = _channels(law, channels)
    start, transfer = law["base"] + out, out
    for tier, groups, below in used:
        copies = copies_beyond(chosen, ep, groups, below, direct=direct)
        outer = tier.kind in ("ethernet", "infiniband")
        rate = _share(law, outer, groups) * tier.bandwidth / tier.oversubscription * (1.0 if outer else crowd)
        transfer = np.maximum(transfer, skew * sent * width * copies * wide / rate)
        start = start + (law["net_base"] * np.log2(groups) if outer else 0.0)
    return start + transfer


def copies_beyond(top_k: Array, ep: int, groups: int, below: int, *, direct: bool) -> Array:
    """Return the copies of a token that cross a tier joining ``groups`` groups of ``below`` chips, routing even.

    Chosen experts lie on random chips. ``direct`` copies go to each expert; else one goes to each group that holds any,
    those from outside being forwarded by the chip that they reach, so that a tier carries the copies of all ``ep``.
    """
    leaving = (groups - 1.0) / groups
    if direct:
        return top_k * leaving * groups * below / ep
    everywhere = ep / below  # groups of this size in the whole exchange
    return leaving * everywhere * (1.0 - (1.0 - 1.0 / everywhere) ** top_k)


def style_of(style: str, parameters: Mapping[str, Any] | None = None) -> Mapping[str, Mapping[str, float]]:
    """Return the parameters of a measured backend, or those of the pooled style that its name points to."""
    known: Mapping[str, Any] = parameters if parameters is not None else stored()["final"]["exchange"]
    if style in known:
        return dict(known[style])
    words = ("ll", "generation", "low")
    quick = any(w in style.casefold().split("_") for w in words)
    return dict(known["low_latency" if quick else "normal"])


def _share(law: Mapping[str, float], outer: bool, groups: int) -> float:
    """Return the share of a tier's bandwidth: over the network less where many nodes exchange with each other."""
    if not outer:
        return law["rate"]
    return law["net_rate"] * (law["net_far"] if groups > _NEAR else 1.0)


def _channels(law: Mapping[str, float], channels: ArrayLike | None) -> Array:
    """Return the share of its full rate that a kernel reaches with this many cores."""
    if channels is None:
        return np.ones(())
    count = np.asarray(channels, dtype=np.float64)
    share = np.minimum(1.0, (np.maximum(count, 1.0) / law["channels"]) ** law["channel_power"])
    return np.where(count > 0, share, 1.0)
