"""Published traces, each read from its own format into a load; a bad line gives its number.

Azure LLM 2023 and 2024 (CSV: TIMESTAMP, ContextTokens, GeneratedTokens), BurstGPT (CSV: Timestamp, Model, Request
tokens, Response tokens, ...), Mooncake (JSON lines: timestamp in ms, input_length, output_length, hash_ids of 512-token
blocks), ShareGPT-like JSON lines or a JSON list (conversations of from/value), and plain CSV (arrival_s, input_tokens,
output_tokens, optional priority).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from suanli.errors import InputError
from suanli.files import read_text
from suanli.serving._arrivals import Requests, requests

FORMATS: tuple[str, ...] = ("azure", "burstgpt", "mooncake", "sharegpt", "csv")

_CHARACTERS_A_TOKEN = 4.0  # English text under BPE vocabularies of 100k and more; a trace of texts has no token counts
_MOONCAKE_BLOCK = 512

Row = tuple[float, int, int, int, list[int]]


def read_trace(path: Path, *, format: str | None = None, scale: float = 1.0, limit: int | None = None) -> Requests:  # noqa: A002
    """Return the load in a trace file; ``format`` is recognised by its columns where it is None.

    ``scale`` multiplies the rate (times are divided by it); ``limit`` keeps the first requests. Requests without an
    answer are left out. Raises InputError with file and line for what does not parse.
    """
    if format is not None and format not in FORMATS:
        raise InputError(f"trace format '{format}' is unknown; allowed: {', '.join(FORMATS)}")
    if scale <= 0:
        raise InputError(f"a trace's scale is above 0, got {scale}")
    text = read_text(path)
    kind = format or _recognise(path, text)
    rows = [row for row in _READERS[kind](path, text) if row[2] > 0]
    if not rows:
        raise InputError(f"{path}: holds no answered request")
    rows.sort(key=lambda row: row[0])
    rows = rows[:limit]
    start = rows[0][0]
    load = requests(
        np.array([(row[0] - start) / scale for row in rows]),
        np.array([row[1] for row in rows], dtype=np.int64),
        np.array([row[2] for row in rows], dtype=np.int64),
        priority=np.array([row[3] for row in rows], dtype=np.int64),
    )
    return _with_blocks(load, [row[4] for row in rows])


def _with_blocks(load: Requests, ids: list[list[int]]) -> Requests:
    """Return ``load`` with the prompts' shared blocks, renumbered densely."""
    if not any(ids):
        return load
    counts = np.array([0] + [len(i) for i in ids], dtype=np.int64)
    flat = np.array([b for i in ids for b in i], dtype=np.int64)
    _, dense = np.unique(flat, return_inverse=True)
    return Requests(
        arrival_s=load.arrival_s,
        input_tokens=load.input_tokens,
        output_tokens=load.output_tokens,
        priority=load.priority,
        first=np.cumsum(counts),
        blocks=dense.astype(np.int32),
        block_tokens=_MOONCAKE_BLOCK,
    )


def _recognise(path: Path, text: str) -> str:
    """Return the format whose columns or keys the first line shows."""
    first = text.lstrip().split("\n", 1)[0]
    low = first.casefold()
    if low.startswith(("{", "[")):
        if "hash_ids" in low or "input_length" in low:
            return "mooncake"
        return "sharegpt"
    for word, kind in (("contexttokens", "azure"), ("request tokens", "burstgpt"), ("input_tokens", "csv")):
        if word in low:
            return kind
    raise InputError(f"{path}:1: is no trace format I know ({first[:60]!r}); name one of {', '.join(FORMATS)}")


def _count(path: Path, line: int, name: str, value: Any) -> int:
    """Return a token count; raise InputError naming line and field."""
    try:
        count = int(float(value))
        if count != float(value) or count < 0:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{path}:{line}: {name}: found {value!r}; expected a whole number of tokens") from None
    return count


def _number(path: Path, line: int, name: str, value: Any) -> float:
    """Return a finite time; raise InputError naming line and field."""
    try:
        number = float(value)
        if not np.isfinite(number):
            raise ValueError
    except (TypeError, ValueError):
        raise InputError(f"{path}:{line}: {name}: found {value!r}; expected a number") from None
    return number


