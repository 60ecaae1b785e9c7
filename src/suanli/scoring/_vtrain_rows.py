"""vTrain's iterations read from its tables: GPT models on A100 nodes, Megatron with TP, DP and 1F1B."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from suanli import catalog
from suanli.errors import InputError
from suanli.files import read_table
from suanli.kinds import Chip, Model
from suanli.scoring._training_rows import Row
from suanli.training import Era, era

_COLUMNS = (
    "# GPUs",
    "global batch",
    "micro batch",
    "hidden size",
    "attention heads",
    "# layers",
    "sequence length",
    "tensor parallelism",
    "data parallelism",
    "pipeline parallelism",
    "iteration time (ms)",
)
WHOLE_VTRAIN = "vTrain, all of it"
"""Name under which the parameters fitted without any of vTrain's rows are stored."""

_NODE = 8
_NETWORK = 800e9 / 8.0 / _NODE  # B/s a chip: vTrain's nodes have four 200 Gb/s InfiniBand cards for eight A100
_VOCAB = 50257  # of vTrain's src/config.py, unpadded in the layers that it profiles and replays on one node
_PADDED = 51200  # what Megatron-DeepSpeed makes of it for every tensor degree up to 8


def read_vtrain(path: Path) -> tuple[list[Row], list[tuple[str, str]]]:
    """Return (rows, (id, reason) of those left out) of a vTrain table, single-node or multi-node.

    The multi-node form has a leading column of parameters in billions. Raises InputError where columns are missing.
    """
    frame, many = _table(path)
    chip = catalog.chip("a100-80-sxm")
    # Many nodes ran Megatron-DeepSpeed with vTrain's use_checkpoint on; one node is a replay (data/eras.yaml).
    when = era("megatron-deepspeed-fp16" if many else "vtrain")
    rows: list[Row] = []
    bad: list[tuple[str, str]] = []
    for i, cells in enumerate(frame.select(_COLUMNS).iter_rows(), 1):
        ident = f"{path.stem}:{i}"
        if reason := _fault(cells):
            bad.append((ident, reason))
        else:
            rows.append(_row(ident, cells, chip, when, many=many))
    return rows, bad


def _table(path: Path) -> tuple[Any, bool]:
    """Return a vTrain table with its columns' names trimmed, and whether it is of many nodes."""
    frame = read_table(path)
    names = [str(c).lstrip("\ufeff").strip() for c in frame.columns]
    frame.columns = names
    lacking = [c for c in _COLUMNS if c not in names]
    if lacking:
        raise InputError(f"{path}: column '{lacking[0]}' is missing; a vTrain table has {', '.join(_COLUMNS)}")
    return frame, any(n.casefold().startswith("parameters") for n in names)


def _row(ident: str, cells: Sequence[Any], chip: Chip, when: Era, *, many: bool) -> Row:
    """Return one iteration, of many nodes or of one."""
    n, batch, micro, hidden, heads, layers, seq, tp, dp, pp = (int(x) for x in cells[:10])
    return Row(
        id=ident,
        source="vtrain",
        title=f"vTrain {'multi-node' if many else 'single-node'}, hidden {hidden}, {layers} layers",
        model=_model(hidden, heads, layers, _PADDED if many else _VOCAB),
        chip=chip,
        chips_per_node=_NODE,
        scale_up=None,
        scale_out=_NETWORK,
        n_chips=n,
        seq=seq,
        batch=batch,
        micro_batch=micro,
        tp=tp,
        pp=pp,
        vpp=1,
        dp=dp,
        cp=1,
        ep=1,
        free=False,
        sharding="none",
        recompute=when.recompute,
        sequence_parallel=False,
        overlap=None,
        precision="fp16",
        era=when,
        flash=False,
        balanced=True,
        measured=float(cells[10]) / 1e3,
        missing=(),
    )


def _fault(cells: Sequence[object]) -> str:
    """Return why a row can't be predicted, or nothing."""
    for name, value in zip(_COLUMNS, cells, strict=True):
        if not isinstance(value, (int, float)) or value <= 0:
            return f"{name}: {value!r} is not a number above 0"
    n, tp, dp, pp = (int(float(str(cells[i]))) for i in (0, 7, 8, 9))
    return "" if tp * dp * pp == n else f"degrees {tp} x {dp} x {pp} do not make {n} GPUs"


def _model(hidden: int, heads: int, layers: int, vocab: int) -> Model:
    return Model(
        id=f"gpt-{hidden}x{layers}",
        name="GPT",
        n_layers=layers,
        hidden=hidden,
        n_heads=heads,
        n_kv_heads=heads,
        head_dim=hidden // heads,
        ffn_hidden=4 * hidden,
        vocab=vocab,
        gated_mlp=False,
        tied_embeddings=True,
        learned_positions=1024,
    )
