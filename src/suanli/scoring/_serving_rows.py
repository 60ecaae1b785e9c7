"""Rows of measured serving runs, read into what the serving room asks: model, chip, layout, formats, load."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suanli import catalog
from suanli.errors import SuanliError
from suanli.files import read_table
from suanli.kinds import Chip, Model
from suanli.serving import Launch, Layout, Protocol, framework_of, launch, mlperf_task, protocol, release_of

REQUIRED: tuple[str, ...] = ("model", "chip", "framework", "mode")
METRICS: Mapping[str, str] = {"ttft": "ttft_s", "tpot": "tpot_s", "output_rate": "output_tok_s"}

_CONCURRENCY = re.compile(r"concurrency=(\d+(?:\.\d+)?)")
_PEAK = re.compile(r"peak concurrent (\d+(?:\.\d+)?)")
_DRAFTS = re.compile(r"(?:num_speculative_tokens\W+|--speculative-num-steps[ =])(\d+)")
_ROUND = (100, 128, 256, 500, 512, 1000, 1024, 2000, 2048, 4000, 4096, 8000, 8192)  # lengths that a benchmark sets
_LONG = 100.0  # requests a client where arrivals do not follow answers
_FULL = 200.0  # peak of concurrent requests from which a run is all at once, not at a limited rate
_RATE = re.compile(r"section: rate (\d+(?:\.\d+)?)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One run to predict.

    ``mode`` is closed, rate, full (its queue never empties), offline, server, interactive or disagg. ``layout`` is None
    where the row does not tell (the best is searched). ``known`` says that its precision is recorded. ``clients`` are
    of all chips; ``by_second``: they are those seen within a second; ``at_once``: they all come together and no more
    do; ``chat``: lengths vary as in chats. ``launch``: how the benchmark starts its server; ``drafts``: tokens drafted
    a step. ``release`` is the framework's, as ``release_of`` gives it. ``measured`` maps metric names to SI values;
    ``partly``: its TPOT is not measured, since a reasoning parser shows the client only part of an answer; ``repeats``:
    rows that stand for it.
    """

    id: str
    source: str
    title: str
    model: Model
    chip: Chip
    n_chips: int
    layout: Layout | None
    prefill: tuple[int, Layout] | None
    decode: tuple[int, Layout] | None
    precision: str
    known: bool
    kv: str | None
    framework: str
    version: str
    release: str
    mode: str
    prompt: float
    answer: float
    clients: float
    rounds: float
    spread: float
    alike: bool
    cold: bool
    at_once: bool
    by_second: bool
    chat: bool
    rate: float | None
    speculative: bool
    drafts: int
    launch: Launch
    seats: int | None
    measured: Mapping[str, float]
    partly: bool = False
    repeats: int = 1


def read_cases(files: Sequence[Path]) -> tuple[int, list[Case], list[tuple[str, str]]]:
    """Return (rows read, cases, (id, reason) of rows that can't be scored). Raises InputError for other files."""
    n, cases, skipped = 0, [], []
    for path in files:
        frame = read_table(path)
        _require(path, frame.columns)
        for number, row in enumerate(frame.iter_rows(named=True), 1):
            n += 1
            row_id = str(row.get("id") or f"{path.name}:{number}")
            if str(row.get("quality_flag") or "").strip():
                skipped.append((row_id, f"quality_flag {row['quality_flag']}"))
                continue
            try:
                cases.append(case_of(row_id, row))
            except (SuanliError, _Unscorable) as error:
                skipped.append((row_id, str(error)))
    return n, cases, skipped


class _Unscorable(Exception):  # noqa: N818 - a reason, carried to the list of skipped rows
    """Why a row can't be scored."""


def _require(path: Path, columns: Sequence[str]) -> None:
    from suanli.errors import InputError

    missing = [c for c in REQUIRED if c not in columns]
    if missing:
        raise InputError(f"{path}:1: column '{missing[0]}' is missing; serving rows need {', '.join(REQUIRED)}")


