"""How the parameters of link families and expert exchanges are fitted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import least_squares

from suanli import catalog
from suanli.estimates import Z80
from suanli.fabric import network_of
from suanli.fabric._parameters import HOST, STARTS
from suanli.scoring._ops_comm import EXCHANGES, KEYS, bucket, network_for, predict_group

Array = NDArray[np.float64]
Fitted = dict[str, dict[str, float]]
Groups = list[tuple[dict[str, Any], pl.DataFrame, NDArray[np.int64]]]

START = {
    "clock_hz": 1.5e9,
    "base": 6e-6,
    "step": 7e-7,
    "low_rate": 0.1,
    "line_base": 3e-6,
    "line_step": 8e-7,
    "line_rate": 0.4,
    "fill": 7e6,
    "rate": 0.8,
    "own": 0.4,
    "crowding": 0.3,
    "reduce_rate": 0.65,
    "reduce_fill": 2e7,
    "exchange_base": 8e-6,
    "exchange_step": 3e-7,
    "exchange_low": 0.1,
    "exchange_fill": 3e6,
    "exchange_rate": 0.7,
    "pair_base": 7e-6,
    "pair_rate": 0.77,
    "once_base": 4.5e-6,
    "once_rate": 0.8,
    "twice_base": 8e-6,
    "twice_rate": 0.8,
    "kernel_limit": 8388608.0,
    "eager_floor": 2.5e-5,
    "copy_rate": 0.85,
}
"""Where the fit starts, and where a parameter stays that no row of its family speaks of."""
UPPER = {
    "low_rate": 0.5,
    "line_rate": 1.0,
    "rate": 1.0,
    "own": 3.0,
    "copy_rate": 1.0,
    "crowding": 3.0,
    "reduce_rate": 1.0,
    "exchange_low": 1.0,
    "exchange_rate": 1.0,
    "pair_rate": 1.0,
    "once_rate": 1.0,
    "twice_rate": 1.0,
}
"""Shares of the link, and the exponent, never leave these bounds; a flag beside each word leaves half of the link."""
RING = ("base", "step", "low_rate", "fill", "rate", "own")
LINES = ("line_base", "line_step", "line_rate")
EXCHANGE = ("exchange_base", "exchange_step", "exchange_low", "exchange_fill", "exchange_rate")
KERNEL = ("once_base", "once_rate", "twice_base", "twice_rate", "kernel_limit")
HOSTED = {"low_rate": 0.3, "line_rate": 0.0, "fill": 7e5, "rate": 0.6, "own": 0.2, "kernel_limit": 0.0} | {
    "exchange_low": 0.3,
    "exchange_fill": 5e5,
}
"""Where the fit starts for cards over a host's bridges: no lines, and a shallow pipeline."""
LIMITS = (*(float(2**k) for k in range(16, 26)), 0.0)
EXCHANGED = ("alltoall", "all_to_all")
_SMALL = 65536  # bytes up to which a call launched by the host takes as long as the launch
_LARGE = 2**20  # bytes from which bridges decide
_APART = 1.25  # ratio of times that two software stacks on one host do not reach
_HOLD = 0.03  # how strongly a parameter is held at its start, per factor e: only ones without data stay there
_SOFT = 0.1


def typical(frame: pl.DataFrame) -> pl.DataFrame:
    """Return one row a shape and software, with the median time over versions and repetitions."""
    keys = [c for c in frame.columns if c != "measured"]
    return frame.group_by(keys, maintain_order=True).agg(pl.col("measured").median())


def predictions(frame: pl.DataFrame, parameters: Mapping[str, Any]) -> Array:
    """Return predicted seconds of each row of a normal ``frame`` with one set of ``parameters``."""
    return _predicted(_groups(frame), frame.height, parameters)


def _groups(frame: pl.DataFrame) -> Groups:
    """Return the rows of ``frame`` that share ``KEYS``, with their places in it."""
    indexed = frame.with_columns(pl.Series("row", np.arange(frame.height)))
    return [
        (dict(zip(KEYS, key, strict=True)), part, part["row"].to_numpy())
        for key, part in indexed.group_by(KEYS, maintain_order=True)
    ]


