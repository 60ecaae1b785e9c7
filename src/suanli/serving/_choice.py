"""One answer of the layout search."""

from __future__ import annotations

from dataclasses import dataclass, replace

from suanli.serving._layout import Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One way to serve on ``n_chips``: one pool (``prefill`` None) or prefill and decode apart.

    ``copies`` of ``layout`` decode (or do all), ``prefill_copies`` of ``prefill`` fill caches. Rates are of all
    chips, s otherwise; ``running`` requests at once; ``reason`` says in one line why it is not the best, "" for the
    best.
    """

    layout: Layout
    copies: int
    prefill: Layout | None
    prefill_copies: int
    budget: int
    requests_per_s: float
    output_tokens_per_s: float
    ttft_s: float
    tpot_s: float
    running: float
    sigma: float
    reason: str

    @property
    def n_chips(self) -> int:
        """Chips of all copies of both pools."""
        filled = self.prefill.chips * self.prefill_copies if self.prefill else 0
        return self.layout.chips * self.copies + filled

    @property
    def per_chip(self) -> float:
        """Output tokens/s a chip."""
        return self.output_tokens_per_s / self.n_chips

    def __str__(self) -> str:
        """Return the layout as people write it."""
        one = str(replace(self.layout, replicas=self.copies))
        if self.prefill is None:
            return one
        return f"prefill {replace(self.prefill, replicas=self.prefill_copies)} + decode {one}"
