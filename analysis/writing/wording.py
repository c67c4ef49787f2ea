"""Numbers in words: percent, points with their intervals, costs and prices."""

from analysis.uncertainty import MIN_BLOCKS, Estimate

PLUS_MINUS = "\u00b1"
MINUS = "\u2212"
TIMES = "\u00d7"
NONE = "\u2013"


def percent(value: Estimate | float | None) -> str:
    """A fraction as a percentage, with its interval (or standard error) if it has one; no unit sign."""
    return _number(value, signed=False)


def points(value: Estimate | float | None) -> str:
    """A difference of fractions in points, with sign and interval."""
    return _number(value, signed=True)


def amount(value: Estimate) -> str:
    """The size of a difference in points, without its sign, for sentences that say more or less."""
    absolute = Estimate(value=abs(value.value), se=value.se, half_width=value.half_width, blocks=value.blocks)
    return _number(absolute, signed=False)


def plain(value: Estimate | float | None) -> str:
    """A number as it is, with its interval (or standard error) if it has one."""
    if value is None:
        return NONE
    if not isinstance(value, Estimate):
        return _rounded(value)
    if value.half_width is not None:
        return f"{_rounded(value.value)} {PLUS_MINUS} {value.half_width:.2f}"
    return _rounded(value.value) if value.se is None else f"{_rounded(value.value)} (se {value.se:.2f})"


def chance(value: float | None) -> str:
    """A probability."""
    if value is None:
        return NONE
    return "< 0.01" if value < 0.01 else "> 0.99" if value > 0.99 else f"{value:.2f}"


def cost(value: float | None) -> str:
    """A count of operations with an SI prefix."""
    if value is None:
        return NONE
    for size, prefix in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g} {prefix}"
    return f"{value:.3g}"


def share(value: float | None) -> str:
    """A cost as a multiple of another."""
    return NONE if value is None else f"{value:.2f}{TIMES}"


def seconds(value: float | None) -> str:
    """A duration."""
    if value is None:
        return NONE
    if value < 120:
        return f"{value:.3g} s"
    return f"{value / 60:.3g} min" if value < 7200 else f"{value / 3600:.3g} h"


def prices(low: float, high: float | None) -> str:
    """The prices at which a point is best, in AZS points per AKA point."""
    if high is None:
        return f"more than {low:.2f}" if low > 0 else "any price"
    return f"less than {high:.2f}" if low == 0 else f"{low:.2f} to {high:.2f}"


def blocks_note(blocks: int) -> str:
    """What a plus-minus means with this many blocks."""
    if blocks >= MIN_BLOCKS:
        return f"{PLUS_MINUS} is a 95 % interval over {blocks} blocks (Student's t, {blocks - 1} degrees of freedom)"
    if blocks == MIN_BLOCKS - 1:
        return "with 2 blocks only standard errors (se) are given: an interval would be too wide to use"
    return "with one block there is no measure of noise: no interval and no standard error"


def _number(value: Estimate | float | None, *, signed: bool) -> str:
    if value is None:
        return NONE
    if not isinstance(value, Estimate):
        return _digits(value, signed=signed)
    text = _digits(value.value, signed=signed)
    if value.half_width is not None:
        return f"{text} {PLUS_MINUS} {100 * value.half_width:.2f}"
    return text if value.se is None else f"{text} (se {100 * value.se:.2f})"


def _rounded(value: float) -> str:
    text = f"{value:.2f}"
    return ("0.00" if float(text) == 0 else text).replace("-", MINUS)


def _digits(value: float, *, signed: bool) -> str:
    text = f"{100 * value:{'+' if signed else ''}.2f}"
    if float(text) == 0:
        text = "0.00"
    return text.replace("-", MINUS)


def upper(text: str) -> str:
    """The text with a capital letter in front."""
    return text[0].upper() + text[1:]
