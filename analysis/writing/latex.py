"""Tables for papers: rows of text as a LaTeX tabular with the rules of booktabs."""

from collections.abc import Sequence

_SPECIAL = {
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\u00b1": r"$\pm$",
    "\u2212": "$-$",
    "\u00d7": r"$\times$",
    "\u2013": "--",
}


def escape(text: str) -> str:
    """Text as LaTeX prints it; line breaks become spaces."""
    return "".join(_SPECIAL.get(char, char) for char in " ".join(text.split()))


def tabular(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int) -> str:
    """A tabular whose first `left` columns are aligned left and all others right."""
    lines = [
        r"% needs \usepackage{booktabs}",
        rf"\begin{{tabular}}{{{'l' * left}{'r' * (len(header) - left)}}}",
        r"\toprule",
        _row(header),
        r"\midrule",
        *(_row(row) for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return " & ".join(escape(cell) for cell in cells) + r" \\"
