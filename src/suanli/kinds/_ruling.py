"""A ruling: what dated controls say of a chip, a place, a party and a use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Group = Literal["free", "conditional", "restricted", "open"]

GROUPS: Mapping[str, Group] = {
    "NOT_LISTED": "free",
    "LISTED_NO_LICENCE": "free",
    "EXEMPT_RECIPIENT": "free",
    "NOT_AN_EXPORT": "free",
    "VEU_OK": "free",
    "NAC_ELIGIBLE": "conditional",
    "ACA_ELIGIBLE": "conditional",
    "LPP_ELIGIBLE": "conditional",
    "AIA_ELIGIBLE": "conditional",
    "HBM_EXCEPTION_POSSIBLE": "conditional",
    "HOST_PERMIT": "conditional",
    "LICENCE_REQUIRED": "restricted",
    "VEU_BREACH": "restricted",
    "GP10_RISK": "restricted",
    "CN_RESTRICTED": "restricted",
    "UNDETERMINED": "open",
}
"""The group of each outcome; only *free* enters a plan unasked, *conditional* where its condition is stated as met."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """Distance to a published threshold in the chip's own units: ``value`` against ``limit``."""

    rule: str
    name: str
    value: float | None
    op: str
    limit: float
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """A rule that spoke: what it said in one sentence, with its citation."""

    rule: str
    citation: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """The answer of the rules: an outcome with its paragraph, presumption, arithmetic and what a person must check.

    ``decided_by`` names the rules whose lines gave the answer; ``remarks`` has all that spoke.
    """

    outcome: str
    eccn: str
    presumption: str
    remarks: tuple[Remark, ...] = ()
    arithmetic: Mapping[str, float | None] = field(default_factory=dict)
    thresholds: tuple[Threshold, ...] = ()
    confidence: str = "medium"
    contradictions: tuple[str, ...] = ()
    to_check: tuple[str, ...] = ()
    depends_on: str = ""
    decided_by: tuple[str, ...] = ()

    @property
    def group(self) -> Group:
        """The outcome's group: free, conditional, restricted or open."""
        return GROUPS[self.outcome]
