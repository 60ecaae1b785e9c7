"""The case language, second part: suppliers, foundries, offers, builds, stock and commitments."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from suanli.fleet._figure import Dated, Fig, In, Money, Month, Strict, ordinal

Share = Annotated[Fig, In("1", 0.0, 1.0)]


class CapacityPoint(Dated):
    """What a supplier can make a year from a month on."""

    since: Month
    output: Annotated[Fig, In("chip/year")] = Field(description="of the supplier in all, for every buyer")


class Supplier(Strict):
    """Who sells: its output, and the share of it that one buyer can hope for."""

    id: str
    name: str
    country: str
    capacity: list[CapacityPoint] = Field(default_factory=list)
    buyer_share: Share | None = Field(default=None, description="share of the output that this buyer can get")


class Foundry(Strict):
    """Wafers that phones and accelerators share."""

    id: str
    name: str
    wafers: Annotated[Fig, In("wafer/month")] = Field(description="capacity of the node")
    phones: Share = Field(description="share that phones take in the base case")
    buyer_share: Share = Field(description="share of the rest that ends in chips for this buyer")


class YieldPoint(Dated):
    """Share of the dies that are sold, from a month on."""

    since: Month
    share: Annotated[Fig, In("1", 0.01, 1.0)]


class Wafers(Strict):
    """What a chip takes of a foundry."""

    foundry: str
    dies_per_wafer: Annotated[Fig, In("1", 1.0)] = Field(description="gross dies, good and bad")
    dies_per_chip: int = Field(default=1, ge=1, description="dies in a package")
    yield_share: Annotated[Fig, In("1", 0.01, 1.0)] = Field(description="share of the dies that are sold")
    yields: list[YieldPoint] = Field(
        default_factory=list, description="as the yield is learnt, joined by straight lines; absent: yield_share"
    )


class AllocationPoint(Dated):
    """What this buyer is given of a part a month, from a month on."""

    since: Month
    amount: Annotated[Fig, In("part/month")]


class Allocation(Strict):
    """A part that is short: packaging slots or HBM stacks allotted to this buyer; what is not used can be kept."""

    id: str
    name: str
    kind: Literal["packaging", "memory", "optics", "other"]
    amounts: list[AllocationPoint] = Field(min_length=1)


class Part(Strict):
    """What one chip takes of an allocation."""

    allocation: str = Field(description="id of an allocation")
    per_chip: Annotated[Fig, In("1", 0.0)] = Field(description="parts in a chip")


class CurvePoint(Strict):
    """Cumulative share of an order delivered so many months after it."""

    months: int = Field(ge=0, description="since the order")
    share: Share = Field(description="of the order that has come by then")


class PricePoint(Dated):
    """Price of a chip, or its rent, from a month on; the path is joined by straight lines in the logarithm."""

    since: Month
    price: Annotated[Money, In("money/chip")] | None = Field(default=None, description="of a chip to buy")
    rent: Annotated[Money, In("money/chip/h")] | None = Field(default=None, description="of a chip to lease")

    @model_validator(mode="after")
    def _one(self) -> PricePoint:
        if (self.price is None) == (self.rent is None):
            raise ValueError("state either price or rent")
        return self


class Lease(Strict):
    """Terms of a lease."""

    term_months: int = Field(ge=1, le=120, description="months that the lease runs")
    take_or_pay: Share = Field(description="share of the rent due whether the chips run or not")
    notice_months: int = Field(default=0, ge=0, description="months from signing to first use")
    tenant: str | None = Field(
        default=None, description="party that rents; absent: the first other party with its headquarters there"
    )


class Offer(Dated):
    """A way to obtain compute: a chip from a supplier, to buy, lease or build, at some sites."""

    id: str
    chip: str = Field(description="chip id, alias, chip file, or 'design:PRESET' for one of ours")
    way: Literal["buy", "lease", "build"] = Field(description="how the chips are had")
    supplier: str
    sites: list[str] = Field(min_length=1, description="where the chips may stand")
    pot: str = Field(description="pot that pays")
    prices: list[PricePoint] = Field(default_factory=list)
    server: Annotated[Fig, In("1", 1.0)] | None = Field(
        default=None, description="server price over chip price; absent: all in"
    )
    fabric: str | None = Field(default=None, description="network bought with each chip; absent: in the price")
    chips_per_node: int = Field(default=8, ge=1, description="chips of a server, for the network's bill")
    first: Month | None = Field(default=None, description="first month of orders")
    last: Month | None = Field(default=None, description="last month of orders")
    delivery: list[CurvePoint] = Field(default_factory=list, description="absent: all after lead_months")
    lead_months: int = Field(default=0, ge=0, description="months from order to delivery, where no curve is stated")
    lease: Lease | None = None
    deposit: Share | None = Field(default=None, description="share of the price due at the order")
    failures: Share | None = Field(default=None, description="permanent failures a year")
    spares: Share | None = Field(default=None, description="share kept as spares")
    loss_of_value: Share | None = Field(default=None, description="second-hand value lost a year; absent: all of it")
    life_months: int = Field(default=60, ge=1, description="months from delivery to retirement")
    end_value: Share | None = Field(
        default=None, description="share of its price that a retired chip brings; absent: none"
    )
    power_factor: Annotated[Fig, In("1", 1.0)] | None = Field(default=None, description="server power over chip power")
    wafers: Wafers | None = None
    parts: list[Part] = Field(default_factory=list, description="what a chip takes of allocations")
    build: str | None = Field(default=None, description="id of the build project that makes the chip")
    ship_from: str = Field(description="country that the chips leave")
    acquire: list[str] = Field(default_factory=list, description="acts screened at delivery; absent: by way and place")
    use: list[str] = Field(default_factory=list, description="acts screened in every month of use; absent: by way")
    facts: dict[str, str] = Field(default_factory=dict, description="facts for the screen")
    lot: int = Field(default=0, ge=0, description="smallest order in chips, used when lots are asked for")
    note: str = ""

    @model_validator(mode="after")
    def _whole(self) -> Offer:
        if self.first and self.last and ordinal(self.last) < ordinal(self.first):
            raise ValueError(f"offer {self.id}: last month {self.last} is before the first, {self.first}")
        if self.way == "lease" and self.lease is None:
            raise ValueError(f"offer {self.id}: a lease states its term under 'lease'")
        if self.way == "build" and self.build is None:
            raise ValueError(f"offer {self.id}: a build offer names its project under 'build'")
        if self.way != "build" and not self.prices:
            raise ValueError(f"offer {self.id}: states no price")
        shares = [p.share.si for p in self.delivery]
        months = [p.months for p in self.delivery]
        if len({p.allocation for p in self.parts}) < len(self.parts):
            raise ValueError(f"offer {self.id}: names an allocation twice under 'parts'")
        if shares != sorted(shares) or months != sorted(set(months)):
            raise ValueError(f"offer {self.id}: delivery months and shares must rise")
        return self


class Stage(Strict):
    """One dated stage of a chip project."""

    name: str
    months: Annotated[Fig, In("month")] = Field(description="length of the stage")
    odds: Share = Field(description="chance that the stage succeeds at the first try")
    retry_months: int = Field(default=0, ge=0, description="slip of a second try")


class RampPoint(Strict):
    """Yield over its mature value, so many months after volume starts."""

    months: int = Field(ge=0)
    share: Annotated[Fig, In("1", 0.01, 1.0)]


class Build(Strict):
    """A chip project: what it costs before the first chip, its stages, and what a chip costs to make."""

    id: str
    name: str
    design: str = Field(description="preset or design file of the design room")
    start: Month = Field(description="month in which the design starts")
    nre: Annotated[Money, In("money")] = Field(description="design cost before the first chip")
    masks: Annotated[Money, In("money")] = Field(description="mask set")
    pot: str | None = None
    stages: list[Stage] = Field(min_length=1)
    odds_second: Share = Field(description="chance that the second try succeeds")
    margin: Annotated[Fig, In("1", 0.0, 10.0)] | None = Field(
        default=None, description="partner's margin on the cost model's cost; absent: the price model's"
    )
    wafer_starts: Annotated[Fig, In("wafer/month")] = Field(description="most wafers a month")
    ramp: list[RampPoint] = Field(
        default_factory=list, description="how the yield is learnt; absent: the design room's ramp"
    )
    sunk: Share | None = Field(default=None, description="share of the NRE already spent at the view's date")


class Stock(Dated):
    """Chips already there."""

    id: str
    chip: str
    site: str
    quantity: Annotated[Fig, In("chip")]
    since: Month = Field(description="month in which they came")
    life_months: int = Field(default=60, ge=1, description="months until they retire")
    failures: Share | None = Field(default=None, description="permanent failures a year")
    spares: Share | None = Field(default=None, description="share kept as spares")
    power_factor: Annotated[Fig, In("1", 1.0)] | None = None
    use: list[str] = Field(default_factory=list, description="acts screened in every month of use")
    supplier: str
    facts: dict[str, str] = Field(default_factory=dict)
    note: str = ""


class Commitment(Dated):
    """An order already placed: its delivery follows the offer's curve and risks."""

    offer: str
    site: str
    month: Month
    quantity: Annotated[Fig, In("chip")]
    arrived: Annotated[Fig, In("chip")] | None = Field(
        default=None, description="what had arrived when the plan decides; absent: as the offer's curve says"
    )