def case_of(row_id: str, row: Mapping[str, Any]) -> Case:
    """Return the case of one row. Raises UnknownNameError for its chip or model, _Unscorable with a reason."""
    measured = _measured(row)
    if not measured:
        raise _Unscorable("no ttft, tpot or output rate")
    chip = catalog.chip(catalog.resolve_chip(str(row["chip"] or "")).id)
    found = catalog.resolve_model(str(row["model"] or ""))
    model = catalog.model(found.id)
    title, notes = str(row.get("source_title") or ""), str(row.get("notes") or "")
    command = notes.partition("cmd:")[2]
    partly = "--reasoning-parser" in command
    nominal = (float(row["isl"]), float(row["osl"])) if row.get("isl") and row.get("osl") else None
    way = protocol(title, nominal)
    mode, clients, rate, rounds = _load(row, way, notes)
    prompt, answer = _lengths(row, model, mode, way)
    n_chips = _chips(row, command)
    precision, known = _precision(row, found.weight_format, model, chip, command, mode)
    prefill, decode = _pools(row) if mode == "disagg" else (None, None)
    layout = _layout(row, n_chips, model, command, mode)
    facts = {"family": chip.family, "model": model.id, "precision": precision}
    scripts = way.scripts if mode != "disagg" else None
    at_once = mode == "closed" and rounds == 1.0
    return Case(
        id=row_id,
        source=row_id.split("-", 1)[0],
        title=title,
        model=model,
        chip=chip,
        n_chips=n_chips,
        layout=layout,
        prefill=prefill,
        decode=decode,
        precision=precision,
        known=known,
        mode=mode,
        prompt=prompt,
        answer=answer,
        clients=clients,
        rounds=rounds,
        spread=way.spread,
        alike=way.alike,
        cold=way.cold and at_once,
        at_once=at_once,
        by_second=mode == "closed" and rounds == _LONG,
        chat=at_once and not (nominal and (int(nominal[1]) in _ROUND)),
        rate=rate,
        measured={m: v for m, v in measured.items() if not (partly and m == "tpot")},
        partly=partly and "tpot" in measured,
        **_server(row, title, command, scripts, {**facts, **_sizes(nominal, clients, layout, n_chips)}),
    )


def _server(
    row: Mapping[str, Any], title: str, command: str, scripts: str | None, facts: Mapping[str, str | float]
) -> dict[str, Any]:
    """Return the fields of a case that say how its server was started: its command's word, else its scripts'.

    ``scripts`` None: nothing is known of them; ``facts`` are those by which they choose.
    """
    framework, version = framework_of(str(row["framework"] or "")), str(row.get("version") or "")
    started = Launch() if scripts is None else launch(scripts, {"framework": framework, **facts, "version": version})
    drafts = _DRAFTS.search(command)
    return {
        "framework": framework,
        "version": version,
        "release": _release(row, version),
        "launch": started,
        "kv": _kv(command, title) or started.kv,
        "speculative": "speculative" in command or started.drafts > 0,
        "drafts": int(drafts[1]) if drafts else started.drafts,
        "seats": _number_in(command, r"max-num-seqs|max-running-requests|max_batch_size") or started.seats,
    }


def _sizes(
    nominal: tuple[float, float] | None, clients: float, layout: Layout | None, n_chips: int
) -> dict[str, float]:
    """Return the numbers by which a benchmark's scripts choose: nominal lengths, clients, degrees of parallelism."""
    isl, osl = nominal or (0.0, 0.0)
    tp, dp = (layout.tp, layout.dp) if layout else (n_chips, 1)
    return {"isl": isl, "osl": osl, "clients": clients, "tp": tp, "dp": dp}


def _release(row: Mapping[str, Any], version: str) -> str:
    """Return the release of a row's framework; an image of Dynamo states Dynamo's version, not the framework's."""
    stated = "" if "ai-dynamo/" in str(row.get("source_ref") or "") else version
    return release_of(str(row["framework"] or ""), stated)


