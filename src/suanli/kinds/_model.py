"""A model: an architecture, whatever it is used for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from suanli.sources import Source

Architecture = Literal["transformer", "dit", "dlrm", "hstu"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Experts:
    """The mixture-of-experts part: routed experts (``top_k`` a token), shared experts and their widths.

    Layers before ``first_layer`` stay dense; from there every ``every``-th layer has experts. ``weight_format`` is
    that of the routed experts where it is not the model's ("").
    """

    n_experts: int
    top_k: int
    ffn_hidden: int
    n_shared: int = 0
    shared_ffn_hidden: int = 0
    first_layer: int = 0
    every: int = 1
    weight_format: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latent:
    """Multi-head latent attention (DeepSeek-V2): ranks and head widths; ``q_rank`` 0 means no query compression."""

    q_rank: int
    kv_rank: int
    nope_dim: int
    rope_dim: int
    v_dim: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """Linear-attention or state-space layers among full ones: one full-attention layer in ``full_every``.

    ``n_heads`` x (``k_dim`` x ``v_dim``) numbers of state a layer and sequence. ``n_k_heads`` is the number of key
    (and query) heads or state groups, 0 where it equals ``n_heads``; ``conv`` is the width of the short convolution.
    """

    full_every: int
    n_heads: int
    k_dim: int
    v_dim: int
    n_k_heads: int = 0
    conv: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexer:
    """The indexer of sparse attention (DeepSeek-V3.2): each query attends to the ``top_k`` keys it scores highest.

    One layer in ``every`` scores the keys, the layers after it use its choice.
    """

    n_heads: int
    head_dim: int
    top_k: int
    every: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Compressed:
    """Compressed attention (DeepSeek-V4): one shared head of keys that are also values, over a window and entries.

    ``ratios`` has a figure a layer: 0, the last ``window`` tokens only; r, besides them one entry for every r tokens.
    Layers of the smallest ratio attend to the entries that the model's indexer scores highest, the others to all.
    Queries come from rank ``q_rank``, outputs leave through ``out_groups`` of rank ``out_rank``; ``streams`` is the
    number of residual streams (hyper-connections, arXiv 2512.24880).
    """

    ratios: tuple[int, ...]
    window: int
    q_rank: int
    out_groups: int
    out_rank: int
    streams: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Diffusion:
    """A diffusion transformer's picture: latent compression, patch size and default sampling.

    The first ``joint_layers`` blocks carry text tokens in weights of their own and attend jointly (MMDiT); blocks
    after them, where there are any, are fused single-stream blocks over text and picture. ``modulation`` is the number
    of vectors of width ``hidden`` that each block's own adaptive-norm layer predicts (0: one table shared by all).
    ``text_dim`` is the width of the text encoder's states; ``denoisers`` counts whole copies of the
    network that take turns over the steps (Wan 2.2: two).
    """

    latent_stride: int
    temporal_stride: int
    patch: int
    temporal_patch: int
    channels: int
    text_tokens: int
    cross_attention: bool
    steps: int
    guidance: bool
    joint_layers: int = 0
    modulation: int = 0
    text_dim: int = 0
    denoisers: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommender:
    """A recommender: embedding tables, dense widths; ``history`` (events a user) for sequence models.

    ``rows`` are summed over all ``n_tables`` tables, each row ``dim`` wide; ``lookups`` are rows read an item over all
    tables. ``bottom_mlp`` and ``top_mlp`` are layer widths; ``cross_layers`` low-rank cross layers of rank
    ``cross_rank`` (DCNv2) replace the pairwise dot products where they are not 0.
    """

    n_tables: int
    rows: int
    dim: int
    lookups: int
    bottom_mlp: tuple[int, ...] = ()
    top_mlp: tuple[int, ...] = ()
    history: int = 0
    dense_features: int = 0
    cross_layers: int = 0
    cross_rank: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One architecture. Counts are of the whole, unsharded model; ``ffn_hidden`` is the dense layers' width.

    ``head_dim`` times ``n_heads`` need not be ``hidden``. ``window`` is the sliding window in tokens (0: full
    attention) and holds on all layers but one in ``full_every`` (0: on all). ``mtp_layers`` are extra
    multi-token-prediction layers. ``attention_gate`` doubles the query projection for an output gate.
    ``attention_bias`` gives the query, key and value projections a bias (without ``gated_mlp``: every linear layer).
    ``parameters`` and ``active_parameters`` are the publisher's figures, None where
    it gives none: what Suanli counts itself is ``workloads.parameters``.
    """

    id: str
    name: str
    architecture: Architecture = "transformer"
    n_layers: int
    hidden: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    ffn_hidden: int
    vocab: int
    gated_mlp: bool = True
    tied_embeddings: bool = False
    max_seq: int | None = None
    attention_bias: bool = False
    attention_gate: bool = False
    learned_positions: int = 0
    parallel_block: bool = False
    window: int = 0
    full_every: int = 0
    mtp_layers: int = 0
    weight_format: str = "bf16"
    experts: Experts | None = None
    latent: Latent | None = None
    linear: Linear | None = None
    indexer: Indexer | None = None
    compressed: Compressed | None = None
    diffusion: Diffusion | None = None
    recommender: Recommender | None = None
    parameters: float | None = None
    active_parameters: float | None = None
    training_tokens: float | None = None
    source: Source = field(default_factory=lambda: Source(""))
    notes: str = ""
