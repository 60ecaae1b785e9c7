"""Tables beside a case: demand, price lists, measured rates, and the files that `suanli validate --rows` writes."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from suanli import catalog, files
from suanli.errors import InputError, SuanliError, nearest
from suanli.fleet._figure import CURRENCIES
from suanli.fleet._schema_offers import PricePoint
from suanli.fleet._schema_work import Rate, UserPoint

Row = dict[str, Any]
Data = dict[str, Any]
FASTER_IF_MORE = {"output_rate": True, "step_time": False, "tpot": False}
"""The metrics that say how fast a chip is, and whether more of them is faster."""

KIND_OF = {"output_rate": "serving", "tpot": "serving", "step_time": "training"}


def fill(folder: Path, data: Data, known: Collection[str]) -> None:
    """Fill a case's plain ``data`` from the tables that it names; ``known`` are the catalogue's source ids.

    Raises InputError (file:line: field: problem) for the first bad line of a table.
    """
    for service in _dicts(data, "services"):
        if isinstance(service.get("demand"), str):
            service["demand"] = _demand(folder / service["demand"], str(service.get("id", "")), data, known)
    for name in _texts(data, "price_lists"):
        _prices(folder / name, data, known)
    for name in _texts(data, "rate_tables"):
        rates = [_rate(line, row, folder / name, data, known) for line, row in _rows(folder / name, RATES)]
        data["rates"] = [*(data.get("rates") or []), *rates]
    for measured in _dicts(data, "measurements"):
        made = _corrections(folder, measured, data)
        data["corrections"] = [*(data.get("corrections") or []), *made]


def _dicts(data: Data, part: str) -> list[Row]:
    found = data.get(part)
    return [x for x in found if isinstance(x, dict)] if isinstance(found, list) else []


def _texts(data: Data, part: str) -> list[str]:
    found = data.get(part)
    return [x for x in found if isinstance(x, str)] if isinstance(found, list) else []


# -------------------------------------------------------------------------------------------------------------- reading

DEMAND = ("service", "month", "value", "source"), ("low", "high", "note", "known_from", "date", "kind")
PRICES = (
    ("since", "source"),
    ("offer", "chip", "supplier", "price", "rent", "currency", "low", "high", "note", "known_from", "date", "kind"),
)
RATES = ("workload", "chip", "rate", "source"), ("unit", "pool", "low", "high", "note", "date", "kind")
MEASURED = ("chip", "metric", "measured", "predicted"), ()
Columns = tuple[tuple[str, ...], tuple[str, ...]]


def _rows(path: Path, columns: Columns, *, others: bool = False) -> Iterator[tuple[int, Row]]:
    """Yield (line, row without its empty cells) of a table. Raises InputError for a missing or unknown column."""
    frame = files.read_table(path)
    needed, may = columns
    for column in needed:
        if column not in frame.columns:
            close = nearest(column, frame.columns)
            raise InputError(
                f"{path}:1: column '{column}' is missing; found {', '.join(frame.columns)}"
                + (f"; is '{close}' meant?" if close else "")
            )
    for column in frame.columns:
        if column not in (*needed, *may) and not others:
            close = nearest(column, (*needed, *may))
            hint = f"did you mean '{close}'?" if close else f"allowed: {', '.join((*needed, *may))}"
            raise InputError(f"{path}:1: unknown column '{column}'; {hint}")
    for line, row in enumerate(frame.iter_rows(named=True), start=2):
        clean = {k: v.strip() if isinstance(v, str) else v for k, v in row.items()}
        full = {k: v for k, v in clean.items() if v is not None and v != ""}
        for column in needed:
            if column not in full:
                raise InputError(f"{path}:{line}: {column}: is empty")
        yield line, full


def _checked(value: Row, model: Any, path: Path, line: int) -> Row:
    files.validate(value, model, where=f"{path}:{line}")
    return value


def source_of(path: Path, line: int, row: Row, data: Data, known: Collection[str], *, kind: str) -> str:
    """Return the id of a row's source; text with a ``date`` becomes a source of the case's own.

    Raises InputError for text that is no id and has no date, or a date that is none.
    """
    text = str(row["source"])
    own = data.setdefault("sources", {})
    if "date" not in row:
        if text in known or text in own:
            return text
        close = nearest(text, [*known, *own])
        hint = f"; did you mean '{close}'?" if close else ""
        raise InputError(f"{path}:{line}: source: unknown source '{text}' (or give its day in a column 'date'){hint}")
    day = str(row["date"])
    try:
        dt.date.fromisoformat(day)
    except ValueError as error:
        raise InputError(f"{path}:{line}: date: '{day}' is not a date such as 2025-01-22") from error
    name = text if own.get(text, {}).get("date", day) == day and text not in known else f"{text} ({day})"
    own.setdefault(name, {"ref": text, "date": day, "kind": row.get("kind", kind), "note": f"{path.name}:{line}"})
    return name


def _figure(row: Row, value: str, source: str, read: Callable[[Any], Any] = str) -> Row:
    out: Row = {"value": read(row[value]), "source": source}
    out |= {k: read(row[k]) for k in ("low", "high") if k in row}
    return out | ({"note": str(row["note"])} if "note" in row else {})


def _day(row: Row) -> Row:
    return {"known_from": str(row["known_from"])} if "known_from" in row else {}


# --------------------------------------------------------------------------------------------------------------- demand


def _demand(path: Path, service: str, data: Data, known: Collection[str]) -> list[Row]:
    rows = []
    for line, row in _rows(path, DEMAND):
        if row["service"] != service:
            continue
        figure = _figure(row, "value", source_of(path, line, row, data, known, kind="reported"), lambda x: x)
        kind = "rate" if "request" in str(row["value"]) else "users"
        rows.append(_checked({"month": str(row["month"]), kind: figure, **_day(row)}, UserPoint, path, line))
    if not rows:
        raise InputError(f"{path}: has no row for service '{service}'")
    return rows


# --------------------------------------------------------------------------------------------------------------- prices


def _prices(path: Path, data: Data, known: Collection[str]) -> None:
    """Add the rows of a price list to the offers that they name, by id or by chip (and supplier), in order of time."""
    touched: list[Row] = []
    for line, row in _rows(path, PRICES):
        kinds = [k for k in ("price", "rent") if k in row]
        if len(kinds) != 1:
            raise InputError(f"{path}:{line}: price: state either price or rent")
        source = source_of(path, line, row, data, known, kind="reported")
        per = {"price": "/chip", "rent": "/chip/h"}[kinds[0]]
        money = {k: _money(row[k], row, per, f"{path}:{line}") for k in (kinds[0], "low", "high") if k in row}
        figure = _figure(row | money, kinds[0], source)
        point = {"since": str(row["since"]), kinds[0]: figure, **_day(row)}
        _checked(point, PricePoint, path, line)
        for offer in _meant(path, line, row, data):
            offer["prices"] = [*(offer.get("prices") or []), point]
            touched.append(offer)
    for offer in touched:
        offer["prices"] = sorted(offer["prices"], key=lambda p: str(p.get("since", "")))


def _money(value: Any, row: Row, per: str, where: str) -> str:
    """Return money as a case writes it: text with its currency, or a number in the row's ``currency``."""
    text = str(value)
    if text[:1].isalpha():
        return text if "/" in text else f"{text}{per}"
    code = str(row.get("currency", ""))
    if code not in CURRENCIES:
        found = f"'{code}' is no currency" if code else "the number has no currency"
        raise InputError(f"{where}: currency: {found}; write one of {', '.join(CURRENCIES)}")
    return f"{code} {text.replace(',', '')}{per}"


