"""Measured training runs read from tables: model, strategy, site and era of each row, with documented defaults."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from suanli import catalog
from suanli.errors import SuanliError
from suanli.kinds import Chip, Experts, Latent, Model
from suanli.training import Era, era_for


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One run: what was measured (s a step) and all that its prediction needs; ``missing`` names defaulted settings.

    ``micro_batch``, ``recompute``, ``sharding`` None and ``free`` degrees (tp, dp) stand for the fastest that fit;
    ``scale_up`` and ``scale_out`` in B/s a chip one way, None for the datasheet's.
    """

    id: str
    source: str
    title: str
    model: Model
    chip: Chip
    chips_per_node: int
    scale_up: float | None
    scale_out: float | None
    n_chips: int
    seq: int
    batch: int
    micro_batch: int | None
    tp: int
    pp: int
    vpp: int
    dp: int
    cp: int
    ep: int
    free: bool
    sharding: str | None
    recompute: str | None
    sequence_parallel: bool
    overlap: bool | None
    precision: str
    era: Era
    flash: bool
    balanced: bool
    measured: float | None
    missing: tuple[str, ...]


class UnscorableError(Exception):
    """A row that no prediction can be made for; its text is the reason."""


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    return "" if value is None else str(value).strip()


def _number(row: Mapping[str, Any], name: str) -> float | None:
    text = _text(row, name)
    if not text:
        return None
    try:
        return float(text)
    except ValueError as error:
        raise UnscorableError(f"{name}: '{text}' is not a number") from error


def _whole(row: Mapping[str, Any], name: str) -> int | None:
    value = _number(row, name)
    if value is None:
        return None
    if value != int(value) or value < 0:
        raise UnscorableError(f"{name}: {value:g} is not a whole number from 0")
    return int(value)


def _need(row: Mapping[str, Any], name: str) -> int:
    value = _whole(row, name)
    if not value:
        raise UnscorableError(f"{name} is missing")
    return value


def read_row(row: Mapping[str, Any], *, fallback_id: str) -> Row:
    """Return one row of a table of training runs. Raises UnscorableError with the reason if it can't be predicted."""
    notes = _text(row, "notes")
    ident = _text(row, "id") or fallback_id
    source = ident.split("-")[0]
    chip = _chip(row)
    model = _model(row, notes)
    era = _era(row, chip, notes)
    missing: list[str] = []
    n_chips = _need(row, "n_chips")
    degrees = _degrees(row, model, n_chips, missing)
    seq = _need(row, "seq_len")
    micro, batch = _batches(row, era, seq, degrees["dp"], missing)
    sharding, recompute = _states(row, era, degrees["pp"], missing)
    parallel = _text(row, "sequence_parallel")
    return Row(
        id=ident,
        source=source,
        title=_text(row, "source_title") or source,
        model=model,
        chip=chip,
        chips_per_node=_whole(row, "chips_per_node") or min(8, chip.scale_up_domain or 8),
        scale_up=_link(_text(row, "scale_up_link")),
        scale_out=_network(_text(row, "scale_out_link"), _whole(row, "chips_per_node") or 8),
        n_chips=n_chips,
        seq=seq,
        batch=batch,
        micro_batch=micro,
        vpp=_virtual(row, model, degrees["pp"], notes, era),
        **degrees,
        free=sum(name in missing for name in ("tp", "pp", "dp", "cp")) > 1,
        sharding=sharding,
        recompute=recompute,
        sequence_parallel=parallel == "1" if parallel else bool(era.sequence_parallel),
        overlap=_overlap(notes),
        precision=_text(row, "precision") or "bf16",
        era=era,
        flash=bool(era.flash) and "no flash" not in notes.casefold(),
        balanced=bool(era.forced_balance) or "force-balanced" in notes.casefold(),
        measured=_measured(row, batch, seq, n_chips),
        missing=tuple(missing),
    )


def _chip(row: Mapping[str, Any]) -> Chip:
    """Return the chip of a row. Raises UnscorableError for an unknown one, and one without the rates that runs need."""
    try:
        chip = catalog.chip(_text(row, "chip"))
    except SuanliError as error:
        raise UnscorableError(str(error)) from error
    if not chip.memory_bandwidth or not {"bf16", "fp16"} & chip.peak.keys():
        raise UnscorableError(f"chip '{chip.id}' states no 16-bit rate or no memory bandwidth")
    return chip


