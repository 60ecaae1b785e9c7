"""The case language, first half: the case itself, money, places, parties and risks."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from suanli.fleet._figure import Dated, Fig, In, Money, Month, Strict, ordinal
from suanli.fleet._schema_offers import Allocation, Build, Commitment, Foundry, Offer, Stock, Supplier
from suanli.fleet._schema_work import Correction, Measurements, Rate, Run, Service

Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2 code")]
Day = Annotated[dt.date, In("date")]
Share = Annotated[Fig, In("1", 0.0, 1.0)]


class Origin(Strict):
    """A source of the case's own: where a figure was read that no catalogue holds, or who estimated it."""

    ref: str = Field(description="title or address")
    date: str = Field(default="", description="ISO date")
    kind: Literal["measured", "datasheet", "reported", "estimated"] = Field(description="how the figure was had")
    note: str = ""


class Claim(Strict):
    """What the press reports, and who denies it."""

    claim: str = Field(description="event id")
    denials: list[str] = Field(default_factory=list, description="event ids that deny or contradict it")
    used_as: str = Field(description="how the case uses it")


class Horizon(Strict):
    """The months that the plan covers."""

    first: Month
    last: Month

    @model_validator(mode="after")
    def _ordered(self) -> Horizon:
        if ordinal(self.last) < ordinal(self.first):
            raise ValueError(f"last month {self.last} is before the first, {self.first}")
        return self


class Exchange(Dated):
    """Units of a currency for one USD from a day on."""

    currency: str
    since: Day
    per_usd: Annotated[Fig, In("1", 1e-9)] = Field(description="units of the currency per USD")


class Risk(Strict):
    """How scenarios are weighed."""

    scenarios: int = Field(default=12, ge=1, le=500, description="joint futures kept after reduction")
    cvar_weight: Share = Field(description="weight of the tail's mean cost against the mean cost")
    cvar_tail: Annotated[Fig, In("1", 0.01, 1.0)] = Field(description="share of futures in the tail")
    discount: Share = Field(description="discount rate a year")


class View(Strict):
    """What the plan may know: rules published and facts dated up to a day."""

    id: str
    title: str
    known_to: Day = Field(description="rules published later are unknown to the plan")
    facts_to: Day | None = Field(default=None, description="facts known later are left out; absent: as known_to")
    orders_from: Month = Field(description="first month in which the plan decides; earlier orders are commitments")
    ruleset: Literal["as_enforced", "as_written"] = "as_enforced"
    factors: list[str] | None = Field(default=None, description="risks that are open in this view; absent: all")


class Party(Strict):
    """An owner: the party whose headquarters and parent count in a ruling."""

    id: str
    name: str
    hq: Country
    parent_hq: Country
    facts: dict[str, str] = Field(default_factory=dict, description="facts for the screen, as in its vocabulary")
    source: str


class Group(Strict):
    """Several suppliers, offers, sites or services under one name, for shares and risks."""

    id: str
    name: str
    members: list[str] = Field(min_length=1, description="ids; a group may hold groups stated before it")


class YearMoney(Dated):
    """A budget of one year."""

    year: int = Field(ge=2000, le=2100)
    amount: Annotated[Money, In("money")]


Cover = Literal["chips", "servers", "fabric", "leases", "sites", "builds"]


class Pot(Strict):
    """Money of one purpose with yearly budgets; years without one are unlimited."""

    id: str
    name: str
    covers: list[Cover] = Field(description="which payments draw on the pot")
    budgets: list[YearMoney]
    carry_over: bool = Field(default=False, description="money left over moves to the next year")


class Variant(Strict):
    """Another reading of the budgets: amounts that replace those of the pots named."""

    id: str
    title: str
    budgets: dict[str, list[YearMoney]]


class PowerPoint(Dated):
    """Power that a site has from a month on."""

    since: Month
    power: Annotated[Fig, In("MW")]


class Tariff(Dated):
    """A price from a month on, per kWh."""

    since: Month
    price: Annotated[Money, In("money/kWh")]


class PowerOption(Strict):
    """A way to add power and halls to a site."""

    id: str
    cost: Annotated[Money, In("money/MW")] = Field(description="of a MW at the meter, halls included")
    lead_months: int = Field(ge=0, description="months from the decision to power")
    limit: Annotated[Fig, In("MW")] = Field(description="most that can be added over the horizon")
    pot: str | None = None
    lot: Annotated[Fig, In("MW")] | None = Field(
        default=None, description="smallest block, used when lots are asked for"
    )


class Site(Strict):
    """A place with power, a jurisdiction and an owner of what stands there."""

    id: str
    name: str
    country: Country
    region: str = Field(description="demand region that the site can serve")
    owner: str = Field(description="party that runs the machines")
    power: list[PowerPoint] = Field(min_length=1, description="IT and cooling power")
    pue: Annotated[Fig, In("1", 1.0, 3.0)] = Field(description="power at the meter over that of the machines")
    electricity: list[Tariff] = Field(min_length=1)
    upkeep: Annotated[Money, In("money/MW")] | None = Field(default=None, description="staff and maintenance a year")
    options: list[PowerOption] = Field(default_factory=list)


class FabricChoice(Strict):
    """The network bought with chips: priced by the fabric room for a pool of this size."""

    id: str
    switch: str = Field(description="id of a switch in the catalogue")
    optics: str = Field(description="id of an optical module in the catalogue")
    pool: int = Field(ge=2, description="chips joined by one fabric")


