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
from suanli.scoring._ops_comm import EXCHANGES, KEYS, bucket, network_for, predict_group

Array = NDArray[np.float64]

START = {
    "base": 6e-6,
    "step": 1e-6,
    "low_rate": 0.25,
    "fill": 6e6,
    "rate": 0.75,
    "loss": 0.3,
    "one_way": 0.9,
    "crowding": 0.3,
    "reduce_rate": 0.65,
    "reduce_fill": 2e7,
    "exchange_base": 8e-6,
    "exchange_step": 4e-7,
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
    "low_rate": 1.0,
    "rate": 1.0,
    "one_way": 1.2,
    "copy_rate": 1.0,
    "loss": 0.9,
    "crowding": 3.0,
    "reduce_rate": 1.0,
    "pair_rate": 1.0,
    "once_rate": 1.0,
    "twice_rate": 1.0,
}
"""Shares of the link, and the two exponents, never leave these bounds."""
RING = ("base", "step", "low_rate", "fill", "rate", "loss", "one_way", "exchange_base", "exchange_step")
LIMITS = (*(float(2**k) for k in range(16, 26)), 0.0)
_HOLD = 0.03  # how strongly a parameter is held at its start, per factor e: only ones without data stay there
_SOFT = 0.1


def typical(frame: pl.DataFrame) -> pl.DataFrame:
    """Return one row a shape and software, with the median time over versions and repetitions."""
    keys = [c for c in frame.columns if c != "measured"]
    return frame.group_by(keys, maintain_order=True).agg(pl.col("measured").median())


def predictions(frame: pl.DataFrame, parameters: Mapping[str, Any]) -> Array:
    """Return predicted seconds of each row of a normal ``frame`` with one set of ``parameters``."""
    out = np.full(frame.height, np.nan)
    indexed = frame.with_columns(pl.Series("row", np.arange(frame.height)))
    for key, part in indexed.group_by(KEYS, maintain_order=True):
        answer = predict_group(dict(zip(KEYS, key, strict=True)), part, parameters)
        if answer is not None:
            out[part["row"].to_numpy()] = answer[0]
    return out


def family_of(row: Mapping[str, Any]) -> str:
    """Return the link family whose parameters decide a row: that of its outermost tier."""
    tier = network_for(catalog.chip(row["chip"]), row).tiers[-1]
    return tier.family or tier.kind


