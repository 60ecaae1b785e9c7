"""Write rules.json, which loads quickly, from rules.yaml, which people edit: ``python -m suanli.controls``."""

from __future__ import annotations

import json

from suanli.controls._book import compile_book, read_rules
from suanli.controls._vocabulary import packaged_rules
from suanli.files import write_text


def main() -> None:
    """Check the shipped rules.yaml and write rules.json beside it."""
    target = packaged_rules()
    data = read_rules(target.with_suffix(".yaml"))
    book = compile_book(data, where=str(target.with_suffix(".yaml")))
    write_text(target, json.dumps(data, ensure_ascii=False, indent=0) + "\n")
    print(f"{len(book.rules)} rules, {len(book.changes)} days of change: {target}")  # noqa: T201


if __name__ == "__main__":
    main()