def _measured(row: Mapping[str, Any]) -> dict[str, float]:
    out = {}
    for metric, column in METRICS.items():
        value = row.get(column)
        if value is None and metric == "output_rate" and row.get("output_tok_s_per_chip") and row.get("n_chips"):
            value = float(row["output_tok_s_per_chip"]) * float(row["n_chips"])
        if value is not None and float(value) > 0:
            out[metric] = float(value)
    return out


def _load(row: Mapping[str, Any], way: Protocol, notes: str) -> tuple[str, float, float | None, float]:
    """Return (mode, clients, requests/s where a rate is stated, requests a client)."""
    mode = str(row["mode"] or "").casefold()
    text = str(row.get("concurrency_or_rate") or "").casefold()
    if mode in ("offline", "server", "interactive"):
        return mode, 0.0, None, way.rounds
    if mode.startswith("disagg"):
        if mode != "disagg" or row.get("prefill_workers") is None:
            raise _Unscorable(f"mode '{mode}' without the layout of both pools")
        found = _CONCURRENCY.search(text)
        if found is None:
            raise _Unscorable("a disaggregated run without its concurrency")
        return mode, float(found[1]), None, way.rounds
    if found := _CONCURRENCY.search(text):
        return "closed", float(found[1]), None, way.rounds
    if found := _RATE.search(notes.casefold()):
        return "rate", 0.0, float(found[1]), _LONG
    if found := _PEAK.search(text):
        peak = float(found[1])
        return ("closed", peak, None, way.rounds) if peak >= _FULL else ("closed", _mean_of_peak(peak), None, _LONG)
    if "inf" in text or "max load" in text:
        return "full", 0.0, None, way.rounds
    if "at once" in text:
        return "closed", 1000.0, None, way.rounds
    raise _Unscorable("no concurrency, rate or scenario")


def _mean_of_peak(peak: float) -> float:
    """Return the mean number of requests seen in a second where the highest such count of a run is ``peak``.

    The client counts every request that is under way at some time of a second. Of a few hundred independent Poisson
    counts with mean m, the highest lies 2.7 deviations above: m + 2.7 sqrt(m) = peak.
    """
    root = (math.sqrt(2.7**2 + 4.0 * peak) - 2.7) / 2.0
    return max(1.0, root**2)


def _lengths(row: Mapping[str, Any], model: Model, mode: str, way: Protocol) -> tuple[float, float]:
    """Return mean prompt and answer; MLPerf's are those of its data sets."""
    if row.get("isl") is not None and row.get("osl") is not None:
        return max(1.0, float(row["isl"]) * way.length), max(1.0, float(row["osl"]) * way.length)
    task = mlperf_task(model.id) if mode in ("offline", "server", "interactive") else None
    if task is None:
        raise _Unscorable("no lengths, and no data set of known lengths")
    return task.input_tokens, task.output_tokens


def _number_in(command: str, names: str) -> int | None:
    found = re.search(rf"(?:--)(?:{names})[ =](\d+)", command)
    return int(found[1]) if found else None


def _chips(row: Mapping[str, Any], command: str) -> int:
    given = row.get("n_chips") or row.get("tp")
    if given is None:
        found = _number_in(command, "tp-size|tp|tensor-parallel-size|tp_size")
        if found is None and not command:
            raise _Unscorable("the number of chips is unknown")
        given = found or 1
    return int(given)


def _layout(row: Mapping[str, Any], n_chips: int, model: Model, command: str, mode: str) -> Layout | None:
    """Return the layout of an aggregated run; None where it is unknown (MLPerf) or disaggregated."""
    if mode == "disagg":
        return None
    tp = row.get("tp")
    if tp is None and command:
        tp = re.search(r"(?:--tp-size|--tensor-parallel-size|--tp_size|-tp)[ =](\d+)", command)
        tp = int(tp[1]) if tp else 1
    if tp is None:
        return None
    tp, pp = int(tp), int(row.get("pp") or 1)
    dp = int(row.get("dp") or 0) or (_number_in(command, "dp-size|dp|data-parallel-size") or 1)
    ep = int(row.get("ep") or 0) or (_number_in(command, "ep-size|ep|ep_size") or 1)
    if "enable-expert-parallel" in command:
        ep = tp * dp
    if "enable-dp-attention" in command and dp > 1 and tp % dp == 0:
        tp //= dp
    return fitting(n_chips, tp, pp, dp, ep, model)