def _predicted(groups: Groups, n: int, parameters: Mapping[str, Any]) -> Array:
    out = np.full(n, np.nan)
    for group, part, which in groups:
        answer = predict_group(group, part, parameters)
        if answer is not None:
            out[which] = answer[0]
    return out


def family_of(row: Mapping[str, Any]) -> str:
    """Return the link family whose parameters decide a row: that of its outermost tier.

    Kernels that ran on another host than the library's rows share that host's parameters.
    """
    tier = network_for(catalog.chip(row["chip"]), row).tiers[-1]
    family = tier.family or tier.kind
    return family.partition("#")[0] if family.count("@") > 1 else family


def hosts_apart(frame: pl.DataFrame) -> dict[tuple[str, str], str]:
    """Return, by chip and campaign, under which campaign's name its host goes: "" that of the library's rows.

    Over a host's bridges the same large all-reduce takes the same time in any software. A version of a framework whose
    times are a quarter off those of NCCL ran on a machine whose bridges are others.
    """
    large = frame.filter((pl.col("op") == "all_reduce") & (pl.col("bytes") >= _LARGE))
    out: dict[tuple[str, str], str] = {}
    for chip in (c for c in large["chip"].unique().sort() if _hosted(c)):
        here = large.filter(pl.col("chip") == chip)
        kernel = here.filter(pl.col("library") == "kernel")
        known = {"": here.filter(pl.col("library") == "library")}
        if not known[""].height:
            continue
        for campaign in kernel["campaign"].unique().sort():
            mine = kernel.filter(pl.col("campaign") == campaign)
            out[chip, campaign] = next((name for name, rows in known.items() if _agree(mine, rows)), campaign)
            known.setdefault(out[chip, campaign], mine)
    return out


def _agree(mine: pl.DataFrame, theirs: pl.DataFrame) -> bool:
    """Return whether two campaigns take about the same time at every number of cards that both have."""
    keys = ["num_gpus", "bytes"]
    one, other = (f.group_by(keys).agg(pl.col("measured").median()) for f in (mine, theirs))
    gap = (pl.col("measured") / pl.col("measured_right")).log().abs().median().alias("gap")
    both = one.join(other, on=keys).group_by("num_gpus").agg(gap)
    return bool((both["gap"] < np.log(_APART)).all())


def _hosted(chip: str) -> bool:
    """Return whether eight of ``chip`` meet over a host's bridges."""
    return network_of(catalog.chip(chip), 8, 8).tiers[0].kind == "pcie"


