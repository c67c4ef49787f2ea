"""LaTeX tables: whole rows, and nothing of a user's that LaTeX would run."""

from hypothesis import given
from hypothesis import strategies as st

from analysis.writing import latex


def test_a_table() -> None:
    found = latex.tabular(("method", "gain"), [("LoRA_1 & co", "+0.50 \u00b1 0.10")], left=1)
    assert r"\begin{tabular}{lr}" in found
    assert r"LoRA\_1 \& co & +0.50 $\pm$ 0.10 \\" in found
    assert found.endswith("\\end{tabular}\n")


@given(st.text())
def test_no_command_of_a_users_text_survives(text: str) -> None:
    found = latex.escape(text)
    for command in (r"\textbackslash{}", r"\textasciitilde{}", r"\textasciicircum{}", r"$\pm$", r"$\times$", "$-$"):
        found = found.replace(command, "")
    for char in "&%$#_{}":
        found = found.replace(f"\\{char}", "")
    assert not set(found) & set("\\&%$#_{}~^\n\r")
