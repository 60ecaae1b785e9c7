import json
from pathlib import Path

import numpy as np
import pytest

from suanli.errors import InputError
from suanli.serving import read_trace

# Lines in the published formats of each trace; values as in their documentation, shortened.
AZURE_2023 = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
2023-11-16 18:15:51.2224670,879,55
"""
AZURE_2024 = """TIMESTAMP,ContextTokens,GeneratedTokens
2024-05-10 00:00:00.009930+00:00,2162,5
2024-05-10 00:00:00.017335+00:00,2399,6
"""
BURST = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45,ChatGPT,1087,230,1317,Conversation log
118,GPT-4,417,0,417,Conversation log
"""
MOONCAKE = """{"timestamp": 0, "input_length": 6755, "output_length": 500, "hash_ids": [0, 1, 2, 3]}
{"timestamp": 3052, "input_length": 7319, "output_length": 490, "hash_ids": [0, 1, 14, 15]}
"""
SHAREGPT = "\n".join(
    json.dumps(row)
    for row in (
        {
            "id": "a",
            "conversations": [{"from": "human", "value": "0123456789abcdef"}, {"from": "gpt", "value": "01234567"}],
        },
        {
            "id": "b",
            "messages": [
                {"role": "user", "content": "x"},
                {"role": "assistant", "content": "12345678"},
                {"role": "user", "content": "abcd"},
                {"role": "assistant", "content": "1234"},
            ],
        },
    )
)


def write(tmp_path: Path, text: str, name: str = "trace.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_azure_of_both_years(tmp_path: Path) -> None:
    old = read_trace(write(tmp_path, AZURE_2023))
    np.testing.assert_allclose(old.arrival_s, [0.0, 4.314579, 4.541877], atol=1e-6)
    assert old.input_tokens.tolist() == [374, 396, 879]
    assert old.output_tokens.tolist() == [44, 109, 55]
    new = read_trace(write(tmp_path, AZURE_2024))
    np.testing.assert_allclose(new.arrival_s, [0.0, 0.007405], atol=1e-6)


def test_burstgpt_leaves_failures_out(tmp_path: Path) -> None:
    load = read_trace(write(tmp_path, BURST))
    assert load.arrival_s.tolist() == [0.0, 40.0]
    assert load.output_tokens.tolist() == [18, 230]


def test_mooncake_shares_blocks(tmp_path: Path) -> None:
    load = read_trace(write(tmp_path, MOONCAKE, "trace.jsonl"))
    assert load.arrival_s.tolist() == [0.0, 3.052]
    assert load.block_tokens == 512
    assert load.first is not None
    assert load.blocks is not None
    assert (
        load.blocks[load.first[0] : load.first[0] + 2].tolist()
        == load.blocks[load.first[1] : load.first[1] + 2].tolist()
    )


def test_sharegpt_counts_what_was_said_before(tmp_path: Path) -> None:
    load = read_trace(write(tmp_path, SHAREGPT, "trace.jsonl"))
    assert load.input_tokens.tolist() == [4, 1, 4]
    assert load.output_tokens.tolist() == [2, 2, 1]


def test_plain_csv_sorts_scales_and_cuts(tmp_path: Path) -> None:
    text = "arrival_s,input_tokens,output_tokens,priority\n10,5,6,1\n0,3,4,0\n20,7,8,0\n"
    load = read_trace(write(tmp_path, text), scale=2.0, limit=2)
    assert load.arrival_s.tolist() == [0.0, 5.0]
    assert load.priority.tolist() == [0, 1]
    assert load.rate == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (AZURE_2023 + "2023-11-16 18:15:52,many,3\n", r":5: ContextTokens: found 'many'"),
        (AZURE_2023 + "yesterday,1,3\n", r":5: TIMESTAMP: found 'yesterday'"),
        (AZURE_2023 + "2023-11-16 18:15:52,5\n", r":5: has 2 fields; the header has 3"),
        (BURST + "x,GPT-4,1,1,2,API\n", r":5: Timestamp: found 'x'"),
        ("arrival_s,input_tokens,output_tokens\n0,1.5,2\n", r":2: input_tokens: found '1.5'"),
        (MOONCAKE + "{not json\n", r":3: not JSON"),
        (MOONCAKE + '{"timestamp": 1, "output_length": 2}\n', r":3: input_length is missing"),
        (SHAREGPT + '\n{"id": "c", "conversations": [{"from": "gpt"}]}\n', r":3: a turn has no text"),
        ("a,b,c\n1,2,3\n", r":1: is no trace format I know"),
        ("arrival_s,input_tokens,output_tokens\n", "holds no answered request"),
    ],
)
def test_a_bad_line_gives_its_number(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_trace(write(tmp_path, text))


def test_a_named_format_needs_its_columns(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"column 'timestamp' is missing"):
        read_trace(write(tmp_path, "a,b\n1,2\n"), format="azure")
    with pytest.raises(InputError, match="no such file"):
        read_trace(tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match="trace format 'azur' is unknown"):
        read_trace(write(tmp_path, AZURE_2023), format="azur")