def by_family(frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return the collectives' rows by link family."""
    keys = frame.filter(~pl.col("op").is_in(list(EXCHANGES))).select(KEYS).unique(maintain_order=True)
    named = keys.with_columns(pl.Series("family", [family_of(r) for r in keys.iter_rows(named=True)], dtype=pl.String))
    joined = frame.join(named, on=list(KEYS), how="inner", nulls_equal=True)
    return {str(k[0]): part.drop("family") for k, part in sorted(joined.group_by("family"))}


def fit_families(frame: pl.DataFrame) -> Fitted:
    """Return the parameters of every link family that ``frame`` measures."""
    hosts = hosts_apart(frame)
    named = [hosts.get(key, "") for key in frame.select("chip", "campaign").iter_rows()]
    rows = typical(frame.with_columns(pl.Series("campaign", named, dtype=pl.String)))
    parts = by_family(rows)
    out: Fitted = {}
    for family in sorted(parts, key=lambda f: (f.count("@") > 1, "infiniband" in f, f)):
        fit = _fit_host_apart if family.count("@") > 1 else _fit_family
        out[family] = fit(family, parts[family], out)
    for family in (f for f in out if f.count("@") == 1 and f.startswith("pcie") and not _launched(parts[f]).height):
        apart = [v["eager_floor"] for f, v in out.items() if f.startswith(f"{family}@") and _launched(parts[f]).height]
        out[family]["eager_floor"] = float(np.median(apart or [_launch(rows)]))
    known = {**out, **any_host(out, parts), HOST: {"eager_floor": _launch(rows)}}
    return {**known, **_also(hosts, out)}


def _also(hosts: Mapping[tuple[str, str], str], families: Fitted) -> Fitted:
    """Return the parameters of campaigns that ran on the same host as another, under their own names."""
    out = {}
    for (chip, campaign), name in hosts.items():
        if name not in ("", campaign):
            family = next(f for f in families if f.endswith(f"@{chip}@{name}"))
            out[f"{family.rpartition('@')[0]}@{campaign}"] = families[family]
    return out


def _launched(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that take as long as their launch by the host."""
    return rows.filter((pl.col("library") == "eager") & (pl.col("bytes") <= _SMALL))


def _launch(rows: pl.DataFrame) -> float:
    """Return what a host takes to launch one collective: the geometric mean over the hosts of the measured chips."""
    floors = _launched(rows)
    if not floors.height:
        return START["eager_floor"]
    each = floors.group_by("chip").agg(pl.col("measured").median())["measured"].to_numpy()
    return float(f"{np.exp(np.log(each).mean()):.4g}")


def any_host(families: Fitted, parts: Mapping[str, pl.DataFrame]) -> Fitted:
    """Return the parameters of a host that was not measured, the median of those that were: "pcie" and the networks.

    Start-ups of cards on PCIe are those of NCCL alone, in cycles of the chip; bandwidths also those of hosts that only
    frameworks or torch measured, crowding that of hosts with more than two cards.
    """
    out = {}
    for network in ("infiniband-torch", "ethernet-torch"):
        if hosts := [v for f, v in families.items() if f.startswith(f"{network}@")]:
            out[network] = _rounded(_middle(hosts, START))
    named = {f: v for f, v in families.items() if f.startswith("pcie") and "#" not in f}
    timed = [v for f, v in named.items() if f.count("@") == 1]
    if timed:
        clock = float(np.median([v["clock_hz"] for v in timed]))
        paced = [v | {k: v[k] * v["clock_hz"] / clock for k in STARTS} | {"clock_hz": clock} for v in timed]
        crowded = [v for f, v in named.items() if parts[f]["num_gpus"].max() > 2]  # type: ignore[operator]
        shares = _middle(list(named.values()), ("rate",)) | _middle(crowded, ("crowding",))
        kernels = [v for v in named.values() if v["kernel_limit"]]
        own = _middle(kernels, KERNEL) if kernels else {"kernel_limit": 0.0}
        out["pcie"] = _rounded(_middle(paced, START) | shares | own)
    return out


def _middle(hosts: Sequence[Mapping[str, float]], names: Iterable[str]) -> dict[str, float]:
    """Return the median over ``hosts`` of each parameter in ``names``."""
    return {k: float(np.median([h[k] for h in hosts])) for k in names}


def _clock(rows: pl.DataFrame) -> float:
    """Return the median clock of the chips that ``rows`` measured, in Hz; 0 where none is known."""
    known = [c for c in (catalog.chip(name).clock_hz for name in rows["chip"].unique()) if c]
    return float(np.median(known)) if known else 0.0


def _fit_family(family: str, rows: pl.DataFrame, others: Fitted) -> dict[str, float]:
    general, mark, _ = family.partition("#")
    values = dict(others[general] if mark and general in others else START)
    hosted = family.startswith("pcie")
    network = family.startswith(("infiniband", "ethernet"))
    if not mark:
        values["clock_hz"] = 0.0 if network else _clock(rows)
        values.update(HOSTED if hosted else {})
    torch = "-torch" in family
    if torch:
        values["line_rate"] = 0.0  # timed from the host, whose jitter hides the protocols from each other
    names = [*RING, *(["crowding"] if hosted else [] if network or torch else LINES)]
    if family in ("nvlink4", "nvlink5"):
        names += ["reduce_rate", "reduce_fill"]
    whole = rows.filter(pl.col("library").is_in(["library", "torch"]))
    for part, moved in (
        (whole.filter(~pl.col("op").is_in(["send_recv", *EXCHANGED])), names),
        (whole.filter(pl.col("op").is_in(EXCHANGED)), EXCHANGE),
        (whole.filter(pl.col("op") == "send_recv"), ("pair_base", "pair_rate")),
    ):
        values = _solve(family, part, values, moved, others)
    if "alltoall" in rows["op"] and "send_recv" not in rows["op"]:  # NCCL's all-to-all is a group of pairs
        values.update(pair_base=values["exchange_base"], pair_rate=values["exchange_rate"])
    kernel = rows.filter(pl.col("library") == "kernel")
    if kernel.height:
        values = _fit_kernel(family, kernel, values, others)
    eager = rows.filter(pl.col("library") == "eager")
    if eager.height:
        small = _launched(rows)["measured"]
        values["eager_floor"] = float(small.median())  # type: ignore[arg-type]
        if not hosted:  # over a host's bridges the copy is lost in the spread between versions of the library
            values = _solve(family, eager.filter(pl.col("bytes") >= 2**25), values, ["copy_rate"], others)
    return _rounded(values)


def _fit_host_apart(family: str, rows: pl.DataFrame, others: Fitted) -> dict[str, float]:
    """Return the parameters of a host that only frameworks' own all-reduces measured."""
    values = {**others.get(family.rpartition("@")[0], START), "kernel_limit": 0.0}
    kernel = rows.filter(pl.col("library") == "kernel")
    through = kernel.filter((pl.col("num_gpus") > 2) | (pl.col("bytes") >= _LARGE))  # where links decide, not kernels
    values = _solve(family, through, values, [*RING, "crowding"], others)
    values = _fit_kernel(family, kernel, values, others)
    small = _launched(rows)["measured"]
    if small.len():
        values["eager_floor"] = float(small.median())  # type: ignore[arg-type]
    return _rounded(values)


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    """Return ``values`` with four digits; a limit in bytes stays exact, since messages are as large as it."""
    return {k: v if k == "kernel_limit" else float(f"{v:.4g}") for k, v in values.items()}


def _fit_kernel(family: str, rows: pl.DataFrame, values: dict[str, float], others: Fitted) -> dict[str, float]:
    """Return ``values`` with the one-shot and two-shot kernels fitted, at the limit that explains the rows best."""
    groups, measured = _groups(rows), rows["measured"].to_numpy()
    best, least = values, np.inf
    for limit in LIMITS:
        trial = {**values, "kernel_limit": limit}
        if limit:
            names = [k for k in KERNEL if k != "kernel_limit"]
            trial = _solve(family, rows.filter(pl.col("bytes") <= limit), trial, names, others)
        error = float(np.mean(np.abs(_errors(family, groups, measured, trial, others))))
        if error < least - 1e-3:
            best, least = trial, error
    return best


def _errors(
    family: str,
    groups: Groups,
    measured: Array,
    values: Mapping[str, float],
    others: Fitted,
) -> Array:
    parameters = {"families": {**others, family: values}}
    return np.asarray(np.log(_predicted(groups, measured.size, parameters) / measured), dtype=np.float64)


def _solve(
    family: str,
    rows: pl.DataFrame,
    values: dict[str, float],
    names: Sequence[str],
    others: Fitted,
) -> dict[str, float]:
    """Return ``values`` with ``names`` moved to where the rows' log errors are least, softly held at their start."""
    if rows.height < 3:
        return values
    groups, measured = _groups(rows), rows["measured"].to_numpy()
    start = np.log([max(values[n], 1e-3 * START[n] + 1e-12) for n in names])
    upper = np.array([np.log(UPPER.get(n, 1e300)) for n in names])
    start = np.minimum(start, upper - 1e-6)

    def residuals(x: Array) -> Array:
        trial = {**values, **dict(zip(names, np.exp(x), strict=True))}
        errors = _errors(family, groups, measured, trial, others)
        return np.concatenate([errors, _HOLD * np.sqrt(rows.height) * 0.1 * (x - start)])

    found = least_squares(residuals, start, bounds=(start - 8.0, upper), loss="soft_l1", f_scale=_SOFT, max_nfev=60)
    return {**values, **dict(zip(names, (float(v) for v in np.exp(found.x)), strict=True))}


def fit_exchanges(frame: pl.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """Return the parameters of every measured exchange backend, and of the pooled styles."""
    rows = frame.filter(pl.col("op").is_in(list(EXCHANGES)))
    out: dict[str, dict[str, dict[str, float]]] = {}
    styles = rows["style"].unique().sort().to_list()
    quick = [s for s in styles if any(w in s.split("_") for w in ("ll", "generation"))]
    pools = {"normal": [s for s in styles if s not in quick], "low_latency": quick}
    for name, members in (*pools.items(), *((s, [s]) for s in styles)):
        part = rows.filter(pl.col("style").is_in(members))
        if part.height:
            out[name] = {
                d: _fit_exchange(part.filter(pl.col("op") == op), name, members) for op, d in EXCHANGES.items()
            }
    return out


def unmeasured(op: str, quick: bool) -> dict[str, float]:
    """Return the parameters of an exchange before any measurement: a launch, and shares of links and cards."""
    return {
        "base": 3e-5,
        "net_base": 2e-5,
        "rate": 0.6,
        "net_rate": 0.9,
        "net_far": 1.0,
        "number_bytes": 1.0 if op == "moe_dispatch" else 2.0,
        "direct": float(quick),
        "channels": 24.0,
        "channel_power": 0.7,
    }


def _fit_exchange(rows: pl.DataFrame, name: str, members: Sequence[str]) -> dict[str, float]:
    values = unmeasured(rows["op"][0], any(w in members[0].split("_") for w in ("ll", "generation")))
    fitted = ["base", "rate"]
    if rows["num_gpus"].max() > 8:  # type: ignore[operator]
        fitted += ["net_base", "net_rate", "net_far"]
    if rows["channels"].n_unique() > 2:
        fitted.append("channel_power")
    direction = EXCHANGES[rows["op"][0]]
    measured = rows["measured"].to_numpy()
    pooled = rows.with_columns(style=pl.lit(name))
    start = np.log([values[n] for n in fitted])
    upper = np.array([np.log({"rate": 1.0, "net_rate": 1.0, "net_far": 1.0}.get(n, 1e300)) for n in fitted])

    def residuals(x: Array) -> Array:
        trial = {**values, **dict(zip(fitted, np.exp(x), strict=True))}
        parameters = {"families": {}, "exchange": {"normal": {}, "low_latency": {}, name: {direction: trial}}}
        return np.asarray(np.log(predictions(pooled, parameters) / measured), dtype=np.float64)

    found = least_squares(
        residuals, start, bounds=(start - 6.0, upper + 1e-9), loss="soft_l1", f_scale=0.2, max_nfev=40
    )
    values.update(zip(fitted, (float(v) for v in np.exp(found.x)), strict=True))
    return {k: float(f"{v:.4g}") for k, v in values.items()}


def spread(frame: pl.DataFrame, errors: Array) -> dict[str, float]:
    """Return, by class of row, the sigma whose 80 % interval holds on 80 % of ``errors`` (log measured / predicted)."""
    names = np.full(frame.height, "", dtype=object)
    for group, part, which in _groups(frame):
        names[which] = bucket(group, part)
    size = np.abs(errors)
    out = {
        str(n): float(f"{np.quantile(size[names == n], 0.8) / Z80:.3g}")
        for n in sorted(set(names))
        if np.isfinite(size[names == n]).all()
    }
    out["other"] = max(out.values())
    return out
