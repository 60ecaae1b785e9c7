"""What ``suanli train`` prints, and what it writes as JSON."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from suanli.cli.common import table
from suanli.quantities import GIB, show_money
from suanli.quantities import show as unit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from suanli.training import Ranking, Step


def show(out: Console, ranking: Ranking, run: Mapping[str, Any]) -> None:
    """Print the ranking, the best step in parts, its memory, the run, and the flags to paste."""
    best, setting = ranking.best, ranking.setting
    found = ranking.found
    out.print(
        f"{setting.model.name} on {setting.n_chips:,} x {setting.site.chip.name}: {best.batch:,} sequences of "
        f"{setting.seq:,} tokens a step, {setting.precision}, era {setting.era.id}; "
        f"{found.size:,} strategies, {found.fitting:,} fit"
        + ("" if found.done >= 1.0 else f" (stopped at {100 * found.done:.0f} % of the layouts)")
    )
    if told := _measured(ranking):
        out.print(
            f"{told['layouts']} layouts of a layer measured ({told['source']}): forward {told['forward']:.2f}, "
            f"backward {told['backward']:.2f} of the predicted time in the mean, by which other layouts are scaled"
        )
    rows = [
        (
            str(c.rank) if c.fits else "-",
            c.step.text,
            unit(float(c.step.time.value[0]), "s"),
            f"{100 * c.step.mfu:.1f} %",
            f"{c.step.memory_bytes / GIB:.1f} GiB",
            c.reason,
        )
        for c in (*ranking.choices, *ranking.misses)
    ]
    out.print(
        table(None, ("#", "strategy", "step", "MFU", "memory", "why"), rows, right=("#", "step", "MFU", "memory"))
    )
    _show_step(out, best)
    _show_run(out, best, run)
    _show_flags(out, best)


def _measured(ranking: Ranking) -> dict[str, Any] | None:
    """Return the source of measured layers, how many there are, and their mean time over the predicted one."""
    import numpy as np

    from suanli.training import measured_ratios

    one = ranking.setting
    if one.profile is None:
        return None
    ratios = measured_ratios(ranking.found.prepared, one.profile, ranking.parameters, precision=one.precision)
    forward, backward = (float(np.exp(np.log(r).mean())) for r in ratios)
    return {"source": one.profile.source, "layouts": len(ratios[0]), "forward": forward, "backward": backward}


def _show_step(out: Console, best: Step) -> None:
    from suanli.training import memory_by_stage, memory_table, picture

    total = float(best.time.value[0])
    parts = [
        (name, unit(float(value[0]), "s"), f"{100 * float(value[0]) / total:.1f} %")
        for name, value in best.time.breakdown.items()
        if float(value[0]) > 0.0005 * total
    ]
    out.print(table("\nThe best step in parts", ("part", "time", "share"), parts, right=("time", "share")))
    stages, each = memory_table(best), memory_by_stage(best)
    names = list(stages["first"])
    rows = [(name, *(f"{stages[s][name] / GIB:.2f}" for s in ("first", "last"))) for name in names]
    out.print(
        table(
            "\nMemory a chip in GiB", ("part", "first stage", "last stage"), rows, right=("first stage", "last stage")
        )
    )
    if len(each) > 2:
        out.print("stages in order: " + " ".join(f"{held / GIB:.1f}" for held in each), highlight=False)
    if float(best.strategies.pp[0]) > 1:
        out.print("\nPipeline (digits forward, letters backward, dots idle; first micro-batches)")
        for line in picture(best):
            out.print("  " + line, markup=False)


def _show_run(out: Console, best: Step, run: Mapping[str, Any]) -> None:
    low, high = float(best.time.p10[0]), float(best.time.p90[0])
    out.print(
        f"\n{best.tokens_per_s:,.0f} tokens/s; step {unit(float(best.time.value[0]), 's')}, 80 % sure of "
        f"{unit(low, 's')} to {unit(high, 's')}"
    )
    out.print(
        f"goodput {100 * run['goodput']:.1f} %: a stop every {unit(run['mtbf_s'], 's')}, a checkpoint every "
        f"{unit(run['checkpoint_interval_s'], 's')} (written in {unit(run['checkpoint_write_s'], 's')}, training halts "
        f"{unit(run['checkpoint_stall_s'], 's')})"
    )
    if best.dropped:
        out.print(f"{100 * best.dropped:.1f} % of the tokens' visits to experts are dropped; MFU leaves them out")
    out.print(
        f"{run['tokens']:.3g} tokens take {unit(run['seconds'], 's')} ({unit(run['seconds_p10'], 's')} to "
        f"{unit(run['seconds_p90'], 's')}): {run['start']} to {run['end']}"
    )
    for part in run["deliveries"][1:]:
        out.print(f"from {part['start']}: {part['chips']:,} chips, {part['tokens_per_s']:,.0f} tokens/s kept")
    if run["deadline"]:
        verdict = "holds" if run["meets_deadline"] else "is missed"
        out.print(f"deadline {run['deadline']} {verdict}; chance of meeting it {100 * run['sure_of_deadline']:.0f} %")
    _show_price(out, run)
    if "joint_seconds" in run:
        _show_pools(out, run)
    if "quality" in run:
        _show_quality(out, run["quality"])


def _show_price(out: Console, run: Mapping[str, Any]) -> None:
    energy = "energy unknown" if run["energy_j"] is None else f"{run['energy_j'] / 3.6e12:,.2f} GWh of IT energy"
    cost = "rent unknown"
    if run["cost_usd"] is not None:
        low, high = run["cost_low_usd"], run["cost_high_usd"]
        known = low is not None and high is not None and low < high
        spread = f" ({show_money(low, 'USD')} to {show_money(high, 'USD')})" if known else ""
        cost = show_money(run["cost_usd"], "USD") + spread + " at rent"
    out.print(f"{energy}; {cost}")
    if run["co2_kg"] is not None:
        metered = f"{run['metered_j'] / 3.6e12:,.2f} GWh"
        out.print(f"{metered} at the meter in {run['region']}: {run['co2_kg'] / 1e3:,.0f} t CO2")


def _show_pools(out: Console, run: Mapping[str, Any]) -> None:
    """Print how the pools share the run: their parts of each batch, or the stages of one pipeline."""
    how = "by shares of each batch" if run["joint_split"] == "data" else "as one pipeline"
    also = ""
    if "other_split" in run:
        other = "shares of each batch" if run["other_split"] == "data" else "one pipeline"
        also = f" ({run['other_tokens_per_s']:,.0f} as {other})"
    out.print(f"\ntogether {run['joint_tokens_per_s']:,.0f} tokens/s {how}{also}, {unit(run['joint_seconds'], 's')}")
    if run["joint_split"] == "data":
        shares = ", ".join(f"{chip} {100 * share:.0f} %" for chip, share in run["batch_shares"].items())
        out.print(f"batch: {shares}")
        return
    out.print(run["joint_strategy"], markup=False)
    rows = [
        (
            str(i),
            stage["chip"],
            str(stage["layers"]),
            unit(stage["micro_batch_s"], "s"),
            f"{stage['memory_bytes'] / GIB:.1f} GiB",
        )
        for i, stage in enumerate(run["stages"])
    ]
    right = ("stage", "layers", "a micro-batch", "memory")
    out.print(table(None, ("stage", "chip", "layers", "a micro-batch", "memory"), rows, right=right))


def _show_quality(out: Console, found: Mapping[str, Any]) -> None:
    best = found["optimal"]
    out.print(
        f"\nBy {found['by']} {found['weights'] / 1e9:,.1f} B working weights see {found['tokens']:.3g} tokens "
        f"({found['compute_flop']:.3g} FLOP): loss {found['loss']:.3f} ({found['loss_p10']:.3f} to "
        f"{found['loss_p90']:.3f})"
    )
    out.print(
        f"best for that compute: {best['weights'] / 1e9:,.0f} B weights ({best['weights_p10'] / 1e9:,.0f} to "
        f"{best['weights_p90'] / 1e9:,.0f}) on {best['tokens']:.3g} tokens, loss {best['loss']:.3f} "
        f"({best['loss_p10']:.3f} to {best['loss_p90']:.3f})"
    )
    for rival in found["rivals"]:
        out.print(
            f"{rival['chips']:,} x {rival['chip']} make {rival['tokens']:.3g} tokens in that time: "
            + _stands(rival, "it")
            + f"; {abs(rival['gap_at_best_sizes']):.4f} nats apart at each one's best size"
        )
    before = found["before"]
    if before is not None:
        out.print(
            f"{before['model']} ({before['weights'] / 1e9:,.1f} B on {before['tokens']:.3g}): "
            + _stands(before, before["model"])
        )
        if before["gap"] > 0:
            days = before["days_to_match"]
            late = "no number of tokens" if days is None else f"{days:,.0f} days more"
            out.print(f"{late} would draw level at this size")


def _stands(found: Mapping[str, Any], name: str) -> str:
    """Return how the model stands against ``name``: "0.021 nats behind it (0.012 to 0.030), 99 % sure"."""
    gap, low, high = found["gap"], found["gap_p10"], found["gap_p90"]
    if gap >= 0:
        return f"{gap:.4f} nats behind {name} ({low:.4f} to {high:.4f}), {100 * found['chance_behind']:.0f} % sure"
    return (
        f"{-gap:.4f} nats ahead of {name} ({-high:.4f} to {-low:.4f}), {100 * (1 - found['chance_behind']):.0f} % sure"
    )


def _show_flags(out: Console, best: Step) -> None:
    for name, flags in _flags(best).items():
        out.print(f"\n{name}:", markup=False)
        out.print("  " + " ".join(flags), markup=False)


def _flags(best: Step) -> dict[str, list[str]]:
    from suanli.training import megatron_flags, mindspeed_flags, torchtitan_options

    if best.setting.site.chip.vendor == "Huawei":
        return {"MindSpeed": mindspeed_flags(best)}
    return {"Megatron-LM": megatron_flags(best), "torchtitan": torchtitan_options(best)}


def _strategy(one: Step) -> dict[str, float]:

    return {x.name: float(getattr(one.strategies, x.name)[0]) for x in fields(one.strategies)}


def as_json(ranking: Ranking, run: Mapping[str, Any]) -> dict[str, Any]:
    from suanli.training import memory_by_stage, memory_table

    setting = ranking.setting
    return {
        "model": setting.model.id,
        "chip": setting.site.chip.id,
        "n_chips": setting.n_chips,
        "seq_len": setting.seq,
        "precision": setting.precision,
        "era": setting.era.id,
        "strategies": ranking.found.size,
        "strategies_that_fit": ranking.found.fitting,
        "searched_share": ranking.found.done,
        "measured": _measured(ranking),
        "choices": [
            {
                "rank": c.rank,
                "fits": c.fits,
                "reason": c.reason,
                "text": c.step.text,
                "strategy": _strategy(c.step),
                "global_batch": c.step.batch,
                "step_s": float(c.step.time.value[0]),
                "p10_s": float(c.step.time.p10[0]),
                "p90_s": float(c.step.time.p90[0]),
                "tokens_per_s": c.step.tokens_per_s,
                "mfu": c.step.mfu,
                "dropped_share": c.step.dropped,
                "parts_s": {name: float(value[0]) for name, value in c.step.time.breakdown.items()},
                "memory_bytes": memory_table(c.step),
                "memory_by_stage_bytes": memory_by_stage(c.step).tolist(),
            }
            for c in (*ranking.choices, *ranking.misses)
        ],
        "run": dict(run),
        "flags": _flags(ranking.best),
        "sources": list(ranking.best.time.sources),
    }