def fitting(n_chips: int, tp: int, pp: int, dp: int, ep: int, model: Model) -> Layout:
    """Return a layout of ``n_chips`` nearest to the stated degrees: dense models' dp are copies."""
    if tp * pp * dp > n_chips and tp * pp <= n_chips:
        dp = max(1, n_chips // (tp * pp))
    if tp * pp > n_chips:
        n_chips = tp * pp * dp
    if model.experts is None:
        copies = max(1, n_chips // (tp * pp))
        return Layout(tp=tp, pp=pp, replicas=copies)
    stage = tp * dp
    ep = min(ep, stage)
    while stage % ep:
        ep -= 1
    return Layout(tp=tp, pp=pp, dp=dp, ep=ep, replicas=max(1, n_chips // (tp * pp * dp)))


def _pools(row: Mapping[str, Any]) -> tuple[tuple[int, Layout], tuple[int, Layout]]:
    """Return (workers, layout of one) of the prefill and the decode pool."""
    pools = []
    for side in ("prefill", "decode"):
        tp, dp = (int(row.get(f"{side}_{name}") or 1) for name in ("tp", "dp"))
        ep = int(row.get(f"{side}_ep") or 1)
        stage = tp * dp
        ep = min(max(ep, 1), stage)
        while stage % ep:
            ep -= 1
        pools.append((int(row[f"{side}_workers"] or 1), Layout(tp=tp, dp=dp, ep=ep)))
    return pools[0], pools[1]


def _precision(
    row: Mapping[str, Any], in_name: str, model: Model, chip: Chip, command: str, mode: str
) -> tuple[str, bool]:
    """Return (precision, recorded): the row's, the name's, the command's, else the default of scenario and model.

    A command without a quantised model name serves the published weights.
    """
    if row.get("precision"):
        return str(row["precision"]), True
    if in_name:
        return in_name, True
    low = command.casefold()
    for word, precision in (
        ("nvfp4", "fp4"),
        ("mxfp4", "fp4"),
        ("awq", "int4_wo"),
        ("gptq", "int4_wo"),
        ("fp8", "fp8"),
    ):
        if word in low.split("--kv-cache-dtype")[0]:
            return precision, True
    if mode in ("offline", "server", "interactive"):
        return mlperf_precision(chip), False
    return model.weight_format, bool(command)


def mlperf_precision(chip: Chip) -> str:
    """Return the precision that MLPerf submissions use on a chip: the narrowest floating format that it multiplies."""
    for name in ("fp4", "fp8", "int8"):
        if name in chip.peak:
            return name
    return "bf16"


def _kv(command: str, title: str) -> str | None:
    found = re.search(r"kv[-_]cache[-_]dtype[ =]\"?(\w+)", command)
    if found:
        return "fp8" if found[1].startswith("fp8") else "bf16"
    return "bf16" if "GPUStack" in title else None


def chip_group(chip: Chip) -> str:
    """Return the group under which a chip is left out of the fit."""
    return f"chip:{chip.id}"


def model_group(model: Model) -> str:
    """Return the group under which a model is left out: models of one architecture (DeepSeek-V3 and R1) are one."""
    experts = model.experts
    shape = (model.n_layers, model.hidden, model.n_heads, model.n_kv_heads, model.ffn_hidden, model.vocab)
    routed = (experts.n_experts, experts.top_k, experts.ffn_hidden) if experts else ()
    return "model:" + "-".join(str(v) for v in (*shape, *routed))
