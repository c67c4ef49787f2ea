"""The table of claims: numbers that stay, every claim once, and its source."""

from collections import Counter
from pathlib import Path

import pytest

from analysis.findings.claims import CLAIMS, TERMS, Claim, by_number
from analysis.findings.streams import orderings_end_alike


def test_twenty_five_of_two_papers_come_first() -> None:
    assert list(CLAIMS) == list(range(1, len(CLAIMS) + 1))
    assert (
        len({claim.text for claim in CLAIMS.values()}) == len({claim.test for claim in CLAIMS.values()}) == len(CLAIMS)
    )
    assert Counter(CLAIMS[number].source.split(",")[0] for number in range(1, 26)) == {
        "arXiv 2408.14471": 21,
        "arXiv 2412.06712": 4,
    }
    assert all(CLAIMS[number].source == "arXiv 2412.06712" for number in range(22, 26))
    assert all("section 5" in CLAIMS[number].source for number in range(1, 11))
    assert all("section 6" in CLAIMS[number].source for number in range(11, 19))


def test_the_words_of_the_rules_say_which_claims_compare_methods() -> None:
    assert "from 9 on, but for 17 and 21, at full fine-tuning alone" in TERMS
    assert {number for number in range(1, 26) if CLAIMS[number].of == "methods"} == {*range(1, 9), 17, 21}


def test_reports_cite_these_numbers() -> None:
    """A number that moves to another claim would make earlier reports wrong."""
    cited = {4: "rank_moves_along_the_line", 8: "si_brings_nothing", 19: "orderings_end_alike", 25: "advantage_grows"}
    assert {number: CLAIMS[number].test.__name__ for number in cited} == cited


def test_the_docs_say_every_rule() -> None:
    """The page has the words of the rules and a row for each; what this prints where it fails can be pasted."""
    page = (Path(__file__).parents[3] / "docs" / "report.md").read_text(encoding="utf-8")
    table = "\n".join(f"| {claim.number} | {claim.text} | {claim.rule} |" for claim in CLAIMS.values())
    assert f"\n{TERMS}\n" in page, TERMS
    assert f"\n|---|---|---|\n{table}\n" in page, table


def test_two_claims_with_one_number_are_refused() -> None:
    one, other = (
        Claim(number=7, text=text, rule="", source="", test=orderings_end_alike) for text in ("First.", "Second.")
    )
    with pytest.raises(ValueError, match=r"two claims have the number 7: 'First\.' and 'Second\.'; give the newer"):
        by_number(one, other)
