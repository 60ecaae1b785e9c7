"""Diffusion transformers: picture tokens, and the operators of one denoising step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from suanli.errors import InputError
from suanli.kinds import Diffusion, Model
from suanli.workloads._forward import Pass, attention_row, mlp_rows, share
from suanli.workloads._ops import Row, gemm, stream


def picture_tokens(model: Model, *, height: int, width: int, frames: int = 1) -> int:
    """Return the tokens of a picture or video of ``height`` x ``width`` pixels and ``frames`` frames.

    Video autoencoders keep the first frame and compress the rest (Wan, arXiv 2503.20314): 1 + (frames - 1) / stride.
    Raises InputError for a model without pictures or a size that is not positive.
    """
    picture = _picture(model)
    for name, value in (("height", height), ("width", width), ("frames", frames)):
        if value < 1:
            raise InputError(f"{name} is {value}; it must be at least 1")
    cell = picture.latent_stride * picture.patch
    deep = 1 + -(-(frames - 1) // picture.temporal_stride)
    return -(-height // cell) * -(-width // cell) * -(-deep // picture.temporal_patch)


def passes(model: Model, *, steps: int | None = None) -> int:
    """Return how often the network runs for one sample: steps, twice with classifier-free guidance."""
    picture = _picture(model)
    return (picture.steps if steps is None else steps) * (2 if picture.guidance else 1)


def diffusion_rows(model: Model, run: Pass) -> Iterator[Row]:
    """Yield the operators of one pass over ``run.q_len`` picture tokens a sample (one step, no guidance)."""
    picture = _picture(model)
    h, images = model.hidden, replace(run, phase="encoder", kv_len=run.q_len)
    cell = picture.patch**2 * picture.temporal_patch * picture.channels
    yield gemm("patchify", images.tokens, h, cell, dtype=run.dtype, width=run.width)
    if picture.text_tokens and picture.text_dim:
        yield gemm("text in", run.batch * picture.text_tokens, h, picture.text_dim, dtype=run.dtype, width=run.width)
    joint, fused = picture.joint_layers, model.n_layers - picture.joint_layers
    if joint:
        yield from _joint(model, images, picture, joint)
        if fused:
            both = replace(images, q_len=run.q_len + picture.text_tokens, kv_len=run.q_len + picture.text_tokens)
            yield from _block(model, both, fused, modulation=0.5 * picture.modulation)
    else:
        yield from _block(model, images, model.n_layers, modulation=float(picture.modulation))
        if picture.cross_attention:
            yield from _cross(model, images, picture)
    yield gemm("unpatchify", images.tokens, cell, h, dtype=run.dtype, width=run.width)


def _block(model: Model, run: Pass, count: int, *, modulation: float) -> Iterator[Row]:
    """Yield ``count`` blocks over one stream of tokens: modulation, self-attention, MLP."""
    yield from _modulate(model, run, count, modulation)
    yield from _projections(model, run, count)
    heads = share(model.n_heads, run.tp)
    yield attention_row(run, heads=heads, kv_heads=heads, head_dim=model.head_dim, count=count, name="self")
    yield from mlp_rows(model, run, model.ffn_hidden, count, "mlp")


def _joint(model: Model, run: Pass, picture: Diffusion, count: int) -> Iterator[Row]:
    """Yield ``count`` joint blocks: two streams with weights of their own, one attention over both."""
    text = replace(run, q_len=picture.text_tokens, kv_len=picture.text_tokens)
    for stream_run in (run, text):
        yield from _modulate(model, stream_run, count, float(picture.modulation))
        yield from _projections(model, stream_run, count)
        yield from mlp_rows(model, stream_run, model.ffn_hidden, count, "mlp")
    length = run.q_len + picture.text_tokens
    heads = share(model.n_heads, run.tp)
    both = replace(run, q_len=length, kv_len=length)
    yield attention_row(both, heads=heads, kv_heads=heads, head_dim=model.head_dim, count=count, name="joint")


def _cross(model: Model, run: Pass, picture: Diffusion) -> Iterator[Row]:
    """Yield cross attention from picture tokens to text tokens in every block."""
    h, count, text = model.hidden, model.n_layers, run.batch * picture.text_tokens
    heads = share(model.n_heads, run.tp)
    inner = heads * model.head_dim
    yield gemm("cross query", run.tokens, inner, h, dtype=run.dtype, width=run.width, count=count)
    yield gemm("cross key and value", text, 2 * inner, h, dtype=run.dtype, width=run.width, count=count)
    onto = replace(run, kv_len=picture.text_tokens)
    yield attention_row(onto, heads=heads, kv_heads=heads, head_dim=model.head_dim, count=count, name="cross")
    yield gemm("cross out", run.tokens, h, inner, dtype=run.dtype, width=run.width, count=count)


def _projections(model: Model, run: Pass, count: int) -> Iterator[Row]:
    inner = share(model.n_heads, run.tp) * model.head_dim
    yield gemm("qkv", run.tokens, 3 * inner, model.hidden, dtype=run.dtype, width=run.width, count=count)
    yield gemm("out", run.tokens, model.hidden, inner, dtype=run.dtype, width=run.width, count=count)


def _modulate(model: Model, run: Pass, count: int, vectors: float) -> Iterator[Row]:
    h = model.hidden
    if vectors:
        yield gemm("modulation", run.batch, round(vectors * h), h, dtype=run.dtype, width=run.width, count=count)
    yield stream("norm, scale and gate", 12.0 * run.tokens * h, count=2 * count)


def _picture(model: Model) -> Diffusion:
    if model.diffusion is None:
        raise InputError(f"{model.id} is a {model.architecture}, not a diffusion transformer")
    return model.diffusion
