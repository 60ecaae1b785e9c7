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
class Service:
    """A service under load: ``rate`` in requests/s, lengths in tokens, limits in s.

    Pictures and videos have ``height`` x ``width`` pixels, ``frames`` and ``steps`` (None: the model's default); a
    recommender's request scores ``input_tokens`` items (DLRM) or reads as many events of history (HSTU).
    ``latency_s`` limits the whole answer.
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