class SpendShare(Strict):
    """A least share of a pot's chip spending that goes to a group of suppliers."""

    id: str
    pot: str
    years: list[int]
    suppliers: list[str] = Field(description="suppliers, or groups of them")
    minimum: Share
    firm: bool = Field(default=False, description="firm: a limit; else elastic with its shortfall reported")
    shortfall_cost: Annotated[Fig, In("1", 0.0)] | None = Field(
        default=None, description="cost of a missing USD of share, in USD"
    )


class Condition(Strict):
    """A condition that the case states as met, so that a conditional ruling may enter the plan."""

    offer: str
    outcome: str = Field(description="ruling whose condition is met, e.g. NAC_ELIGIBLE")
    statement: str
    source: str


class Guidance(Strict):
    """Advice of a Chinese authority that the rule book calls no ban, and that the case states as not followed."""

    rule: str = Field(description="rule that only urges; any other is refused")
    statement: str
    source: str


class Estimate(Strict):
    """A published count of chips that the case rebuilds from its own inputs."""

    id: str
    of: str = Field(description="service or run that the chips are for")
    chip: str = Field(description="chip that the count is of")
    count: Annotated[Fig, In("chip")]
    days: Annotated[Fig, In("day")] | None = Field(default=None, description="for a run: days it may take")
    compare: list[str] = Field(default_factory=list, description="chips to rebuild it with as well")
    note: str = ""


class Effect(Strict):
    """What an outcome does, to whom, when."""

    on: list[str] = Field(
        description="offers, suppliers, chips, services, regions, sites, stock, builds, foundries or groups; or '*'"
    )
    what: Literal["delivered", "slip", "price", "demand", "closes", "stops", "phones"] = Field(
        description="factor on what arrives; months late; factor on prices; on demand; no orders or deliveries; "
        "no use either; share that phones take of a foundry"
    )
    value: Annotated[Fig, In("1", None)] | None = Field(
        default=None, description="factor, share or months; not for 'closes' and 'stops'"
    )
    since: Month | None = None
    until: Month | None = None


class Outcome(Strict):
    """One way a risk can turn out."""

    id: str
    title: str
    probability: Share | None = Field(default=None, description="absent: what the others leave, or from the hazard")
    window: tuple[Month, Month] | None = Field(default=None, description="months in which the change falls")
    effects: list[Effect] = Field(default_factory=list)


class Hazard(Strict):
    """A monthly chance of a change: counted from dated rules, or the fitted process of a jurisdiction's rules."""

    rules: list[str] = Field(default_factory=list, description="rules that each mark a change since the day")
    since: Day | None = None
    jurisdiction: Literal["US", "CN"] | None = Field(
        default=None, description="whose dated rules the calm and active months are fitted to, instead of a count"
    )
    until: Day = Field(description="last day of the history; a view that knows less stops at its own day")
    relevant: Share = Field(description="share of the changes, or months with changes, that do what the outcome says")

    @model_validator(mode="after")
    def _one(self) -> Hazard:
        if (self.jurisdiction is None) != bool(self.rules and self.since):
            raise ValueError("state either a jurisdiction, or rules and the day since when they are counted")
        return self


class Factor(Strict):
    """A risk: outcomes that exclude each other, with probabilities from dated history."""

    id: str
    sentence: str
    outcomes: list[Outcome] = Field(min_length=1)
    hazard: Hazard | None = None


class Happened(Dated):
    """How a risk turned out, for the backtest; a view on or after ``known_from``, if stated, plans with it."""

    factor: str
    outcome: str
    source: str


class CaseSpec(Strict):
    """A planning case: everything the planner may know, each figure with its source."""

    title: str
    label: str = Field(description="what kind of document this is; printed on every result")
    horizon: Horizon
    views: list[View] = Field(min_length=1)
    sources: dict[str, Origin] = Field(default_factory=dict)
    claims: list[Claim] = Field(default_factory=list)
    exchange: list[Exchange] = Field(default_factory=list)
    risk: Risk
    parties: list[Party] = Field(min_length=1)
    groups: list[Group] = Field(default_factory=list)
    pots: list[Pot] = Field(min_length=1)
    variants: list[Variant] = Field(default_factory=list)
    sites: list[Site] = Field(min_length=1)
    suppliers: list[Supplier] = Field(min_length=1)
    foundries: list[Foundry] = Field(default_factory=list)
    allocations: list[Allocation] = Field(default_factory=list)
    fabrics: list[FabricChoice] = Field(default_factory=list)
    offers: list[Offer] = Field(min_length=1)
    builds: list[Build] = Field(default_factory=list)
    stock: list[Stock] = Field(default_factory=list)
    commitments: list[Commitment] = Field(default_factory=list)
    services: list[Service] = Field(default_factory=list)
    runs: list[Run] = Field(default_factory=list)
    rates: list[Rate] = Field(default_factory=list, description="measured rates that replace the engines'")
    corrections: list[Correction] = Field(default_factory=list)
    price_lists: list[str] = Field(
        default_factory=list, description="CSV or Parquet tables beside the case: prices and rents added to offers"
    )
    rate_tables: list[str] = Field(
        default_factory=list, description="CSV or Parquet tables beside the case: measured rates added to `rates`"
    )
    measurements: list[Measurements] = Field(default_factory=list)
    shares: list[SpendShare] = Field(default_factory=list)
    conditions: list[Condition] = Field(default_factory=list)
    estimates: list[Estimate] = Field(default_factory=list)
    guidance: list[Guidance] = Field(default_factory=list)
    factors: list[Factor] = Field(default_factory=list)
    happened: list[Happened] = Field(default_factory=list, description="how risks turned out, for the backtest")
    notes: list[str] = Field(default_factory=list, description="what a reader should know of the case as a whole")

    @model_validator(mode="before")
    @classmethod
    def _is_mapping(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            raise ValueError("a case is a mapping of fields such as title, horizon, sites, offers")
        return data
