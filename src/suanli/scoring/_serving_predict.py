"""Predictions of serving rows: candidate layouts, tables once, then the closed form under any parameter set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suanli.errors import SuanliError
from suanli.kinds import Chip, Model
from suanli.scoring._serving_rows import Case
from suanli.serving import (
    Deployment,
    Gate,
    Layout,
    Tables,
    all_at_once,
    cache_tokens,
    closed_loop,
    drafting,
    factors,
    formats_of,
    habits_of,
    lanes_of,
    load_curve,
    mlperf_task,
    most_within,
    pools,
    protocol,
    scheduler,
    slowed,
    tabulate,
    tail,
)

Array = NDArray[np.float64]

METRICS: tuple[str, ...] = ("ttft", "tpot", "output_rate")

_GUESSED = 1.2  # factor on the interval where the precision is a default
_HIDDEN = 1.15  # where a model has layers for speculative decoding and the run does not say whether it used them
_POOLED = 1.2  # where framework or chip family have no runs of their own


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Cases with their candidates (one lane each) tabulated: ``owner`` maps a candidate to its case.

    A disaggregated case has two candidates, its prefill and its decode pool (``side`` 1 and 2).
    """

    cases: tuple[Case, ...]
    tables: Tables
    owner: NDArray[np.intp]
    side: NDArray[np.intp]
    lanes_n: Array
    capacity: Array
    frameworks: tuple[str, ...]
    families: tuple[str, ...]
    releases: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]

    def only(self, chosen: NDArray[np.bool_]) -> Prepared:
        """Return the cases at ``chosen`` with their candidates."""
        new = np.cumsum(chosen) - 1
        rows = np.flatnonzero(chosen[self.owner])
        return Prepared(
            cases=tuple(c for c, keep in zip(self.cases, chosen, strict=True) if keep),
            tables=self.tables.pick(rows),
            owner=new[self.owner[rows]].astype(np.intp),
            side=self.side[rows],
            lanes_n=self.lanes_n[rows],
            capacity=self.capacity[rows],
            frameworks=tuple(self.frameworks[i] for i in rows),
            families=tuple(self.families[i] for i in rows),
            releases=tuple(self.releases[i] for i in rows),
            skipped=(),
        )