def by_family(frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return the collectives' rows by link family."""
    keys = frame.filter(~pl.col("op").is_in(list(EXCHANGES))).select(KEYS).unique(maintain_order=True)
    named = keys.with_columns(pl.Series("family", [family_of(r) for r in keys.iter_rows(named=True)], dtype=pl.String))
    joined = frame.join(named, on=list(KEYS), how="inner", nulls_equal=True)
    return {str(k[0]): part.drop("family") for k, part in sorted(joined.group_by("family"))}


def fit_families(frame: pl.DataFrame) -> dict[str, dict[str, float]]:
    """Return the parameters of every link family that ``frame`` measures."""
    parts = by_family(typical(frame))
    out: dict[str, dict[str, float]] = {}
    for family in sorted(parts, key=lambda f: ("infiniband" in f, f)):
        out[family] = _fit_family(family, parts[family], out)
    return {**out, **any_host(out)}


def any_host(families: Mapping[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Return the parameters of a host that was not measured, the median of those that were: "pcie" and the networks.

    Start-ups of cards on PCIe are those of NCCL alone; bandwidths also those of hosts timed through torch.
    """
    out = {}
    for network in ("infiniband-torch", "ethernet-torch"):
        if hosts := [v for f, v in families.items() if f.startswith(f"{network}@")]:
            out[network] = _rounded(_middle(hosts, START))
    timed = [v for f, v in families.items() if f.startswith("pcie") and "@" in f and "#" not in f]
    if timed:
        every = timed + [v for f, v in families.items() if f.startswith("pcie") and f.endswith("-torch")]
        out["pcie"] = _rounded(_middle(timed, START) | _middle(every, ("rate", "crowding")))
    return out


def _middle(hosts: Sequence[Mapping[str, float]], names: Iterable[str]) -> dict[str, float]:
    """Return the median over ``hosts`` of each parameter in ``names``."""
    return {k: float(np.median([h[k] for h in hosts])) for k in names}


def _fit_family(family: str, rows: pl.DataFrame, others: Mapping[str, dict[str, float]]) -> dict[str, float]:
    general, mark, _ = family.partition("#")
    values = dict(others[general] if mark and general in others else START)
    hosted = family.startswith("pcie")
    if hosted and not mark:
        values.update(low_rate=0.3, rate=0.6, loss=0.0, crowding=1.0, kernel_limit=0.0)
    names = [*RING, "crowding"] if hosted else list(RING)
    if family in ("nvlink4", "nvlink5"):
        names += ["reduce_rate", "reduce_fill"]
    library = rows.filter(pl.col("library").is_in(["library", "torch"]) & (pl.col("op") != "send_recv"))
    values = _solve(family, library, values, names, others)
    pairs = rows.filter(pl.col("op") == "send_recv")
    values = _solve(family, pairs, values, ["pair_base", "pair_rate"], others)
    kernel = rows.filter(pl.col("library") == "kernel")
    if kernel.height:
        values = _fit_kernel(family, kernel, values, others)
    eager = rows.filter(pl.col("library") == "eager")
    if eager.height:
        small = eager.filter(pl.col("bytes") <= 65536)["measured"]
        values["eager_floor"] = float(small.median())  # type: ignore[arg-type]
        if not hosted:  # over a host's bridges the copy is lost in the spread between versions of the library
            values = _solve(family, eager.filter(pl.col("bytes") >= 2**25), values, ["copy_rate"], others)
    return _rounded(values)


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    """Return ``values`` with four digits; a limit in bytes stays exact, since messages are as large as it."""
    return {k: v if k == "kernel_limit" else float(f"{v:.4g}") for k, v in values.items()}


def _fit_kernel(
    family: str, rows: pl.DataFrame, values: dict[str, float], others: Mapping[str, dict[str, float]]
) -> dict[str, float]:
    """Return ``values`` with the one-shot and two-shot kernels fitted, at the limit that explains the rows best."""
    best, least = values, np.inf
    for limit in LIMITS:
        trial = {**values, "kernel_limit": limit}
        if limit:
            names = ["once_base", "once_rate", "twice_base", "twice_rate"]
            trial = _solve(family, rows.filter(pl.col("bytes") <= limit), trial, names, others)
        error = float(np.mean(np.abs(_errors(family, rows, trial, others))))
        if error < least - 1e-3:
            best, least = trial, error
    return best


def _errors(
    family: str, rows: pl.DataFrame, values: Mapping[str, float], others: Mapping[str, dict[str, float]]
) -> Array:
    parameters = {"families": {**others, family: values}}
    return np.asarray(np.log(predictions(rows, parameters) / rows["measured"].to_numpy()), dtype=np.float64)


def _solve(
    family: str,
    rows: pl.DataFrame,
    values: dict[str, float],
    names: Sequence[str],
    others: Mapping[str, dict[str, float]],
) -> dict[str, float]:
    """Return ``values`` with ``names`` moved to where the rows' log errors are least, softly held at their start."""
    if rows.height < 3:
        return values
    start = np.log([max(values[n], 1e-3 * START[n] + 1e-12) for n in names])
    upper = np.array([np.log(UPPER.get(n, 1e300)) for n in names])
    start = np.minimum(start, upper - 1e-6)

    def residuals(x: Array) -> Array:
        trial = {**values, **dict(zip(names, np.exp(x), strict=True))}
        return np.concatenate([_errors(family, rows, trial, others), _HOLD * np.sqrt(rows.height) * 0.1 * (x - start)])

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
    indexed = frame.with_columns(pl.Series("row", np.arange(frame.height)))
    for key, part in indexed.group_by(KEYS, maintain_order=True):
        names[part["row"].to_numpy()] = bucket(dict(zip(KEYS, key, strict=True)), part)
    size = np.abs(errors)
    out = {
        str(n): float(f"{np.quantile(size[names == n], 0.8) / Z80:.3g}")
        for n in sorted(set(names))
        if np.isfinite(size[names == n]).all()
    }
    out["other"] = max(out.values())
    return out
