from dataclasses import replace

import numpy as np
import pytest

from suanli import catalog
from suanli.errors import InputError
from suanli.quantities import GB
from suanli.serving import Layout, formats_of, framework_of, frameworks, layouts_for, memory, scheduler
from suanli.serving._layout import check, weight_bytes


def test_published_weights() -> None:
    # Hugging Face: Llama 3.1 70B 141 GB in bf16, DeepSeek-V3 about 671 GB of main weights in fp8, gpt-oss-120b 65 GB
    h100 = catalog.chip("h100-sxm")
    for name, precision, size in (
        ("llama-3.1-70b", "bf16", 141),
        ("deepseek-v3", "fp8", 671),
        ("gpt-oss-120b", "fp4", 65),
    ):
        model = catalog.model(name)
        found = weight_bytes(model, formats_of(model, h100, precision), Layout())
        assert found == pytest.approx(size * GB, rel=0.03), name


def test_weights_divide_over_chips() -> None:
    model, chip = catalog.model("deepseek-v3"), catalog.chip("h200-sxm")
    formats = formats_of(model, chip, "fp8")
    whole = weight_bytes(model, formats, Layout())
    assert weight_bytes(model, formats, Layout(tp=8)) == pytest.approx(whole / 8)
    assert weight_bytes(model, formats, Layout(tp=4, pp=2)) == pytest.approx(whole / 8)
    wide = weight_bytes(model, formats, Layout(dp=8, ep=8))  # attention is copied to every rank
    assert whole / 8 < wide < whole / 4


def test_memory_says_what_is_short() -> None:
    model, chip = catalog.model("llama-3.1-70b"), catalog.chip("h100-sxm")
    formats = formats_of(model, chip, "bf16")
    tight = memory(model, chip, formats, Layout(), context=2048, budget=8192, share=0.9)
    assert not tight.fits
    assert 60 * GB < tight.short < 80 * GB
    roomy = memory(model, chip, formats, Layout(tp=4), context=2048, budget=8192, share=0.9)
    assert roomy.fits
    # 80 layers x 8 KV heads x 128 x 2 (K, V) x 2 B = 327,680 B a token, over 4 chips
    assert roomy.sequence == pytest.approx(327_680 * 2048 / 4)
    with pytest.raises(InputError, match="memory of chip"):
        memory(model, replace(chip, memory_bytes=None), formats, Layout(), context=1, budget=1, share=0.9)


def test_layouts_cover_what_frameworks_offer() -> None:
    dense = layouts_for(catalog.model("llama-3.1-70b"), catalog.chip("h100-sxm"), max_chips=16)
    assert Layout(tp=8) in dense
    assert Layout(tp=8, pp=2) in dense
    assert all(x.ep == 1 and x.dp == 1 and x.chips <= 16 for x in dense)
    routed = layouts_for(catalog.model("deepseek-v3"), catalog.chip("h200-sxm"), max_chips=32)
    assert Layout(dp=32, ep=32) in routed
    assert Layout(tp=8, ep=8) in routed
    for layout in routed:
        check(layout, catalog.model("deepseek-v3"))


def test_layouts_that_do_not_go_are_refused() -> None:
    dense, routed = catalog.model("llama-3.1-8b"), catalog.model("deepseek-v3")
    with pytest.raises(InputError, match="has no experts"):
        check(Layout(tp=2, ep=2), dense)
    with pytest.raises(InputError, match="does not divide"):
        check(Layout(tp=4, ep=3), routed)
    with pytest.raises(InputError, match="pp 64 is above the 32 layers"):
        check(Layout(pp=64), dense)
    with pytest.raises(InputError, match="tp is 0"):
        check(Layout(tp=0), dense)


def test_layouts_are_written_as_people_write_them() -> None:
    assert str(Layout()) == "TP1"
    assert str(Layout(tp=4, dp=2, ep=8, replicas=3)) == "DP2 TP4 EP8 x 3"
    assert Layout(tp=4, dp=2, ep=4).moe_tp == 2


def test_a_chip_without_a_format_widens_weights_on_the_way() -> None:
    model = catalog.model("qwen3-32b")
    a100, h100 = catalog.chip("a100-80-sxm"), catalog.chip("h100-sxm")
    assert formats_of(model, a100, "fp8").dense == "int8_wo"
    assert formats_of(model, a100, "fp8").weight_bytes == 1.0
    assert formats_of(model, h100, "fp8").dense == "fp8"
    assert formats_of(model, h100, "fp8").kv == "fp8"
    assert formats_of(model, h100, "nvfp4").dense == "int4_wo"
    oss = formats_of(catalog.model("gpt-oss-120b"), h100, "fp4")
    assert (oss.dense, oss.experts) == ("bf16", "w4a16_mxfp4")
    with pytest.raises(InputError, match="did you mean 'fp8'"):
        formats_of(model, h100, "fp88")


def test_frameworks_are_found_by_any_spelling() -> None:
    spellings = {
        "TensorRT 10.11, CUDA 12.9": "trtllm",
        "SGLang v0.4.9": "sglang",
        "vLLM 0.6.5.dev964+mlperf50, Pytorch 2.7": "vllm",
        "Mango LLMBoost AI Enterprise Platform, ROCm 6.12.12": "vllm",
    }
    assert {framework_of(k): v for k, v in spellings.items()} == {v: v for v in spellings.values()}
    assert set(frameworks()) == {"vllm", "sglang", "trtllm", "mindie"}
    small, large = (scheduler("vllm", catalog.chip(c)) for c in ("l40s", "h100-sxm"))
    assert small.seats < large.seats
    with pytest.raises(InputError, match="unknown framework 'tgi'"):
        scheduler("tgi")


def test_memory_counts_grow_with_context() -> None:
    model, chip = catalog.model("gpt-oss-120b"), catalog.chip("h100-sxm")
    formats = formats_of(model, chip, "fp4")
    sizes = [
        memory(model, chip, formats, Layout(tp=2), context=c, budget=8192, share=0.9).sequence
        for c in (128, 1024, 8192)
    ]
    assert np.all(np.diff(sizes) > 0)
    assert sizes[2] < 64 * sizes[0]  # half of its layers keep a window of 128 tokens
