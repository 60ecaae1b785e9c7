"""Measured collectives and expert exchanges: how a row is read, predicted and judged."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from suanli import catalog
from suanli.errors import UnknownNameError
from suanli.estimates import Z80
from suanli.fabric import collective_time, expert_exchange_time, network_of, pcie_bandwidth
from suanli.kinds import Chip, Network, Tier

Array = NDArray[np.float64]

COLLECTIVES: Mapping[str, str] = {
    "all_reduce": "all_reduce",
    "all_gather": "all_gather",
    "reduce_scatter": "reduce_scatter",
    "alltoall": "all_to_all",
    "all_to_all": "all_to_all",
    "broadcast": "broadcast",
    "send_recv": "p2p",
}
EXCHANGES: Mapping[str, str] = {"moe_dispatch": "dispatch", "moe_combine": "combine"}
FOLDS = 5
_SIBLING = 4.0 / 3.0  # spread of another chip with the same links, over that of the measured ones: taken
KEYS = ("chip", "op", "library", "style", "campaign", "num_gpus", "per_node", "topology", "channels")
_NUMBER_BYTES = {"bf16": 2.0, "fp16": 2.0, "half": 2.0, "fp8": 1.0, "int8": 1.0, "nvfp4": 0.5, "fp4": 0.5}


def handles(op: str) -> bool:
    """Return whether rows of this ``op`` are predicted here."""
    return op in COLLECTIVES or op in EXCHANGES


def predict_comm(rows: pl.DataFrame, *, leave: str = "shape") -> tuple[Array, Array, Array, Array, tuple[str, ...]]:
    """Return (predicted, p10, p90, baseline, fitted) of communication rows, in their order; NaN for what is not known.

    A row of a chip and shape that took part in fitting is judged with parameters fitted without its fifth of the
    shapes (``leave`` "shape") or without its chip ("chip"), every other row with the final ones. The baseline is the
    datasheet's bandwidth without start-up. A chip that no one knows, or a row that lacks a size, is NaN.
    """
    frame = normal(rows)
    n = frame.height
    predicted, p10, p90, baseline = (np.full(n, np.nan) for _ in range(4))
    stored = catalog.fitted("fabric")
    labels = labels_of(frame, stored, leave)
    frame = frame.with_columns(pl.Series("label", labels), pl.Series("row", np.arange(n)))
    for key, part in frame.group_by([*KEYS, "label"], maintain_order=True):
        group = dict(zip((*KEYS, "label"), key, strict=True))
        which = part["row"].to_numpy()
        chosen = stored["final"] if group["label"] == "final" else stored["left_out"][group["label"]]
        answer = predict_group(group, part, chosen)
        if answer is None:
            continue
        time, floor = answer
        sigma = sigmas(group, part, chosen, group["label"])
        predicted[which], baseline[which] = time, floor
        p10[which], p90[which] = time * np.exp(-Z80 * sigma), time * np.exp(Z80 * sigma)
    fitted = tuple("left_out" if label != "final" else "final" for label in labels)
    return predicted, p10, p90, baseline, fitted


def normal(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of any layout in one: chip, op, software, chips and nodes, bytes or tokens and widths."""
    have = set(rows.columns)

    def text(name: str) -> pl.Expr:
        return pl.col(name).cast(pl.String).fill_null("") if name in have else pl.lit("")

    def number(*names: str) -> pl.Expr:
        found = [pl.col(n).cast(pl.Float64, strict=False) for n in names if n in have]
        return pl.coalesce(found) if found else pl.lit(None, pl.Float64)

    source = text("kernel_source").str.to_lowercase()
    library = (
        pl.when(text("framework").str.contains("torch"))
        .then(pl.lit("torch"))
        .when(source.str.contains("eager"))
        .then(pl.lit("eager"))
        .when(text("library") == "custom")
        .then(pl.lit("kernel"))
        .otherwise(pl.lit("library"))
    )
    return rows.select(
        chip=text("chip"),
        op=text("op"),
        library=library,
        style=pl.when(source.str.contains("trtllm")).then(pl.lit("trtllm")).otherwise(text("backend")),
        campaign=pl.concat_str(text("framework"), text("version"), separator=" ").str.strip_chars(),
        dtype=text("dtype"),
        topology=text("topology"),
        num_gpus=number("num_gpus", "ep_size").fill_null(1.0).cast(pl.Int64),
        per_node=number("devices_per_node").fill_null(0.0).cast(pl.Int64),
        nodes=number("nodes").fill_null(1.0).cast(pl.Int64),
        channels=number("sms").fill_null(0.0),
        bytes=number("message_bytes"),
        tokens=number("num_tokens"),
        hidden=number("hidden_size"),
        top_k=number("topk"),
        measured=number("measured_latency_s"),
    ).with_columns(
        per_node=pl.when((pl.col("per_node") == 0) & (pl.col("nodes") > 1))
        .then(pl.col("num_gpus") // pl.col("nodes"))
        .otherwise(pl.col("per_node"))
    )


def fold_of(op: str, dtype: str, shape: str) -> int:
    """Return which fifth of the shapes a row belongs to."""
    return int(hashlib.sha256(f"{op}|{dtype}|{shape}".encode()).hexdigest(), 16) % FOLDS


def folds(frame: pl.DataFrame) -> list[int]:
    """Return the fold of each row of a normal frame."""
    shape = pl.concat_str(
        *(
            pl.col(c).cast(pl.Float64).cast(pl.String).fill_null("")
            for c in ("num_gpus", "bytes", "tokens", "hidden", "top_k")
        ),
        separator=",",
    )
    keys = frame.select("op", "dtype", shape.alias("shape"))
    known: dict[tuple[str, ...], int] = {}
    out = []
    for key in keys.iter_rows():
        if key not in known:
            known[key] = fold_of(*key)
        out.append(known[key])
    return out


def labels_of(frame: pl.DataFrame, stored: Mapping[str, Any], leave: str) -> list[str]:
    """Return the name of the stored parameters that judge each row: "final", "fold:3" or "chip:l40s"."""
    took_part = {(g["chip"], g["op"], g["library"]) for g in stored["took_part"]}
    by_row = zip(frame.select("chip", "op", "library").iter_rows(), folds(frame), strict=True)
    return [
        (f"chip:{key[0]}" if leave == "chip" else f"fold:{fold}") if key in took_part else "final"
        for key, fold in by_row
    ]


def predict_group(
    group: Mapping[str, Any], part: pl.DataFrame, parameters: Mapping[str, Any]
) -> tuple[Array, Array] | None:
    """Return (seconds, baseline) of rows that share ``KEYS``, None where chip or sizes are not known."""
    try:
        chip = catalog.chip(group["chip"])
    except UnknownNameError:
        return None
    network = network_for(chip, group)
    n = int(group["num_gpus"])
    if group["op"] in EXCHANGES:
        return _exchange(network, group, part, n, parameters)
    if part["bytes"].null_count():
        return None
    message = part["bytes"].to_numpy()
    kind = COLLECTIVES[group["op"]]
    library: Any = "library" if group["library"] == "torch" else group["library"]
    time = collective_time(
        network,
        kind,
        message,
        n,
        library=library,
        memory_bandwidth=chip.memory_bandwidth,
        parameters=parameters["families"],
    )
    return time, _floor(network, kind, message, n)


def network_for(chip: Chip, group: Mapping[str, Any]) -> Network:
    """Return the network of a row: its chips in one domain, or in nodes as it says; pairs over a bridge.

    Rows measured through torch have families of their own (an older NCCL, timed from the host), and so has each
    measured host of cards on PCIe (how its bridges crowd is its own; versions of frameworks may have been measured on
    another) and each measured network between nodes, whose cards are rarely those of the datasheet's reference
    machine. Frameworks' own kernels differ by framework.
    """
    n, per_node = int(group["num_gpus"]), int(group["per_node"])
    domain = chip.scale_up_domain or 1
    node = min(n, max(per_node or n, domain if domain > 8 else 1))
    pairs = "pairwise" in group["topology"]
    network = network_of(chip, n, node, scale_out_kind="ethernet" if pairs else "infiniband")
    tiers = list(network.tiers)
    if pairs and node > 1:
        tiers[0] = _bridged(tiers[0], node)
    if group["library"] == "torch":
        tiers = [replace(t, family=f"{t.family or t.kind}-torch", in_network_reduction=False) for t in tiers]
        if tiers[-1].kind in ("infiniband", "ethernet"):
            tiers[-1] = replace(tiers[-1], family=f"{tiers[-1].family}@{group['chip']}")
    elif tiers[0].kind == "pcie":
        campaign = f"@{group['campaign']}" if group["campaign"] and group["library"] != "library" else ""
        tiers[0] = replace(tiers[0], family=f"{tiers[0].family}@{group['chip']}{campaign}")
    if group["library"] == "kernel" and group["style"]:
        tiers[0] = replace(tiers[0], family=f"{tiers[0].family}#{group['style']}")
    return Network(tiers=tuple(tiers))


def _bridged(tier: Tier, node: int) -> Tier:
    """Return the tier of cards joined in pairs: a bridge of 300 GB/s between two, the host's PCIe among more."""
    if node == 2:
        family = f"{tier.family}-bridge" if tier.kind == "nvlink" else tier.family
        return replace(tier, bandwidth=min(tier.bandwidth, 3e11), family=family)
    hosted = "pcie5" if tier.family == "nvlink4" else "pcie4"
    return replace(tier, kind="pcie", family=hosted, bandwidth=pcie_bandwidth(hosted), switched=False)


def _exchange(
    network: Network, group: Mapping[str, Any], part: pl.DataFrame, n: int, parameters: Mapping[str, Any]
) -> tuple[Array, Array] | None:
    if part.select(pl.any_horizontal(pl.col("tokens", "hidden", "top_k").is_null()).any()).item():
        return None
    sizes = {c: part[c].to_numpy() for c in ("tokens", "hidden", "top_k")}
    out = np.full(part.height, np.nan)
    number = part["dtype"].to_list()
    direction = EXCHANGES[group["op"]]
    for dtype in set(number):
        which = np.array([d == dtype for d in number])
        out[which] = expert_exchange_time(
            network,
            direction,
            **{c: v[which] for c, v in sizes.items()},
            ep=n,
            style=group["style"],
            number_bytes=_NUMBER_BYTES.get(dtype) if direction == "dispatch" else None,
            channels=group["channels"],
            parameters=parameters["exchange"],
        )
    outer = network.tiers[-1]
    moved = sizes["tokens"] * sizes["hidden"] * sizes["top_k"] * 2.0 * (n - 1) / max(n, 1)
    return out, moved / outer.bandwidth


def _floor(network: Network, kind: str, message: Array, n: int) -> Array:
    """Return the naive time: the algorithm's bytes at the datasheet's bandwidth of the slowest tier."""
    share = {"all_reduce": 2.0 * (n - 1) / n, "p2p": 1.0, "broadcast": 1.0}.get(kind, (n - 1) / n)
    slowest = min(t.bandwidth for t in network.tiers)
    return np.asarray(share * message / slowest, dtype=np.float64)


def bucket(group: Mapping[str, Any], part: pl.DataFrame) -> list[str]:
    """Return the name of each row's class of error: software, links, and size."""
    if group["op"] in EXCHANGES:
        size = part["tokens"].to_numpy()
        edges, software = (64.0, 4096.0), "exchange"
    else:
        size = part["bytes"].to_numpy()
        edges, software = (65536.0, 4194304.0), group["library"]
        if COLLECTIVES[group["op"]] == "all_to_all" and software == "library":
            software = "peers"  # grouped pairs, not rings
    names = np.where(size <= edges[0], "small", np.where(size <= edges[1], "middle", "large"))
    try:
        chip = catalog.chip(group["chip"])
    except UnknownNameError:
        return [f"{software}/unknown/{name}" for name in names]
    links = network_for(chip, group).tiers[-1].kind
    links = "host" if links == "pcie" else ("network" if links in ("ethernet", "infiniband") else "links")
    if software == "eager":
        # a small call that the host launches takes the host's time, whatever joins the chips
        return [f"{software}/{links if name == 'large' else 'any'}/{name}" for name in names]
    if links == "host" and software in ("library", "peers", "kernel"):
        # more than a start over bridges takes their time, whatever the software
        return [f"{software if name == 'small' else 'any'}/{links}/{name}" for name in names]
    return [f"{software}/{links}/{name}" for name in names]


def sigmas(group: Mapping[str, Any], part: pl.DataFrame, chosen: Mapping[str, Any], label: str) -> Array:
    """Return the standard deviation of log(measured / predicted) of each row.

    Wider for a chip without measurements: a third where its links are a measured family, as much as whole families
    differ where they are not.
    """
    chips = {g["chip"] for g in catalog.fitted("fabric")["took_part"]}
    seen = not label.startswith("chip:") and group["chip"] in chips
    measured = seen or _family(group) in chosen["families"]
    table = chosen["sigma"] if measured else chosen["sigma_unseen"]
    wider = 1.0 if seen or not measured else _SIBLING
    return np.array([wider * table.get(name, table["other"]) for name in bucket(group, part)], dtype=np.float64)


def _family(group: Mapping[str, Any]) -> str:
    try:
        tier = network_for(catalog.chip(group["chip"]), group).tiers[-1]
    except UnknownNameError:
        return ""
    return tier.family or tier.kind