def _csv_rows(path: Path, text: str, wanted: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line, row by lower-case column) of a CSV that has the ``wanted`` columns."""
    reader = csv.reader(text.splitlines())
    header = [name.strip().casefold() for name in next(reader, [])]
    missing = [name for name in wanted if name not in header]
    if missing:
        raise InputError(f"{path}:1: column '{missing[0]}' is missing; found {', '.join(header) or 'nothing'}")
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) < len(header):
            raise InputError(f"{path}:{reader.line_num}: has {len(cells)} fields; the header has {len(header)}")
        yield reader.line_num, dict(zip(header, cells, strict=False))


def _azure(path: Path, text: str) -> Iterator[Row]:
    """Read the Azure LLM inference traces (AzurePublicDataset, 2023 and 2024)."""
    for line, row in _csv_rows(path, text, ("timestamp", "contexttokens", "generatedtokens")):
        stamp = row["timestamp"].strip()
        try:  # 2023 writes seven decimals, 2024 an offset; both are ISO 8601 once cut to microseconds
            moment = datetime.fromisoformat(_microseconds(stamp))
        except ValueError:
            raise InputError(f"{path}:{line}: TIMESTAMP: found {stamp!r}; expected a date and time") from None
        seconds = (moment.replace(tzinfo=None) - datetime(2020, 1, 1)).total_seconds()
        prompt = _count(path, line, "ContextTokens", row["contexttokens"])
        yield seconds, max(prompt, 1), _count(path, line, "GeneratedTokens", row["generatedtokens"]), 0, []


def _microseconds(stamp: str) -> str:
    """Return an ISO time with at most six decimals."""
    head, dot, tail = stamp.partition(".")
    if not dot:
        return stamp
    digits = len(tail) - len(tail.lstrip("0123456789"))
    return f"{head}.{tail[: min(digits, 6)]:0<6}{tail[digits:]}"


def _burstgpt(path: Path, text: str) -> Iterator[Row]:
    """Read BurstGPT (HPMLL/BurstGPT); failed requests have no response tokens and are left out."""
    for line, row in _csv_rows(path, text, ("timestamp", "request tokens", "response tokens")):
        yield (
            _number(path, line, "Timestamp", row["timestamp"]),
            max(_count(path, line, "Request tokens", row["request tokens"]), 1),
            _count(path, line, "Response tokens", row["response tokens"]),
            0,
            [],
        )


def _plain(path: Path, text: str) -> Iterator[Row]:
    """Read arrival_s, input_tokens, output_tokens and, where there is one, priority (0 first)."""
    for line, row in _csv_rows(path, text, ("arrival_s", "input_tokens", "output_tokens")):
        yield (
            _number(path, line, "arrival_s", row["arrival_s"]),
            max(_count(path, line, "input_tokens", row["input_tokens"]), 1),
            _count(path, line, "output_tokens", row["output_tokens"]),
            _count(path, line, "priority", row.get("priority") or 0),
            [],
        )


def _json_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line, object) of JSON lines, or of the objects of one JSON list (line is then its number)."""
    if text.lstrip().startswith("["):
        try:
            items = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}:{error.lineno}: not JSON: {error.msg}") from None
        pairs: Iterator[tuple[int, Any]] = iter(enumerate(items, 1))
    else:
        pairs = _json_lines(path, text)
    for line, item in pairs:
        if not isinstance(item, dict):
            raise InputError(f"{path}:{line}: found {type(item).__name__}; expected a JSON object")
        yield line, item


def _json_lines(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    for line, content in enumerate(text.splitlines(), 1):
        if content.strip():
            try:
                yield line, json.loads(content)
            except json.JSONDecodeError as error:
                raise InputError(f"{path}:{line}: not JSON: {error.msg}") from None


def _mooncake(path: Path, text: str) -> Iterator[Row]:
    """Read Mooncake's traces (kvcache-ai/Mooncake): timestamps in ms, hashes of 512-token blocks of the prompt."""
    for line, row in _json_rows(path, text):
        for name in ("timestamp", "input_length", "output_length"):
            if name not in row:
                raise InputError(f"{path}:{line}: {name} is missing")
        ids = row.get("hash_ids", [])
        if not isinstance(ids, list) or not all(isinstance(i, int) for i in ids):
            raise InputError(f"{path}:{line}: hash_ids: expected a list of whole numbers")
        yield (
            _number(path, line, "timestamp", row["timestamp"]) / 1e3,
            max(_count(path, line, "input_length", row["input_length"]), 1),
            _count(path, line, "output_length", row["output_length"]),
            0,
            ids,
        )


def _sharegpt(path: Path, text: str) -> Iterator[Row]:
    """Read conversations: each answer is a request whose prompt is all said before; texts count 4 characters a token.

    There are no times in such a file: requests arrive one a second, to be scaled to a rate.
    """
    at = 0.0
    for line, row in _json_rows(path, text):
        turns = row.get("conversations", row.get("messages"))
        if not isinstance(turns, list):
            raise InputError(f"{path}:{line}: conversations is missing")
        said = 0
        for turn in turns:
            who = str(turn.get("from", turn.get("role", ""))) if isinstance(turn, dict) else ""
            value = turn.get("value", turn.get("content")) if isinstance(turn, dict) else None
            if not isinstance(value, str):
                raise InputError(f"{path}:{line}: a turn has no text; expected from/value or role/content")
            tokens = max(1, round(len(value) / _CHARACTERS_A_TOKEN))
            if who in ("gpt", "assistant", "chatgpt", "bing", "bard") and said > 0:
                yield at, said, tokens, 0, []
                at += 1.0
            said += tokens


_READERS: dict[str, Callable[[Path, str], Iterator[Row]]] = {
    "azure": _azure,
    "burstgpt": _burstgpt,
    "mooncake": _mooncake,
    "sharegpt": _sharegpt,
    "csv": _plain,
}
