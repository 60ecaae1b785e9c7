"""Calibrate this processor, then predict a small transformer in torch on it: ``python -m validation.calibrate_cpu``.

One thread, CPU time, so that other work on the machine does not count. Needs torch. Writes the measured and
predicted seconds, with the machine and the date, to validation/data/calibration/.
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
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from suanli.files import write_json
from suanli.kinds import Model
from suanli.silicon import chip_of, measure_machine, ops_time, predicted, this_machine
from suanli.workloads import backward_ops, forward_ops

OUT = Path(__file__).parent / "data" / "calibration"
MODEL = Model(
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
BATCH, SEQ = 2, 256
DECODE_BATCH, CACHED = 8, 512


class Layer(nn.Module):
    """One pre-norm transformer layer with a gated MLP and an optional KV cache."""

    def __init__(self) -> None:
        super().__init__()
        width = MODEL.hidden
        self.first, self.second = nn.RMSNorm(width), nn.RMSNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = (
            nn.Linear(width, 2 * MODEL.ffn_hidden, bias=False),
            nn.Linear(MODEL.ffn_hidden, width, bias=False),
        )

    def forward(self, x: torch.Tensor, cache: tuple[torch.Tensor, torch.Tensor] | None = None) -> torch.Tensor:
        """Return the layer's output for (batch, tokens, hidden); ``cache`` holds earlier keys and values."""
        batch, tokens, _ = x.shape
        q, k, v = (
            t.view(batch, tokens, MODEL.n_heads, MODEL.head_dim).transpose(1, 2)
            for t in self.qkv(self.first(x)).chunk(3, -1)
        )
        if cache is not None:
            k, v = torch.cat([cache[0], k], 2), torch.cat([cache[1], v], 2)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=cache is None)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, tokens, MODEL.hidden))
        gate, value = self.up(self.second(x)).chunk(2, -1)
        return x + self.down(functional.silu(gate) * value)


class Small(nn.Module):
    """The small transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(MODEL.vocab, MODEL.hidden)
        self.layers = nn.ModuleList(Layer() for _ in range(MODEL.n_layers))
        self.norm, self.head = nn.RMSNorm(MODEL.hidden), nn.Linear(MODEL.hidden, MODEL.vocab, bias=False)

    def forward(self, ids: torch.Tensor, caches: Sequence[Any] | None = None) -> torch.Tensor:
        """Return logits of ``ids`` (batch, tokens)."""
        x = self.tokens(ids)
        for i, layer in enumerate(self.layers):
            x = layer(x, None if caches is None else caches[i])
        return self.head(self.norm(x))


def median_seconds(run: Callable[[], None], times: int = 7) -> float:
    """Return the median CPU seconds of ``run`` after one warm-up."""
    run()
    found = []
    for _ in range(times):
        at = time.process_time()
        run()
        found.append(time.process_time() - at)
    return float(np.median(found))


def measured() -> dict[str, float]:
    """Return CPU seconds of a training step's passes and of one decode step in torch."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = Small()
    ids = torch.randint(MODEL.vocab, (BATCH, SEQ))
    one = torch.randint(MODEL.vocab, (DECODE_BATCH, 1))
    shape = (DECODE_BATCH, MODEL.n_heads, CACHED - 1, MODEL.head_dim)
    caches = [(torch.randn(shape), torch.randn(shape)) for _ in range(MODEL.n_layers)]

    def train() -> None:
        loss = functional.cross_entropy(net(ids).flatten(0, 1), ids.flatten())
        loss.backward()
        net.zero_grad(set_to_none=True)

    def decode() -> None:
        with torch.no_grad():
            net(one, caches)

    return {"training_step": median_seconds(train), "decode_step": median_seconds(decode)}


def main(arguments: Sequence[str]) -> None:
    """Measure, predict, print and store; the first of ``arguments`` is the time limit in s (default 120)."""
    limit = float(arguments[0]) if arguments else 120.0
    machine = this_machine()
    samples = measure_machine(machine, seconds=limit)
    chip = chip_of(machine, samples, date=date.today().isoformat())
    formats = {"dtype": "fp32", "attention_dtype": "fp32", "kv_dtype": "fp32"}
    ahead = forward_ops(MODEL, phase="train", batch=BATCH, q_len=SEQ, **formats)
    back = backward_ops(ahead)
    step = forward_ops(MODEL, phase="decode", batch=DECODE_BATCH, kv_len=CACHED, **formats)
    # A few products (the head) keep 16 bits whatever the weights' format; here everything is fp32.
    ahead, back, step = (replace(ops, dtype=("fp32",) * len(ops)) for ops in (ahead, back, step))
    times = {
        "training_step": ops_time(chip, ahead).total + ops_time(chip, back).total,
        "decode_step": ops_time(chip, step).total,
    }
    seen = measured()
    calibration = [
        {"op": s.op, "size": list(s.size), "measured_s": s.seconds, "predicted_s": float(t)}
        for s, t in zip(samples, predicted(chip, samples), strict=True)
    ]
    result = {
        "machine": machine.name,
        "date": date.today().isoformat(),
        "torch": torch.__version__,
        "threads": 1,
        "clock": "CPU time of the process",
        "calibration": calibration,
        "model": {"layers": MODEL.n_layers, "hidden": MODEL.hidden, "ffn": MODEL.ffn_hidden, "vocab": MODEL.vocab},
        "steps": {name: {"measured_s": seen[name], "predicted_s": times[name]} for name in seen},
    }
    for name, value in seen.items():
        print(f"{name}: measured {value:.4f} s, predicted {times[name]:.4f} s, error {times[name] / value - 1.0:+.0%}")
    write_json(OUT / "cpu.json", result)


if __name__ == "__main__":
    main(sys.argv[1:])
