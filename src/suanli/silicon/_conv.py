"""Convolutions and patch embeddings, as the products that hardware runs them as."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.kinds import Chip
from suanli.silicon._checks import shapes
from suanli.silicon._gemm import gemm_time
from suanli.silicon._parameters import Parameters

Array = NDArray[np.float64]


def convolution_time(
    chip: Chip,
    *,
    images: ArrayLike,
    height: ArrayLike,
    width: ArrayLike,
    channels_in: ArrayLike,
    channels_out: ArrayLike,
    window: ArrayLike,
    stride: ArrayLike = 1,
    frames: ArrayLike = 1,
    window_frames: ArrayLike = 1,
    stride_frames: ArrayLike = 1,
    dtype: str,
    parameters: Parameters | None = None,
) -> Array:
    """Return seconds of a (padded) convolution of ``window`` x ``window`` pixels, x ``window_frames`` for video.

    It runs as an implicit product: m = output points, n = channels out, k = channels in x window. A patch embedding
    is one whose stride is its window. Raises InputError for sizes not above zero.
    """
    s = shapes(
        images=images,
        height=height,
        width=width,
        channels_in=channels_in,
        channels_out=channels_out,
        window=window,
        stride=stride,
        frames=frames,
        window_frames=window_frames,
        stride_frames=stride_frames,
    )
    points = np.ceil(s["height"] / s["stride"]) * np.ceil(s["width"] / s["stride"])
    points = points * np.ceil(s["frames"] / s["stride_frames"]) * s["images"]
    depth = s["channels_in"] * s["window"] ** 2 * s["window_frames"]
    return gemm_time(chip, m=points, n=s["channels_out"], k=depth, dtype=dtype, parameters=parameters)
