"""The rule book: all rules as data, dated; a new rule is a new entry; bad files are refused with their line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from suanli.controls import RULESETS, Query, holds, load_rulebook, screen
from suanli.controls._book import compile_book, epoch_of, live, read_rules
from suanli.controls._screen import check_ruleset
from suanli.controls._vocabulary import packaged_rules
from suanli.errors import InputError
from tests.controls.items import question

SHIPPED = load_rulebook()


def test_every_rule_is_there_with_citation_and_source() -> None:
    ids = [i for i in SHIPPED.rules if i != "US-PARTY-LISTS"]
    assert len(ids) == 68
    for rule in SHIPPED.rules.values():
        assert rule.citation
        assert rule.data["sources"]
        assert rule.data["title"]


def test_every_rule_has_something_to_say_or_is_not_law() -> None:
    silent = [r.id for r in SHIPPED.rules.values() if not r.clauses]
    assert silent == ["US-BILLS-2025-26"]
    assert SHIPPED.rules["US-BILLS-2025-26"].data["in_force"] is False


def test_the_quick_form_equals_the_form_that_people_edit() -> None:
    path = packaged_rules()
    assert json.loads(path.read_text(encoding="utf-8")) == read_rules(path.with_suffix(".yaml"))


@pytest.mark.parametrize(
    ("rule", "ruleset", "days"),
    [
        ("US-2022-3A090", "as_enforced", {"2022-10-06": 0, "2022-10-07": 1, "2023-11-16": 1, "2023-11-17": 0}),
        ("US-2022-08-LETTERS", "as_enforced", {"2022-08-26": 1, "2022-10-06": 1, "2022-10-07": 0}),
        ("US-2024-3A090C", "as_enforced", {"2024-12-02": 0, "2024-12-30": 0, "2024-12-31": 1}),
        ("US-2025-FDD-PRES", "as_enforced", {"2025-01-16": 0, "2025-01-30": 0, "2025-01-31": 1}),
        ("US-2025-DIFF-WORLD", "as_enforced", {"2025-05-14": 0, "2025-05-15": 0, "2026-01-01": 0}),
        ("US-2025-DIFF-WORLD", "as_written", {"2025-05-14": 0, "2025-05-15": 1, "2026-01-01": 1}),
        ("US-2023-DEST", "as_enforced", {"2025-01-12": 1, "2025-05-20": 1, "2026-08-01": 1}),
        ("US-2024-DCVEU", "as_enforced", {"2024-10-02": 1, "2025-06-01": 1}),
        ("US-2024-DCVEU", "as_written", {"2025-05-14": 1, "2025-05-15": 0}),
        ("US-2025-DIFF-NONENF", "as_enforced", {"2025-05-12": 0, "2025-05-13": 1}),
        ("US-2025-DIFF-NONENF", "as_written", {"2025-05-13": 0}),
        ("US-2025-AFFILIATES", "as_enforced", {"2025-09-28": 0, "2025-09-29": 1, "2025-11-09": 1, "2025-11-10": 0}),
        ("US-2025-AFFILIATES", "as_enforced", {"2026-11-09": 0, "2026-11-10": 1}),
        ("US-2025-AFF-STAY", "as_enforced", {"2025-11-09": 0, "2025-11-10": 1, "2026-11-09": 1, "2026-11-10": 0}),
        ("US-BILLS-2025-26", "as_written", {"2026-06-01": 0}),
        ("US-REMOTE-ACCESS", "as_enforced", {"2022-08-26": 1, "2027-01-01": 1}),
    ],
)
def test_days_on_which_a_rule_holds(rule: str, ruleset: str, days: dict[str, int]) -> None:
    assert {d: int(holds(SHIPPED, SHIPPED.rules[rule], d, check_ruleset(ruleset))) for d in days} == days


def test_groups_are_dated() -> None:
    for day, inside in (("2026-02-02", True), ("2026-02-03", False)):
        assert ("KH" in live(SHIPPED, epoch_of(SHIPPED, day), "as_enforced").groups["D5"]) is inside
    for day, inside in (("2026-07-09", False), ("2026-07-10", True)):
        groups = live(SHIPPED, epoch_of(SHIPPED, day), "as_enforced").groups
        assert ("AE" in groups["A5"]) is inside
        assert ("AE" in groups["D4"]) is not inside
    assert "MO" in live(SHIPPED, "2024-04-04", "as_enforced").groups["MO_D5"]


@pytest.mark.parametrize("date", ["2023-01-17", "2024-03-20", "2025-05-14", "2026-11-08"])
def test_nothing_changes_between_days_of_change(date: str) -> None:
    """The list of days is finite and complete: a day and the start of its span see the same rules and groups."""
    start = epoch_of(SHIPPED, date)
    for ruleset in RULESETS:
        for rule in SHIPPED.rules.values():
            assert holds(SHIPPED, rule, date, ruleset) == holds(SHIPPED, rule, start, ruleset), rule.id


MADE_UP = """
rules:
- id: US-2030-MADE-UP
  jurisdiction: US
  title: A made-up rule on toys
  citation: none, made up for a test
  effective: 2030-01-01
  ends: 2030-12-31
  verified: hypothetical
  sources: [this test]
  lists: {named_items: {Acme: [Toy 9]}}
  parameters:
  - {name: speed, fact: mem_bw_gbs, op: ">=", value: 300, unit: GB/s}
  clauses:
  - phase: letter
    when: "item_named(named_items) and mem_bw_gbs >= @speed and destination in [FR, NO]"
    answer: {outcome: LICENCE_REQUIRED, eccn: is_informed, presumption: case_by_case}
    say: "toys of this speed need a licence for France and Norway"
    check: ["whether the toy plays chess"]