def candidates(case: Case) -> list[tuple[Layout, int, int]]:
    """Return (layout of one copy, copies, side) to try for a case."""
    if case.prefill is not None and case.decode is not None:
        return [(case.prefill[1], case.prefill[0], 1), (case.decode[1], case.decode[0], 2)]
    if case.layout is not None:
        return [(replace(case.layout, replicas=1), case.layout.replicas, 0)]
    out = []
    for tp in (1, 2, 4, 8):
        if tp > case.n_chips or case.n_chips % tp:
            continue
        degrees = (1, tp) if case.model.experts is not None and tp > 1 else (1,)
        out += [(Layout(tp=tp, ep=ep), case.n_chips // tp, 0) for ep in degrees]
        if case.model.experts is not None and tp > 1:
            out.append((Layout(dp=tp, ep=tp), case.n_chips // tp, 0))
    return out


def _deployment(case: Case, layout: Layout, side: int) -> Deployment:
    plan = scheduler(case.framework, case.chip)
    way = case.launch
    if way.memory_share is not None:
        plan = replace(plan, memory_share=way.memory_share)
    if case.seats is not None:
        plan = replace(plan, seats=case.seats)
    if way.joint:
        length = protocol(case.title).length
        plan = replace(plan, budget=int(case.prompt / length + (1 + case.drafts) * case.clients / layout.dp) + 64)
    elif way.budget is not None:
        plan = replace(plan, budget=way.budget)
    if side:
        plan = replace(plan, mixes=False)
    formats = formats_of(case.model, case.chip, case.precision, kv=case.kv)
    return Deployment(model=case.model, chip=case.chip, layout=layout, formats=formats, scheduler=plan)


def prepare(cases: Sequence[Case]) -> Prepared:
    """Return ``cases`` with their candidates' tables; a case the silicon can't time is left out with its reason."""
    kept: list[Case] = []
    deployments: list[Deployment] = []
    owner: list[int] = []
    side: list[int] = []
    lanes_n: list[float] = []
    skipped: list[tuple[str, str]] = []
    checked: dict[tuple[str, str, str], str | None] = {}
    for case in cases:
        key = (case.model.id, case.chip.id, case.precision)
        if key not in checked:
            checked[key] = _problem(case)
        if checked[key] is not None:
            skipped.append((case.id, str(checked[key])))
            continue
        for layout, copies, pool in candidates(case):
            deployments.append(_deployment(case, layout, pool))
            owner.append(len(kept))
            side.append(pool)
            lanes_n.append(float(copies * layout.pp))
        kept.append(case)
    tables = tabulate(deployments)
    context = np.array([kept[o].prompt + 0.5 * kept[o].answer for o in owner])
    return Prepared(
        cases=tuple(kept),
        tables=tables,
        owner=np.array(owner, dtype=np.intp),
        side=np.array(side, dtype=np.intp),
        lanes_n=np.array(lanes_n),
        capacity=cache_tokens(tables, context),
        frameworks=tuple(kept[o].framework for o in owner),
        families=tuple(kept[o].chip.family for o in owner),
        releases=tuple(kept[o].release for o in owner),
        skipped=tuple(skipped),
    )


def _problem(case: Case) -> str | None:
    """Return why the silicon can't time a case, None where it can."""
    try:
        tabulate([_deployment(case, Layout(), 0)])
    except SuanliError as error:
        return str(error)
    return None


def predict(ready: Prepared, parameters: Mapping[str, Any]) -> Mapping[str, Array]:
    """Return ttft, tpot (s) and output_rate (tokens/s) of each case under one parameter set; NaN where it can't run."""
    n = len(ready.cases)
    out = {name: np.full(n, np.nan) for name in ("ttft", "tpot", "output_rate")}
    if n == 0:
        return out
    tune = factors(parameters, ready.frameworks, ready.families, ready.releases)
    modes = np.array(["burst" if ready.cases[o].at_once else ready.cases[o].mode for o in ready.owner])
    for names, rule in (
        (("closed", "rate"), _closed),
        (("burst",), _burst),
        (("offline", "full"), _offline),
        (("server", "interactive"), _bounded),
        (("disagg",), _disaggregated),
    ):
        rows = np.flatnonzero(np.isin(modes, names))
        if rows.size:
            found = rule(ready, tune, rows)
            for name, (owners, values) in found.items():
                out[name][owners] = values
    return out


Found = dict[str, tuple[NDArray[np.intp], Array]]


def _pick(ready: Prepared, tune: Mapping[str, Array], rows: NDArray[np.intp]) -> tuple[Any, Any, Array, Array, Array]:
    """Return (lanes, habits, prompt, answer, lanes a case) of candidates ``rows``."""
    part = {k: v[rows] for k, v in tune.items()}
    cases = [ready.cases[o] for o in ready.owner[rows]]
    tables = ready.tables.pick(rows)
    lanes = lanes_of(tables, part, ready.capacity[rows])
    lanes = slowed(lanes, np.where([c.cold for c in cases], part["cold"], 1.0))
    lanes = drafting(lanes, np.array([float(c.drafts) for c in cases]), part["accept"], tables.layers)
    prompt = np.array([c.prompt for c in cases])
    answer = np.array([c.answer for c in cases])
    return lanes, habits_of(part), prompt, answer, ready.lanes_n[rows]


def _closed(ready: Prepared, tune: Mapping[str, Array], rows: NDArray[np.intp]) -> Found:
    lanes, habits, prompt, answer, n = _pick(ready, tune, rows)
    cases = [ready.cases[o] for o in ready.owner[rows]]
    fresh = np.where([c.alike for c in cases], tune["fresh"][rows], 1.0)
    habits = replace(habits, first_s=habits.first_s * fresh)
    clients = np.array([c.clients if c.rate is None else 1.0 for c in cases]) / n
    rate = np.array([c.rate or np.nan for c in cases]) / n
    load: dict[str, Any] = {
        "prompt": prompt,
        "answer": answer,
        "rounds": np.array([c.rounds for c in cases]),
        "alike": np.array([c.alike for c in cases]),
        "spread": np.array([c.spread for c in cases]),
        "gate": Gate(every=np.array([c.launch.every for c in cases]), up_to=np.array([c.launch.up_to for c in cases])),
    }
    state = closed_loop(lanes, habits, clients=clients, **load)
    given, paced = clients, np.isfinite(rate)
    seen = np.array([c.by_second for c in cases])
    for _ in range(6 if np.any(paced | seen) else 0):
        latency = state.ttft_s + state.tpot_s * answer
        # An open loop has as many clients as its rate keeps busy (Little's law); a second also sees those it brought.
        clients = np.where(paced, np.maximum(rate * latency, 1.0), clients)
        clients = np.where(seen, np.maximum(given * latency / (latency + 1.0), 1.0), clients)
        state = closed_loop(lanes, habits, clients=clients, **load)
    served = np.where(np.isfinite(rate), np.fmin(rate, state.requests_per_s), state.requests_per_s)
    owners = ready.owner[rows]
    return {
        "ttft": (owners, state.ttft_s),
        "tpot": (owners, state.tpot_s),
        "output_rate": (owners, served * answer * n),
    }


def _burst(ready: Prepared, tune: Mapping[str, Array], rows: NDArray[np.intp]) -> Found:
    """Return runs that send all their requests at once."""
    lanes, habits, prompt, answer, n = _pick(ready, tune, rows)
    cases = [ready.cases[o] for o in ready.owner[rows]]
    state = all_at_once(
        lanes,
        habits,
        clients=np.array([c.clients for c in cases]) / n,
        prompt=prompt,
        answer=answer,
        chat=np.array([c.chat for c in cases]),
        short=np.maximum(tune["short"][rows], 1.0),
        client_s=tune["client"][rows] * n,
    )
    owners = ready.owner[rows]
    return {
        "ttft": (owners, state.ttft_s),
        "tpot": (owners, state.tpot_s),
        "output_rate": (owners, state.requests_per_s * answer * n),
    }


def _best(ready: Prepared, rows: NDArray[np.intp], rate: Array) -> NDArray[np.intp]:
    """Return positions in ``rows`` of each case's candidate of the highest rate."""
    owners = ready.owner[rows]
    order = np.lexsort((np.nan_to_num(rate, nan=-1.0), owners))
    last = np.append(owners[order][1:] != owners[order][:-1], True)
    return np.asarray(order[last], dtype=np.intp)


def _offline(ready: Prepared, tune: Mapping[str, Array], rows: NDArray[np.intp]) -> Found:
    """Return a full queue's rate: the best load of the best layout, times the share of it that runs reach."""
    lanes, habits, prompt, answer, n = _pick(ready, tune, rows)
    _, curve = load_curve(lanes, habits, prompt=prompt, answer=answer, loads=8)
    rate = np.nanmax(np.nan_to_num(curve.requests_per_s, nan=-1.0), axis=1) * n * answer
    tuned = np.array([ready.cases[o].mode == "offline" for o in ready.owner[rows]])
    rate = np.where(rate > 0, rate * np.where(tuned, tune["tuned"][rows], tune["offline"][rows]), np.nan)
    best = _best(ready, rows, rate)
    return {"output_rate": (ready.owner[rows][best], rate[best])}


def _bounded(ready: Prepared, tune: Mapping[str, Array], rows: NDArray[np.intp]) -> Found:
    """Return the state at the greatest load within MLPerf's p99 limits; TTFT is that of queueing at that load."""
    lanes, habits, prompt, answer, n = _pick(ready, tune, rows)
    cases = [ready.cases[o] for o in ready.owner[rows]]
    limits = np.array([_limits(c) for c in cases])
    habits = replace(habits, first_s=np.zeros_like(prompt))  # LoadGen calls the engine in its own process
    _, curve = load_curve(lanes, habits, prompt=prompt, answer=answer, loads=16)
    curve = replace(curve, ttft_s=curve.ttft_s * tune["queue"][rows][:, None])
    _, state = most_within(
        curve, ttft=limits[:, 0] / tail(0.99, metric="ttft"), tpot=limits[:, 1] / tail(0.99, metric="tpot")
    )
    rate = state.requests_per_s * n * answer * tune["bounded"][rows]
    best = _best(ready, rows, rate)
    owners = ready.owner[rows][best]
    return {
        "ttft": (owners, state.ttft_s[best]),
        "tpot": (owners, state.tpot_s[best]),
        "output_rate": (owners, rate[best]),
    }


def _limits(case: Case) -> tuple[float, float]:
    task = mlperf_task(case.model.id)
    found = (task.server if case.mode == "server" else task.interactive) if task else None
    return found or (2.0, 0.2)


def _disaggregated(ready: Prepared, tune: Mapping[str, Array], rows: NDArray[np.intp]) -> Found:
    """Return a disaggregated service in a closed loop: the slower pool sets the rate, the other waits."""
    first = rows[ready.side[rows] == 1]
    second = rows[ready.side[rows] == 2]
    cases = [ready.cases[o] for o in ready.owner[first]]
    a = _pick(ready, tune, first)
    b = _pick(ready, tune, second)
    clients = np.array([c.clients for c in cases])
    rounds = np.array([c.rounds for c in cases])
    state = pools(a[0], b[0], a[1], clients=clients, prompt=a[2], answer=a[3], rounds=rounds, workers=(a[4], b[4]))
    owners = ready.owner[first]
    return {
        "ttft": (owners, state.ttft_s),
        "tpot": (owners, state.tpot_s),
        "output_rate": (owners, state.requests_per_s * a[3]),
    }


def kinds_of(case: Case) -> tuple[str, ...]:
    """Return the kinds of run whose spread a case's interval may take, the narrowest first.

    A kind is how the run is loaded, then with its framework, then with whether its model has experts or lengths alike.
    """
    load = "burst" if case.at_once else case.mode
    within = f"{load}/{case.framework}"
    detail = ("alike" if case.alike else "varied") if load == "closed" else ("moe" if case.model.experts else "dense")
    return f"{within}/{detail}", within, load


def widening(case: Case, parameters: Mapping[str, Any]) -> float:
    """Return the factor on a case's interval for what its row does not tell or the parameter set has not met."""
    factor = 1.0 if case.known else _GUESSED
    if case.speculative or (case.model.mtp_layers and not case.launch.drafts):
        factor *= _HIDDEN
    if case.framework not in parameters["framework"] or case.chip.family not in parameters["family"]:
        factor *= _POOLED
    return factor


def sigmas(case: Case, name: str, stored: Mapping[str, Any]) -> Mapping[str, float]:
    """Return log-standard deviations by metric under the set ``name``: the spread of left-out runs, widened."""
    scheme = "model" if name.startswith("model:") else "chip"
    used = stored["final"] if name == "final" else stored["left_out"][name]
    factor, table = widening(case, used), stored["spread"][scheme]
    out = {}
    for m in METRICS:
        known = [key for kind in kinds_of(case) if (key := f"{m}/{kind}") in table]
        out[m] = factor * float(table[known[0] if known else m])
    return out


def roofline(case: Case) -> Mapping[str, float | None]:
    """Return the naive baseline: weights and cache read once a step, FLOP at the peak, no queue and no overhead."""
    from suanli.workloads import kv_bytes_per_token, parameters

    layout = case.layout or (case.decode[1] if case.decode else Layout(tp=case.n_chips))
    formats = formats_of(case.model, case.chip, case.precision, kv=case.kv)
    count = parameters(case.model)
    chips = max(1, layout.tp * layout.dp * layout.pp)
    clients = case.clients or 64.0
    each = clients / max(1, layout.replicas)
    bandwidth, peak = case.chip.memory_bandwidth, _peak(case.chip, formats.precision)
    if bandwidth is None or peak is None:
        return {"ttft": None, "tpot": None, "output_rate": None}
    read = _read_weights(case.model, count.total, count.active, each) * formats.weight_bytes
    cache = kv_bytes_per_token(case.model, formats.kv) * (case.prompt + 0.5 * case.answer) * each
    step = (read + cache) / (bandwidth * chips)
    first = 2.0 * count.active * case.prompt / (peak * chips)
    rate = clients / (first + case.answer * step) * case.answer
    return {"ttft": first, "tpot": step, "output_rate": rate if case.clients else None}


def _read_weights(model: Model, total: float, active: float, sequences: float) -> float:
    """Return the parameters that a step of ``sequences`` tokens reads: all that some token reaches."""
    if model.experts is None:
        return total
    missed = (1.0 - model.experts.top_k / model.experts.n_experts) ** sequences
    return float(active + (total - active) * (1.0 - missed))


def _peak(chip: Chip, precision: str) -> float | None:
    return chip.peak.get(precision) or chip.peak.get("bf16") or chip.peak.get("fp16")