def _era(row: Mapping[str, Any], chip: Chip, notes: str) -> Era:
    """Return the era of the software that a row's year, source and notes speak of."""
    return era_for(
        vendor=chip.vendor,
        year=_whole(row, "year") or 2024,
        sharding=_text(row, "sharding"),
        text=f"{_text(row, 'source_title')} {_text(row, 'source_ref')} {notes}",
        own=f"{_text(row, 'model_name')} {notes}",
    )


def _batches(row: Mapping[str, Any], era: Era, seq: int, dp: int, missing: list[str]) -> tuple[int | None, int]:
    """Return (micro-batch where it is known, global batch, by default the era's tokens), and note what is missing."""
    micro, batch = _whole(row, "micro_batch"), _whole(row, "global_batch")
    if micro is None:
        missing.append("micro_batch")
    if batch is None:
        missing.append("global_batch")
        unit = dp * (micro or 1)
        batch = max(1, round(era.batch_tokens / seq / unit)) * unit
    return micro, batch


def _states(row: Mapping[str, Any], era: Era, pp: int, missing: list[str]) -> tuple[str | None, str | None]:
    """Return (sharding, recomputation) where they are known, and note which is missing."""
    sharding, recompute = _text(row, "sharding") or None, _text(row, "recompute") or None
    if sharding is None:
        missing.append("sharding")
    elif sharding == "zero3" and era.id == "fsdp2" and pp > 1:
        sharding = "zero2"  # torchtitan does not reshard weights between the micro-batches of a pipeline
    if recompute is None:
        missing.append("recompute")
    return sharding, recompute


def _measured(row: Mapping[str, Any], batch: int, seq: int, n_chips: int) -> float | None:
    """Return the measured step time: published, else from tokens/s a chip at this batch."""
    seconds = _number(row, "iter_time_s")
    if seconds:
        return seconds
    rate = _number(row, "tokens_per_s_per_chip")
    return batch * seq / (rate * n_chips) if rate else None


def _overlap(notes: str) -> bool | None:
    """Return whether the notes say that tensor-parallel collectives overlap; None where they say nothing."""
    low = notes.casefold()
    if "async tp" in low or "asynctp" in low:
        return True
    return False if "vanilla tp" in low else None


def _model(row: Mapping[str, Any], notes: str) -> Model:
    """Return the model of a row from its columns; latent attention, head width and the like come from its notes."""
    hidden, heads, layers = _need(row, "hidden"), _need(row, "n_heads"), _need(row, "n_layers")
    low = notes.casefold()
    known = _preset(_text(row, "model_name"), hidden, layers)
    head_dim = _noted(r"head_dim\s*=?\s*(\d+)", low)
    if head_dim is None and known is not None:
        head_dim = known.head_dim
    vocab = _whole(row, "vocab")
    if vocab is None:
        thousands = _noted(r"(\d+)k vocab", low)
        vocab = thousands * 1000 if thousands else (known.vocab if known else 51200)
    experts = _experts(row, low, known)
    window = _noted(r"(\d+)-token sliding window", low) or (known.window if known else 0)
    name = _text(row, "model_name").casefold()
    return Model(
        id=_text(row, "model_name") or "model",
        name=_text(row, "model_name"),
        n_layers=layers,
        hidden=hidden,
        n_heads=heads,
        n_kv_heads=_whole(row, "n_kv_heads") or heads,
        head_dim=head_dim or hidden // heads,
        ffn_hidden=_whole(row, "ffn_hidden") or (0 if experts else 4 * hidden),
        vocab=vocab,
        gated_mlp=_text(row, "gated_mlp") in {"1", "1.0", "true", "True"},
        parallel_block="parallel block" in low,
        window=window,
        full_every=2 if "alternate layers" in low else (known.full_every if known else 0),
        mtp_layers=known.mtp_layers if known and "w/o mtp" not in name and "w/o mtp" not in low else 0,
        experts=experts,
        latent=_latent(low) or (known.latent if known else None),
    )


def _preset(name: str, hidden: int, layers: int) -> Model | None:
    """Return the catalogue's model of that name if its width and depth agree with the row's."""
    if not name:
        return None
    for spelling in (name, name.split("(")[0].strip().replace("_", "-")):
        try:
            found = catalog.model(spelling)
        except SuanliError:
            continue
        if found.hidden == hidden and found.n_layers == layers:
            return found
    return None


def _noted(pattern: str, text: str) -> int | None:
    found = re.search(pattern, text)
    return int(found.group(1)) if found else None