def _meant(path: Path, line: int, row: Row, data: Data) -> list[Row]:
    """Return the offers that a row of a price list is for."""
    offers = _dicts(data, "offers")
    if "offer" in row:
        names = [str(o.get("id")) for o in offers]
        if row["offer"] not in names:
            close = nearest(str(row["offer"]), names)
            hint = f"did you mean '{close}'?" if close else f"the case has {', '.join(names)}"
            raise InputError(f"{path}:{line}: offer: unknown offer '{row['offer']}'; {hint}")
        return [o for o in offers if o.get("id") == row["offer"]]
    if "chip" not in row:
        raise InputError(f"{path}:{line}: offer: name the offer, or the chip (and its supplier)")
    wanted = _chip(path, line, str(row["chip"]))
    leased = "rent" in row
    found = [
        o for o in offers
        if _same(str(o.get("chip")), wanted) and (o.get("way") == "lease") == leased
        and row.get("supplier") in {None, o.get("supplier")}
    ]  # fmt: skip
    if not found:
        raise InputError(f"{path}:{line}: chip: no offer {'leases' if leased else 'sells'} '{row['chip']}' in the case")
    return found


def _chip(path: Path, line: int, name: str) -> str:
    try:
        return catalog.chip(name).id
    except SuanliError as error:
        raise InputError(f"{path}:{line}: chip: {error}") from error


