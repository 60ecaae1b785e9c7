"""Calibrate this processor, then predict small transformers in torch on it: ``python -m validation.calibrate_cpu``.

One thread, CPU time, so that other work on the machine counts little; steps and calibration take turns, so that what
remains of it disturbs both alike. Needs torch. Writes the measured and predicted seconds, with
the machine and the date, to validation/data/calibration/.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from suanli.files import write_json
from suanli.kinds import Chip, Model
from suanli.silicon import chip_of, elementwise_time, measure_machine, ops_time, predicted, this_machine
from suanli.workloads import Ops, backward_ops, forward_ops

OUT = Path(__file__).parent / "data" / "calibration"
SMALL = Model(
    id="small",
    name="small",
    n_layers=4,
    hidden=768,
    n_heads=12,
    n_kv_heads=12,
    head_dim=64,
    ffn_hidden=2048,
    vocab=8192,
)
WIDE = Model(
    id="wide",
    name="wide",
    n_layers=2,
    hidden=1536,
    n_heads=24,
    n_kv_heads=24,
    head_dim=64,
    ffn_hidden=4096,
    vocab=4096,
)
MODELS = (SMALL, WIDE)
BATCH, SEQ = 2, 256
CACHED = 512
DECODE_BATCHES = (1, 8)
TURNS = 4  # of steps and calibration
TIMES = 3  # steps timed in a turn
_LOSS_PASSES = 4.0  # the logits are read and written by the loss, and by its gradient
Cache = tuple[torch.Tensor, torch.Tensor]


class Layer(nn.Module):
    """One pre-norm transformer layer with a gated MLP and an optional KV cache, whose last places are written."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        width, inner = model.hidden, model.ffn_hidden
        self.heads, self.head_dim = model.n_heads, model.head_dim
        self.first, self.second = nn.RMSNorm(width), nn.RMSNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 2 * inner, bias=False), nn.Linear(inner, width, bias=False)

    def forward(self, x: torch.Tensor, cache: Cache | None = None) -> torch.Tensor:
        """Return the layer's output for (batch, tokens, hidden); ``cache`` holds earlier keys and values."""
        batch, tokens, width = x.shape
        q, k, v = (
            t.view(batch, tokens, self.heads, self.head_dim).transpose(1, 2)
            for t in self.qkv(self.first(x)).chunk(3, -1)
        )
        if cache is not None:
            for kept, new in zip(cache, (k, v), strict=True):
                kept[:, :, -tokens:] = new
            k, v = cache
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=cache is None)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, tokens, width))
        gate, value = self.up(self.second(x)).chunk(2, -1)
        return x + self.down(functional.silu(gate) * value)


class Transformer(nn.Module):
    """A small transformer of the shape of ``model``."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.tokens = nn.Embedding(model.vocab, model.hidden)
        self.layers = nn.ModuleList(Layer(model) for _ in range(model.n_layers))
        self.norm, self.head = nn.RMSNorm(model.hidden), nn.Linear(model.hidden, model.vocab, bias=False)

    def forward(self, ids: torch.Tensor, caches: Sequence[Cache] | None = None) -> torch.Tensor:
        """Return logits of ``ids`` (batch, tokens)."""
        x = self.tokens(ids)
        for i, layer in enumerate(self.layers):
            x = layer(x, None if caches is None else caches[i])
        return self.head(self.norm(x))


def steps_of(model: Model) -> dict[str, Callable[[], None]]:
    """Return what is timed: a training step's passes, and decode steps of each batch."""
    net = Transformer(model)
    ids = torch.randint(model.vocab, (BATCH, SEQ))

    def train() -> None:
        loss = functional.cross_entropy(net(ids).flatten(0, 1), ids.flatten())
        loss.backward()
        net.zero_grad(set_to_none=True)

    def decode(batch: int) -> Callable[[], None]:
        one = torch.randint(model.vocab, (batch, 1))
        shape = (batch, model.n_heads, CACHED, model.head_dim)
        caches = [(torch.randn(shape), torch.randn(shape)) for _ in range(model.n_layers)]

        def step() -> None:
            with torch.no_grad():
                net(one, caches)

        return step

    return {"training_step": train} | {f"decode_step_batch_{batch}": decode(batch) for batch in DECODE_BATCHES}


