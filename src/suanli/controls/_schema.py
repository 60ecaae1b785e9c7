"""The schema of a rule file, for people who write one: every field checked, errors with line numbers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from suanli.kinds import GROUPS

_DAY = r"^\d{4}-\d\d-\d\d$"
Day = Annotated[str, Field(pattern=_DAY), BeforeValidator(lambda v: v.isoformat() if hasattr(v, "isoformat") else v)]
Presumption = Literal["denial", "approval", "case_by_case", "approval_until_cap", "unknown", "none"]


class Strict(BaseModel):
    """A model that refuses fields it does not know."""

    model_config = ConfigDict(extra="forbid")


class Answer(Strict):
    """An outcome; ``eccn: class`` names the paragraph that the item was given."""

    outcome: str
    eccn: str
    presumption: Presumption

    @model_validator(mode="after")
    def _known(self) -> Answer:
        if self.outcome not in GROUPS:
            raise ValueError(f"unknown outcome '{self.outcome}'; allowed: {', '.join(GROUPS)}")
        return self


class Clause(Strict):
    """One line of a rule: in a phase, when a condition holds, set terms, answer, or (``flag``) only remark."""

    phase: str = ""
    when: str = ""
    say: str = ""
    flag: bool = False
    replace: bool = False
    set: dict[str, str] = Field(default_factory=dict)
    answer: Answer | None = None
    check: list[str] = Field(default_factory=list)
    contradiction: str = ""
    confidence: Literal["", "high", "medium", "low"] = ""

    @model_validator(mode="after")
    def _one_effect(self) -> Clause:
        if sum((self.flag, bool(self.set), self.answer is not None)) != 1:
            raise ValueError("a clause has exactly one of 'set', 'answer' and 'flag: true'")
        return self


class Parameter(Strict):
    """A published figure; ``fact`` names what is held against it."""

    name: str
    op: str
    value: float | str
    unit: str
    fact: str = ""
    definition: str = ""


class Listed(Strict):
    """A name on a list, from its first to its last day; ``family``: names that contain it count too."""

    name: str
    from_: Day | None = Field(default=None, alias="from")
    until: Day | None = None
    footnote: str = ""
    family: bool = False


class Superseded(Strict):
    """The rule that takes over and from which day; ``partly``: this one goes on where the other is silent."""

    by: str
    on: Day
    partly: bool = False


class Stay(Strict):
    """Days, the last included, on which the rule has no effect."""

    from_: Day = Field(alias="from")
    to: Day
    by: str


class Lapse(Strict):
    """A last day of something that the rule gives."""

    on: Day
    what: str


class Scope(Strict):
    """In words: items, places and parties."""

    items: str = ""
    destinations: str = ""
    parties: str = ""


class Rule(Strict):
    """One dated rule. ``effective: null`` holds at every date; ``enforced: false`` only under as_written."""

    id: str = Field(pattern=r"^[A-Z][A-Za-z0-9-]*$")
    jurisdiction: str = Field(pattern=r"^[A-Z]{2}$")
    title: str
    citation: str
    published: str = ""
    effective: Day | None
    compliance: Day | None = None
    ends: Day | None = None
    enforced: bool = True
    in_force: bool = True
    only_under: Literal["", "as_enforced", "as_written"] = ""
    direction: Literal["", "tighter", "looser"] = ""
    superseded: Superseded | None = None
    stays: list[Stay] = Field(default_factory=list)
    lapses: list[Lapse] = Field(default_factory=list)
    staged: dict[str, str] = Field(default_factory=dict)
    scope: Scope = Scope()
    verified: Literal["source", "mixed", "memory", "hypothetical"] = "source"
    evidence: str = ""
    sources: list[str] = Field(min_length=1)
    lists: dict[str, list[str | Listed] | dict[str, list[str]]] = Field(default_factory=dict)
    parameters: list[Parameter] = Field(default_factory=list)
    clauses: list[Clause] = Field(default_factory=list)


class Phase(Strict):
    """A step of the decision; without ``activities`` it is taken for every act."""

    name: str
    says: str = ""
    activities: list[str] = Field(default_factory=list)
    second: bool = False


class Term(Strict):
    """A name that rules set, with the value it starts from."""

    start: str
    values: list[str]
    says: str = ""


class Members(Strict):
    """Countries of a group between two days; ``of`` takes other groups in."""

    members: list[str] = Field(default_factory=list)
    of: list[str] = Field(default_factory=list)
    from_: Day | None = Field(default=None, alias="from")
    until: Day | None = None
    source: str = ""


class RuleFile(Strict):
    """A rule file. A file of one's own needs ``rules`` only; what it names replaces ours of the same name."""

    schema_version: Literal[1] = 1
    as_of: str = ""
    reach: str = ""
    first_day: Day = "2022-08-26"
    phases: list[Phase] = Field(default_factory=list)
    terms: dict[str, Term] = Field(default_factory=dict)
    groups: dict[str, str | list[Members]] = Field(default_factory=dict)
    lists: dict[str, list[str | Listed]] = Field(default_factory=dict)
    conditions: dict[str, str] = Field(default_factory=dict)
    otherwise: list[Clause] = Field(default_factory=list)
    rules: list[Rule]

    def data(self) -> dict[str, Any]:
        """Return the file as plain data, with what was left out left out."""
        return self.model_dump(by_alias=True, exclude_unset=True)
