"""``suanli models list|show``: architectures with parameter counts, cache and FLOP a token, and their sources."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from functools import cache

import typer

from suanli import catalog
from suanli.cli import _listing
from suanli.cli._listing import Line, Listing, contains
from suanli.kinds import Model
from suanli.quantities import show
from suanli.workloads import (
    ParameterCount,
    flop_per_token,
    kv_bytes_per_token,
    parameters,
    passes,
    picture_tokens,
    state_bytes_per_sequence,
)

_SEQUENCE = 4096  # tokens at which FLOP a token are shown
_PICTURE = {"height": 1024, "width": 1024}
_VIDEO = {"height": 720, "width": 1280, "frames": 81}
_PARTS = ("experts", "latent", "linear", "indexer", "compressed", "diffusion", "recommender")
_COUNTED = {"id", "name", "notes", "source", "parameters", "active_parameters", *_PARTS}


@cache
def _count(model: Model) -> ParameterCount:
    return parameters(model)


def find(name: str) -> Model:
    """Return the model that ``name`` means; ``show`` takes any spelling, or a ``config.json``."""
    return catalog.model(name)


def _kind(model: Model) -> str:
    if model.architecture != "transformer":
        return model.architecture
    words = ["MoE" if model.experts else "dense"]
    if model.compressed:
        return " ".join([*words, "compressed"])
    if model.latent:
        words.append("MLA")
    elif model.n_kv_heads < model.n_heads:
        words.append("GQA" if model.n_kv_heads > 1 else "MQA")
    words += [w for w, on in (("linear", model.linear), ("sparse", model.indexer), ("window", model.window)) if on]
    return " ".join(words)


def _billions(value: float) -> str:
    return f"{value / 1e9:,.2f}" if value < 1e10 else f"{value / 1e9:,.1f}"


def _cache(model: Model) -> str:
    size = kv_bytes_per_token(model)
    return f"{size / 1024:,.1f}" if size else ""


def _lines(model: Model) -> list[Line]:
    lines = [_published("parameters, published", model.parameters, model)]
    lines.append(_published("active, published", model.active_parameters, model))
    count = _count(model)
    lines.append(Line("parameters, counted", show(count.total, "", digits=4)))
    lines += [
        Line(f"  {part.replace('_', ' ')}", show(size, "", digits=4)) for part, size in count.parts.items() if size
    ]
    lines.append(Line("active a token, counted", show(count.active, "", digits=4)))
    lines += _work(model)
    for field in fields(model):
        if field.name not in _COUNTED:
            lines.append(Line(field.name.replace("_", " "), _text(getattr(model, field.name)), model.source))
    for part in _PARTS:
        value = getattr(model, part)
        if is_dataclass(value):
            lines += [
                Line(f"{part}: {f.name.replace('_', ' ')}", _text(getattr(value, f.name)), model.source)
                for f in fields(value)
            ]
    if model.notes:
        lines.append(Line("notes", model.notes))
    return lines


def _published(title: str, value: float | None, model: Model) -> Line:
    return Line(title, show(value, "", digits=4), model.source if value is not None else None)


def _work(model: Model) -> list[Line]:
    """Return what a token, a picture or an item costs."""
    if model.architecture == "transformer":
        flop = float(flop_per_token(model, (_SEQUENCE + 1) / 2))
        lines = [
            Line("cache a token (16 bits)", f"{kv_bytes_per_token(model) / 1024:,.1f} KiB"),
            Line(f"FLOP a token, forward, {_SEQUENCE:,} tokens", show(flop, "FLOP")),
        ]
        state = state_bytes_per_sequence(model)
        return [*lines, Line("state a sequence (32 bits)", show(state, "B"))] if state else lines
    if model.diffusion is not None:
        video = model.diffusion.temporal_stride > 1
        size = _VIDEO if video else _PICTURE
        name = "tokens of 81 frames of 1280 x 720" if video else "tokens of 1024 x 1024"
        return [Line(name, f"{picture_tokens(model, **size):,}"), Line("passes a sample", str(passes(model)))]
    return []


def _text(value: object) -> str:
    if value is None or value == "":
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}" if isinstance(value, float) else str(value)


def _at_least(model: Model, value: str) -> bool:
    from suanli.quantities import parse

    return _count(model).total >= parse(value, "")


LISTING: Listing[Model] = Listing(
    name="models",
    noun="model",
    help="List and show models with their sources.",
    entries=catalog.models,
    find=find,
    columns={
        "id": lambda m: m.id,
        "kind": _kind,
        "billion": lambda m: _billions(_count(m).total),
        "active": lambda m: _billions(_count(m).active),
        "layers": lambda m: str(m.n_layers or ""),
        "heads": lambda m: f"{m.n_heads}/{m.n_kv_heads}" if m.n_heads else "",
        "cache KiB": _cache,
        "weights": lambda m: m.weight_format,
        "year": lambda m: m.source.date[:4],
    },
    right=("billion", "active", "layers", "heads", "cache KiB"),
    filters={
        "kind": lambda m, value: value.casefold() in _kind(m).casefold().split(),
        "text": contains(lambda m: m.id, lambda m: m.name, lambda m: m.notes),
        "min": _at_least,
        "weights": lambda m, value: m.weight_format == value.casefold(),
    },
    title=lambda m: f"{m.name} ({m.id}), {_kind(m)}",
    lines=_lines,
    units="parameters counted from the architecture; cache a token in 16 bits",
)


def register(app: typer.Typer) -> None:
    """Add ``models`` to the application."""
    _listing.register(app, LISTING)