def _same(text: str, chip: str) -> bool:
    try:
        return not text.startswith("design:") and catalog.chip(text).id == chip
    except SuanliError:
        return False  # the case's own check tells it with its line


# ------------------------------------------------------------------------------------------------------- measured rates


def _rate(line: int, row: Row, path: Path, data: Data, known: Collection[str]) -> Row:
    unit = f" {row['unit']}" if "unit" in row else ""
    out: Row = {"workload": str(row["workload"]), "chip": str(row["chip"])}
    out |= {name: f"{row[name]}{unit}" for name in ("rate", "low", "high") if name in row}
    out |= {name: row[name] for name in ("pool", "note") if name in row}
    works = [str(x.get("id")) for part in ("services", "runs") for x in _dicts(data, part)]
    if out["workload"] not in works:
        close = nearest(out["workload"], works)
        hint = f"did you mean '{close}'?" if close else f"the case has {', '.join(works)}"
        raise InputError(f"{path}:{line}: workload: unknown workload '{out['workload']}'; {hint}")
    _chip(path, line, out["chip"])
    out["source"] = source_of(path, line, row, data, known, kind="measured")
    return _checked(out, Rate, path, line)


def _corrections(folder: Path, measured: Row, data: Data) -> list[Row]:
    """Return a correction a chip and kind: the middle of measured over predicted speed, and its 10 and 90 % points."""
    path = folder / str(measured.get("file", ""))
    speeds: dict[tuple[str, str, str], list[float]] = {}
    for line, row in _rows(path, MEASURED, others=True):
        if row["metric"] in FASTER_IF_MORE:
            key = KIND_OF[row["metric"]], _chip(path, line, str(row["chip"])), row["metric"]
            speeds.setdefault(key, []).append(_faster(path, line, row))
    least = measured.get("least", 3)
    out: dict[tuple[str, str], Row] = {}
    for (kind, chip, metric), values in speeds.items():
        if len(values) < least or ((kind, chip) in out and metric == "tpot"):
            continue  # the rate of output says more than the time between two tokens
        name = f"{path.name}: {chip}"
        told = f"{len(values)} rows of {metric}, measured over predicted speed"
        data.setdefault("sources", {})[name] = {"ref": f"own rows in {path.name}", "kind": "measured", "note": told}
        low, mid, high = (_quantile(values, q) for q in (0.1, 0.5, 0.9))
        out[kind, chip] = {
            "chip": chip, "kind": kind, "workloads": list(measured.get("workloads") or []), "rows": len(values),
            "factor": {"value": mid, "low": low, "high": high, "source": name},
        }  # fmt: skip
    if not out:
        known = ", ".join(FASTER_IF_MORE)
        raise InputError(f"{path}: no chip has {least} rows of {known}; 'suanli validate KIND FILE --rows' writes them")
    return list(out.values())


def _faster(path: Path, line: int, row: Mapping[str, Any]) -> float:
    try:
        measured, predicted = float(row["measured"]), float(row["predicted"])
    except (TypeError, ValueError) as error:
        found = f"'{row['measured']}' or '{row['predicted']}'"
        raise InputError(f"{path}:{line}: measured: {found} is no number") from error
    if not (measured > 0 and predicted > 0 and math.isfinite(measured) and math.isfinite(predicted)):
        raise InputError(f"{path}:{line}: measured: {measured:g} and predicted: {predicted:g} must be above zero")
    return measured / predicted if FASTER_IF_MORE[row["metric"]] else predicted / measured


def _quantile(values: Sequence[float], q: float) -> float:
    ranked = sorted(values)
    place = q * (len(ranked) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ranked) - 1)
    return ranked[low] + (ranked[high] - ranked[low]) * (place - low)