def _latent(notes: str) -> Latent | None:
    pattern = r"mla: q_lora (\d+), kv_lora (\d+), nope (\d+), rope (\d+), v (\d+)"
    found = re.search(pattern, notes)
    if not found:
        return None
    q, kv, nope, rope, v = (int(x) for x in found.groups())
    return Latent(q_rank=q, kv_rank=kv, nope_dim=nope, rope_dim=rope, v_dim=v)


def _experts(row: Mapping[str, Any], notes: str, known: Model | None) -> Experts | None:
    n = _whole(row, "n_experts") or 0
    if n < 2:
        return None
    width = _whole(row, "moe_ffn_hidden") or _need(row, "ffn_hidden")
    shared = _noted(r"(\d+) shared expert", notes)
    if shared is None:
        one_more = "one extra shared expert" in notes
        shared = 1 if one_more else (known.experts.n_shared if known and known.experts else 0)
    first = _noted(r"first (\d+) layers? dense", notes)
    if first is None:
        alone = "first layer dense" in notes
        first = 1 if alone else (known.experts.first_layer if known and known.experts else 0)
    return Experts(
        n_experts=n,
        top_k=_whole(row, "top_k") or 1,
        ffn_hidden=width,
        n_shared=shared,
        shared_ffn_hidden=width if shared else 0,
        first_layer=first,
    )


def _degrees(row: Mapping[str, Any], model: Model, n_chips: int, missing: list[str]) -> dict[str, int]:
    """Return tp, pp, dp, cp and ep; one that is missing follows from the others, of several dp takes all."""
    got = {name: _whole(row, name) for name in ("tp", "pp", "dp", "cp")}
    unknown = [name for name, value in got.items() if not value]
    missing += unknown
    degrees = {name: value or 1 for name, value in got.items()}
    known = degrees["tp"] * degrees["pp"] * degrees["dp"] * degrees["cp"]
    rest = max(1, n_chips // known)
    if unknown == ["cp"] or len(unknown) == 1:
        degrees[unknown[0]] = rest
    elif unknown:
        degrees["dp"] = degrees["dp"] * rest
    if degrees["tp"] * degrees["pp"] * degrees["dp"] * degrees["cp"] != n_chips:
        if "dp" in unknown:
            degrees["dp"] = max(1, n_chips // (degrees["tp"] * degrees["pp"] * degrees["cp"]))
        else:
            product = "x".join(str(v) for v in degrees.values())
            raise UnscorableError(f"degrees tp x pp x dp x cp = {product} do not make {n_chips} chips")
    ep = _whole(row, "ep")
    if not ep:
        if model.experts:
            missing.append("ep")
        ep = 1
    return {**degrees, "ep": ep}


def _virtual(row: Mapping[str, Any], model: Model, pp: int, notes: str, era: Era) -> int:
    """Return chunks a stage: given, else the smallest above 1 that divides a stage where the notes say interleaved."""
    given = _whole(row, "vpp")
    if given:
        return given
    low = notes.casefold()
    said = "interleaved" in low and "non-interleaved" not in low
    if pp == 1 or not (said or era.interleaved):
        return 1
    if model.n_layers % pp:
        return 2
    stage = model.n_layers // pp
    return next((v for v in range(2, stage + 1) if stage % v == 0), 1)


def _link(text: str) -> float | None:
    """Return B/s a chip one way of a scale-up link that states its own rate ("NVLink 400GB/s" counts both ways)."""
    found = re.search(r"([\d.]+)\s*([GT])B/s", text)
    if found:
        return float(found.group(1)) * {"G": 1e9, "T": 1e12}[found.group(2)] / 2.0
    return None


def _network(text: str, node: int) -> float | None:
    """Return B/s a chip one way of the scale-out network, None where the text states no rate."""
    found = re.search(r"(?:(\d+)x)?([\d.]+)\s*Gb/s per (node|GPU|chip|NPU)", text)
    if not found:
        return None
    rate = float(found.group(1) or 1) * float(found.group(2)) * 1e9 / 8.0
    return rate / node if found.group(3) == "node" else rate


def read_rows(rows: Iterable[Mapping[str, Any]], *, stem: str) -> tuple[list[Row], list[tuple[str, str]]]:
    """Return (scorable rows, (id, reason) of the others)."""
    good: list[Row] = []
    bad: list[tuple[str, str]] = []
    for i, row in enumerate(rows):
        ident = _text(row, "id") or f"{stem}:{i + 1}"
        try:
            good.append(read_row(row, fallback_id=ident))
        except UnscorableError as reason:
            bad.append((ident, str(reason)))
    return good, bad
