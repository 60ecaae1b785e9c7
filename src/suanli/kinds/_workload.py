"""Workloads: a model put to use."""

from __future__ import annotations

from dataclasses import dataclass

from suanli.kinds._model import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRun:
    """A training run: batch in sequences, lengths in tokens, ``deadline_s`` from its start."""

    model: Model
    seq_len: int
    global_batch: int
    tokens: float
    precision: str = "bf16"
    deadline_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapters:
    """Low-rank adapters (LoRA) of many tenants over one model: ``count`` of them, each of ``rank``.

    The k-th most asked for takes a share of requests in proportion to k**-``zipf``; ``slots`` of them lie on the chips
    at once, the others in host memory.
    """

    count: int
    rank: int = 16
    zipf: float = 1.0
    slots: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service under load: ``rate`` in requests/s, lengths in tokens, limits in s.

    Pictures and videos have ``height`` x ``width`` pixels, ``frames`` and ``steps`` (None: the model's default); a
    recommender's request scores ``input_tokens`` items (DLRM) or reads as many events of history (HSTU).
    ``latency_s`` limits the whole answer.

    ``kv_precision`` is the cache's format (None: what goes with ``precision``). With ``drafts`` tokens guessed ahead
    (MTP, EAGLE), each accepted with the chance ``acceptance``, a step yields several. ``skew`` is the exponent of
    experts' popularity (None: as in ordinary traffic, 0: balanced), ``redundant`` the extra expert copies of a layer.
    """

    model: Model
    rate: float
    input_tokens: float
    output_tokens: float
    ttft_s: float | None = None
    tpot_s: float | None = None
    percentile: float = 0.5
    prefix_hit: float = 0.0
    precision: str = "bf16"
    height: int = 1024
    width: int = 1024
    frames: int = 1
    steps: int | None = None
    latency_s: float | None = None
    kv_precision: str | None = None
    drafts: int = 0
    acceptance: float = 0.7
    skew: float | None = None
    redundant: int = 0
    adapters: Adapters | None = None
