"""The case language, third part: services, training runs and measured rates."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from suanli.fleet._figure import Dated, Fig, In, Money, Month, Strict, ordinal

Share = Annotated[Fig, In("1", 0.0, 1.0)]


class UserPoint(Dated):
    """Users of a service at a month; between points the curve is straight in the logarithm."""

    month: Month
    users: Annotated[Fig, In("user")] | None = None
    rate: Annotated[Fig, In("request/s")] | None = None

    @model_validator(mode="after")
    def _one(self) -> UserPoint:
        if (self.users is None) == (self.rate is None):
            raise ValueError("state either users or rate")
        return self


class Service(Strict):
    """A service: who asks, what a request is, what it is worth, what an unserved one costs."""

    id: str
    name: str
    model: str = Field(description="model id, alias or config.json")
    stands_for: str = Field(default="", description="what the model stands for where the real one is not public")
    region: str
    demand: list[UserPoint] | str = Field(description="points, or a CSV beside the case (month, users or rate, ...)")
    requests_per_user: Annotated[Fig, In("request/day")] | None = Field(
        default=None, description="of a user who counts"
    )
    active: Share | None = Field(default=None, description="share of users active on a day")
    peak: Annotated[Fig, In("1", 1.0)] = Field(description="busy-hour load over the mean")
    input_tokens: Annotated[Fig, In("1", 0.0)] | None = Field(
        default=None, description="prompt, or items, of a request"
    )
    output_tokens: Annotated[Fig, In("1", 0.0)] | None = Field(default=None, description="answer of a request")
    ttft: Annotated[Fig, In("s")] | None = None
    tpot: Annotated[Fig, In("s")] | None = None
    latency: Annotated[Fig, In("s")] | None = Field(default=None, description="limit of a picture, clip or ranking")
    height: int | None = Field(default=None, ge=1, description="pixels of a picture or clip")
    width: int | None = Field(default=None, ge=1, description="pixels of a picture or clip")
    frames: int | None = Field(default=None, ge=1, description="frames of a clip")
    percentile: Annotated[Fig, In("1", 0.0, 1.0)] | None = None
    prefix_hit: Share | None = None
    precision: str = "bf16"
    chips: list[str] = Field(default_factory=list, description="chips it may run on; absent: all that fit")
    value: Annotated[Money, In("money/request")] | None = Field(default=None, description="what a served request earns")
    unserved: Annotated[Money, In("money/request")] = Field(description="what an unserved request costs")
    minimum: Share | None = Field(default=None, description="least share served in every month and future")


class Run(Strict):
    """A training run: how many tokens of what, by when, on which chips."""

    id: str
    name: str
    model: str
    stands_for: str = ""
    tokens: Annotated[Fig, In("token")] | Literal["compute-optimal"] = Field(
        description="tokens, or as many as are optimal"
    )
    experiments: Annotated[Fig, In("1", 1.0)] = Field(description="all training compute over that of the final run")
    sequence: int = Field(ge=1)
    batch: int = Field(ge=1, description="sequences a step")
    precision: str = "bf16"
    chips: list[str] = Field(min_length=1, description="chips it may run on; more than one: it may move")
    restart: Share | None = Field(
        default=None, description="share of the work on any chip but the first that porting and restarts lose"
    )
    region: str
    earliest: Month
    deadline: Month
    firm: bool = False
    missing: Annotated[Money, In("money")] | None = Field(
        default=None, description="cost of not finishing; a part missing costs its part"
    )
    delay: Annotated[Money, In("money/month")] | None = Field(default=None, description="cost of a month's delay")
    largest_pool: Annotated[Fig, In("chip")] = Field(description="most chips in the run at once")

    @model_validator(mode="after")
    def _ordered(self) -> Run:
        if ordinal(self.deadline) < ordinal(self.earliest):
            raise ValueError(f"run {self.id}: deadline {self.deadline} is before the earliest start, {self.earliest}")
        if not self.firm and self.missing is None:
            raise ValueError(f"run {self.id}: an elastic deadline states the cost of missing it")
        return self


class Rate(Strict):
    """A measured rate: it replaces the engines' for a chip and workload, or sets their level at pools of one size."""

    workload: str
    chip: str
    rate: Any = Field(description="'request/s/chip' for a service; 'token/s/chip', or 'token/s' of a pool, for a run")
    pool: int | None = Field(
        default=None,
        ge=1,
        description="chips it was measured on; other sizes follow the engine's curve; absent: any size",
    )
    low: Any = Field(default=None, description="low end, in the same unit")
    high: Any = Field(default=None, description="high end, in the same unit")
    source: str
    note: str = ""
    unit: str = Field(default="", description="filled from the text")

    @model_validator(mode="after")
    def _read(self) -> Rate:
        from suanli.errors import SuanliError
        from suanli.quantities import parse

        texts = {n: str(v) for n in ("rate", "low", "high") if (v := getattr(self, n)) is not None}
        units = ("request/s/chip", "token/s/chip", "token/s")
        for unit in sorted(units, key=lambda u: not str(self.rate).rstrip().endswith(u)):  # the one it names first
            try:
                values = {n: parse(text, unit) for n, text in texts.items()}
            except SuanliError:
                continue
            if unit == "token/s":
                if self.pool is None:
                    raise ValueError(f"'{self.rate}' is the rate of a whole pool; state its chips under 'pool'")
                values = {n: v / self.pool for n, v in values.items()}
            if any(v <= 0 for v in values.values()):
                raise ValueError(f"'{self.rate}': a rate is above zero")
            for name, value in {**values, "unit": unit}.items():
                object.__setattr__(self, name, value)
            return self
        raise ValueError(f"'{self.rate}' is no rate; write '3 request/s/chip' or '1200 token/s/chip'")


class Correction(Strict):
    """What the engines' rates of a chip are multiplied by: measured over predicted speed."""

    chip: str
    kind: Literal["training", "serving"]
    workloads: list[str] = Field(default_factory=list, description="runs or services; absent: all of the kind")
    factor: Annotated[Fig, In("1", 0.01)] = Field(description="with low and high: the 80 % interval of a rate")
    rows: int | None = Field(default=None, ge=1, description="measured rows behind it")


class Measurements(Strict):
    """Own rows beside their predictions, as `suanli validate KIND FILE --rows OUT` writes them: a correction a chip."""

    file: str = Field(description="CSV or Parquet with columns chip, metric, measured, predicted")
    workloads: list[str] = Field(default_factory=list, description="runs or services; absent: all of the kind")
    least: int = Field(default=3, ge=1, description="fewest rows of a chip that count")
