"""Layouts worth trying of a model on a chip."""

from __future__ import annotations

from collections.abc import Iterator

from suanli.kinds import Chip, Model
from suanli.serving._layout import Layout


def domain(chip: Chip) -> int:
    """Return how many chips a tensor-parallel group may span: the scale-up domain, 8 where it is unknown."""
    return max(1, chip.scale_up_domain or 8)


def layouts_for(model: Model, chip: Chip, *, max_chips: int = 16) -> list[Layout]:
    """Return layouts of one copy on at most ``max_chips`` chips.

    Tensor parallelism in powers of 2 inside the scale-up domain, with pipeline stages beyond it; for models with
    experts also expert parallelism, with attention on ranks of its own (wide EP).
    """
    return list(dict.fromkeys(_layouts(model, chip, max_chips)))


def _layouts(model: Model, chip: Chip, max_chips: int) -> Iterator[Layout]:
    inside = min(domain(chip), max_chips)
    tp = 1
    while tp <= inside:
        if model.n_heads % tp == 0:
            for pp in (1, 2, 4):
                if tp * pp <= max_chips and (pp == 1 or tp == inside or tp * 2 > inside) and pp <= model.n_layers:
                    yield Layout(tp=tp, pp=pp)
            if model.experts is not None:
                yield from _wide(model, tp, max_chips)
        tp *= 2


def _wide(model: Model, tp: int, max_chips: int) -> Iterator[Layout]:
    """Yield expert-parallel layouts with attention groups of ``tp`` chips."""
    assert model.experts is not None
    dp = 1
    while tp * dp <= max_chips and tp * dp <= model.experts.n_experts:
        if tp * dp > 1 and tp <= 8:
            yield Layout(tp=tp, dp=dp, ep=tp * dp)
        dp *= 2