"""


def test_a_made_up_rule_speaks(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(MADE_UP, encoding="utf-8")
    book = load_rulebook(path)
    toy = "supplier=Acme;chip=Acme Toy 9 Pro;to=NO"
    for date, stated, expected in (
        ("2030-01-01", toy, "LICENCE_REQUIRED"),
        ("2030-12-31", toy, "LICENCE_REQUIRED"),
        ("2029-12-31", toy, "NOT_LISTED"),
        ("2031-01-01", toy, "NOT_LISTED"),
        ("2030-06-01", toy + ";mem_bw_gbs=299", "NOT_LISTED"),
        ("2030-06-01", toy + ";mem_bw_gbs=", "UNDETERMINED"),
        ("2030-06-01", toy.replace("NO", "SE"), "NOT_LISTED"),
        ("2030-06-01", toy.replace("Toy 9", "Toy 99"), "NOT_LISTED"),
    ):
        query, _ = question(date, "T4", stated)
        ruling = screen(query, rulebook=book)
        assert ruling.outcome == expected, (date, stated)
        assert (expected != "NOT_LISTED") == ("whether the toy plays chess" in ruling.to_check)
    query, _ = question("2030-06-01", "T4", toy)
    ruling = screen(query, rulebook=path)
    assert [r.citation for r in ruling.remarks if r.rule == "US-2030-MADE-UP"] == ["none, made up for a test"]
    assert any(t.rule == "US-2030-MADE-UP" and t.value == 320 and t.limit == 300 for t in ruling.thresholds)
    assert screen(query).outcome == "NOT_LISTED"


def test_an_entry_of_ones_own_replaces_ours(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    text = MADE_UP.replace("US-2030-MADE-UP", "US-2025-04-LETTERS").replace("2030", "2025")
    path.write_text(text, encoding="utf-8")
    query, _ = question("2025-06-01", "H20", "")
    assert screen(query).outcome == "LICENCE_REQUIRED"
    assert screen(query, rulebook=path).outcome == "NOT_LISTED"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  citation: none, made up for a test\n", "", ":3: rules.0.citation: is missing"),
        ("  title:", "  titel:", "rules.0.title: is missing"),
        ("verified: hypothetical", "verified: guessed", ":9: rules.0.verified:"),
        ("effective: 2030-01-01", "effective: soon", ":7: rules.0.effective:"),
        ("outcome: LICENCE_REQUIRED", "outcome: LICENSE", "unknown outcome 'LICENSE'"),
        ("phase: letter", "phase: leter", "unknown phase 'leter'; did you mean 'letter'"),
        ("mem_bw_gbs >=", "mem_bw >=", "unknown name 'mem_bw'"),
        ("[FR, NO]", "[FR, XQ]", "'XQ' is no value of destination"),
        ("@speed", "@sped", "no parameter 'sped'; did you mean 'speed'"),
        ("item_named(named_items)", "item_named(items)", "the rule has no list 'items'"),
        ("    check:", "    flag: true\n    check:", "exactly one of"),
        ("  clauses:", "  clauses: [", ": not valid YAML"),
        ("  ends: 2030-12-31", "  superseded: {by: US-NONE, on: 2030-05-05}", "is superseded by 'US-NONE'"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "own.yaml"
    assert old in MADE_UP
    path.write_text(MADE_UP.replace(old, new), encoding="utf-8")
    with pytest.raises(InputError) as error:
        load_rulebook(path)
    assert message in str(error.value)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_terms_and_groups_are_checked() -> None:
    data = json.loads(packaged_rules().read_text(encoding="utf-8"))
    data["rules"][1]["clauses"].append({"phase": "classify", "when": "", "set": {"klass": "none"}})
    with pytest.raises(InputError, match="unknown term 'klass'"):
        compile_book(data)
    data["rules"][1]["clauses"][-1]["set"] = {"class": "3A999"}
    with pytest.raises(InputError, match="sets class to '3A999'"):
        compile_book(data)
    del data["rules"][1]["clauses"][-1]
    data["groups"]["D1"][0]["members"].append("HK")
    with pytest.raises(InputError, match="group D1: unknown country 'HK'"):
        compile_book(data)


def test_a_users_folder_takes_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rules.yaml").write_text(MADE_UP, encoding="utf-8")
    monkeypatch.setenv("SUANLI_CATALOG", str(tmp_path))
    assert "US-2030-MADE-UP" in load_rulebook().rules
    monkeypatch.delenv("SUANLI_CATALOG")
    assert "US-2030-MADE-UP" not in load_rulebook().rules
    assert screen(Query(date="2025-01-01", destination="US")).outcome
