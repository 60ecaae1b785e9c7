"""Items that the tests ask about, and the short way to ask."""

from __future__ import annotations

from typing import Any

from suanli.controls import Query, parse_facts, query_of_row, vocabulary
from suanli.controls._vocabulary import columns

H100 = {
    "supplier": "NVIDIA",
    "chip": "H100 SXM",
    "tpp": "15832",
    "die_area_mm2": "814",
    "nonplanar": "1",
    "has_hbm": "1",
}
H100 |= {"transfer_rate_gbs": "1028", "mem_bw_gbs": "3350", "designed_for_datacenter": "1", "ship_from": "US"}
A100 = H100 | {"chip": "A100 SXM 80GB", "tpp": "4992", "die_area_mm2": "826", "transfer_rate_gbs": "664"}
A800 = A100 | {"chip": "A800 SXM 80GB", "transfer_rate_gbs": "464"}
H800 = H100 | {"chip": "H800 SXM", "transfer_rate_gbs": "528"}
H20 = H100 | {"chip": "H20 SXM 96GB", "tpp": "2368", "mem_bw_gbs": "4000"}
H200 = H100 | {"chip": "H200 SXM", "mem_bw_gbs": "4800"}
L40 = H100 | {"chip": "L40", "tpp": "2896", "die_area_mm2": "608.5", "transfer_rate_gbs": "64", "mem_bw_gbs": "864"}
L40 |= {"has_hbm": "0"}
L40S = L40 | {"chip": "L40S", "tpp": "5864"}
T4 = L40 | {"chip": "T4", "tpp": "1040", "die_area_mm2": "545", "transfer_rate_gbs": "32", "mem_bw_gbs": "320"}
RTX4090 = L40 | {"chip": "RTX 4090", "tpp": "5285", "designed_for_datacenter": "0"}
ASCEND = H100 | {"supplier": "Huawei", "chip": "Ascend 910B", "tpp": "6016", "die_area_mm2": "665"}
ASCEND |= {"transfer_rate_gbs": "392", "mem_bw_gbs": "1200", "ship_from": "CN"}
IC = H100 | {"supplier": "custom", "chip": "ASIC", "has_hbm": "0", "transfer_rate_gbs": "400", "mem_bw_gbs": "800"}
DIE = {"supplier": "front-end fabricator", "chip": "die", "activity": "foundry_export", "ship_from": "TW"}
DIE |= {"nonplanar": "1", "has_hbm": "0", "transistors_bn": "25"}
STACK = {"supplier": "custom", "chip": "HBM", "nonplanar": "1", "has_hbm": "1", "ship_from": "KR"}
WEIGHTS = {"supplier": "lab", "chip": "weights", "activity": "weights_export", "ship_from": "US"}
LEASE = H100 | {"activity": "iaas_lease", "ship_from": "MY", "to": "MY", "hq": "CN"}
VEU = {"supplier": "cloud", "chip": "test", "activity": "veu_share_test", "ship_from": "US", "to": "MY", "hq": "US"}

ITEMS: dict[str, dict[str, str]] = {k: v for k, v in globals().items() if k.isupper() and isinstance(v, dict)}


def question(date: str, item: str, more: str) -> tuple[Query, str]:
    """Return the query on an item and the rule set; ``more`` is ``key=value;key=value``, an empty value unknown.

    ``to`` is CN unless stated; ``hq`` is ``to`` and ``parent`` is ``hq`` unless stated.
    """
    stated: dict[str, Any] = dict(ITEMS[item])
    stated.update(pair.partition("=")[::2] for pair in more.split(";") if pair)
    to = stated.pop("to", "CN")
    hq = stated.pop("hq", to)
    parent = stated.pop("parent", hq)
    ruleset = stated.pop("ruleset", "as_enforced")
    row = {"date": date, "activity": "export", "destination": to, "end_user_hq": hq, "ultimate_parent_hq": parent}
    facts = {k: stated.pop(k) for k in list(stated) if k in vocabulary() and k not in (*columns(), "activity")}
    ranges = {k: stated.pop(k) for k in list(stated) if ".." in str(stated[k])}
    row.update(stated)
    row["facts"] = ";".join(f"{k}={v}" for k, v in (facts | ranges).items())
    assert parse_facts(row["facts"]) is not None
    return query_of_row(row), ruleset
