"""The forms of the room's data files; imported only where one is read, since pydantic is slow to load."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["measured", "datasheet", "reported", "estimated"]
Quantity = str | float


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Datum(_Strict):
    """One constant with its range, unit and source."""

    id: str
    low: float
    mid: float
    high: float
    unit: str
    kind: Kind
    date: str
    source: str
    note: str = ""


class ConstantsFile(_Strict):
    """A file of constants."""

    constants: list[Datum]


class AssumptionEntry(_Strict):
    """What a field of a design rests on."""

    field: str
    text: str
    source: str
    date: str = ""
    kind: Kind = "estimated"


class BuildEntry(_Strict):
    """What is known of a project that builds the design."""

    start: str = Field(pattern=r"^\d{4}-\d{2}$")
    tape_out_window: tuple[str, str] | None = None
    volume: float = Field(gt=0.0)
    ramp_months: float = Field(default=9.0, gt=0.0)
    source: str


class DesignEntry(_Strict):
    """A design file: the numbers of a spec as quantities, its title, assumptions and build facts."""

    name: str
    title: str = ""
    style: Literal["array", "gpu"] = "array"
    node: str
    dies: int = 1
    cores: int
    spare_cores: int = 0
    arrays: int = 1
    rows: int
    cols: int
    formats: dict[str, float]
    vector_lanes: int = 64
    scratchpad: Quantity
    registers: Quantity = 0.0
    shared_sram: Quantity = 0.0
    cache: bool = False
    clock: Quantity
    memory: str = "none"
    memory_sites: int = 0
    spare_sites: int = 0
    site_bandwidth: Quantity | None = None
    site_capacity: Quantity | None = None
    lanes: int = 0
    scale_out_lanes: int = 0
    lane_rate: Quantity | None = None
    short_reach: bool = False
    scale_up_domain: int = 8
    d2d: Quantity = 0.0
    host: str = "pcie5"
    host_lanes: int = 16
    package: str = "cowos-s"
    cooling: Literal["air", "liquid"] = "air"
    power_cap: Quantity | None = None
    vendor: str = ""
    designer_country: str = ""
    maker_country: str = ""
    year: int | None = None
    assumptions: list[AssumptionEntry] = Field(default_factory=list)
    build: BuildEntry | None = None
