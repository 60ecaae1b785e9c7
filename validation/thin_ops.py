"""Thin measured operator tables to what the project ships: ``python -m validation.thin_ops FOLDER``.

FOLDER holds the extracted tables (aiconfigurator-core, Vidur). Of each piece of work (chip, operator, formats,
software kernel) a fixed random sample of rows is kept; source and licence stay in the files' metadata.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from suanli.files import whole

OUT = Path(__file__).parent / "data" / "ops"

TABLES = ("*_gemm", "*_attention", "*_mla", "*_moe", "vidur_mlp_ops")
_KEYS = ("chip", "op", "dtype", "kv_dtype", "gemm_dtype", "direction", "framework", "kernel_source")
_DROPPED = ("source_file", "model", "topology")
_MOST = {"gemm": 1100, "attention": 600, "moe": 700, "mla": 400, "ops": 450}
_METADATA = {
    "vidur_mlp_ops": ("microsoft/vidur @7d47513363ec", "MIT"),
    "": ("aiconfigurator-core 0.12.0 (ai-dynamo/aiconfigurator)", "Apache-2.0"),
}


def main(arguments: Sequence[str]) -> None:
    """Write the thinned form of every table in the folder that ``arguments`` names."""
    folder = Path(arguments[0])
    for pattern in TABLES:
        for path in sorted(folder.glob(f"{pattern}.parquet")):
            thin(path)


def thin(path: Path) -> None:
    """Write the thinned form of the table ``path``."""
    frame = pl.read_parquet(path)
    keys = [k for k in _KEYS if k in frame.columns]
    most = _MOST[path.stem.rpartition("_")[2]]
    kept = [part.sample(min(most, part.height), seed=7) for _, part in frame.group_by(keys, maintain_order=True)]
    # How experts were loaded depends on the software's version; elsewhere rows of several versions are one sample.
    dropped = _DROPPED if path.stem.endswith("_moe") else (*_DROPPED, "version")
    rows = pl.concat(kept).drop([c for c in dropped if c in frame.columns])
    source, licence = _METADATA.get(path.stem, _METADATA[""])
    with whole(OUT / path.name) as temporary:
        metadata = {"source": source, "licence": licence, "units": "measured_latency_s: s; sizes as in the source"}
        rows.sort(rows.columns[:-4]).write_parquet(
            temporary, compression="zstd", compression_level=19, metadata=metadata
        )


if __name__ == "__main__":
    main(sys.argv[1:])