def timed(steps: dict[str, Callable[[], None]], found: dict[str, list[float]]) -> None:
    """Add CPU seconds of each of ``steps``, taking turns, to ``found``."""
    for run in steps.values():
        run()
    for _ in range(TIMES):
        for name, run in steps.items():
            at = time.process_time()
            run()
            found.setdefault(name, []).append(time.process_time() - at)


def wide_ops(ops: Ops) -> Ops:
    """Return ``ops`` with everything in fp32: tables count activations in 16 bits, and keep the head in them."""
    return replace(ops, dtype=("fp32",) * len(ops), bytes=2.0 * ops.bytes)


def predictions(chip: Chip, model: Model) -> dict[str, float]:
    """Return the predicted seconds of each step of ``model`` on ``chip``."""
    formats = {"dtype": "fp32", "attention_dtype": "fp32", "kv_dtype": "fp32"}
    ahead = forward_ops(model, phase="train", batch=BATCH, q_len=SEQ, **formats)
    logits = 4.0 * BATCH * SEQ * model.vocab
    out = {
        "training_step": ops_time(chip, wide_ops(ahead)).total
        + ops_time(chip, wide_ops(backward_ops(ahead))).total
        + float(elementwise_time(chip, bytes=_LOSS_PASSES * logits)[0])
    }
    for batch in DECODE_BATCHES:
        step = forward_ops(model, phase="decode", batch=batch, kv_len=CACHED, **formats)
        out[f"decode_step_batch_{batch}"] = ops_time(chip, wide_ops(step)).total
    return out


def main(arguments: Sequence[str]) -> None:
    """Measure, predict, print and store; the first of ``arguments`` is the time limit in s (default 120)."""
    limit = float(arguments[0]) if arguments else 120.0
    torch.set_num_threads(1)
    torch.manual_seed(0)
    steps = {f"{m.id} {name}": run for m in MODELS for name, run in steps_of(m).items()}
    found: dict[str, list[float]] = {}
    machine = this_machine()
    turns = []
    for _ in range(TURNS):
        timed(steps, found)
        turns.append(measure_machine(machine, seconds=limit / TURNS))
    # Every turn measures the same samples in the same order, unless time runs out.
    samples = [
        replace(same[0], seconds=float(np.median([s.seconds for s in same]))) for same in zip(*turns, strict=False)
    ]
    chip = chip_of(machine, samples, date=date.today().isoformat())
    times = {f"{m.id} {name}": t for m in MODELS for name, t in predictions(chip, m).items()}
    rows = {}
    for name, seconds in found.items():
        low, middle, high = (float(np.quantile(seconds, q)) for q in (0.0, 0.5, 0.9))
        rows[name] = {"measured_s": middle, "least_s": low, "p90_s": high, "predicted_s": times[name]}
        error = times[name] / middle - 1.0
        print(f"{name}: {middle:.4f} s ({low:.4f} to {high:.4f}), predicted {times[name]:.4f} s, error {error:+.0%}")
    result = {
        "machine": machine.name,
        "date": date.today().isoformat(),
        "torch": torch.__version__,
        "threads": 1,
        "clock": "CPU time of the process; median, least and 90th percentile",
        "effective": {
            "fp32_flop_per_s": chip.peak["fp32"],
            "memory_bandwidth": chip.memory_bandwidth,
            "clock_hz": chip.clock_hz,
            "cache_bytes": chip.l2_bytes,
        },
        "calibration": [
            {"op": s.op, "size": list(s.size), "measured_s": s.seconds, "predicted_s": float(t)}
            for s, t in zip(samples, predicted(chip, samples), strict=True)
        ],
        "models": {m.id: {"layers": m.n_layers, "hidden": m.hidden, "ffn": m.ffn_hidden} for m in MODELS},
        "steps": rows,
    }
    write_json(OUT / "cpu.json", result)


if __name__ == "__main__":
    main(sys.argv[1:])
