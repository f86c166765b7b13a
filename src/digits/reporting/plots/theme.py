"""What still and interactive pictures share: colours and the way numbers are written."""

# Okabe & Ito, "Color Universal Design" (2008): told apart with every kind of colour blindness
BLUE = "#0072B2"
VERMILION = "#D55E00"
# told apart by lightness
RED = "#C4122F"
PALE_GREY = "#C4C4C4"
SERIES = [BLUE, "#E69F00", "#009E73", "#CC79A7", "#56B4E9", VERMILION, "#000000", "#B8A800"]
GREY = "#8C8C8C"
INK = "#1F2328"


def series_colour(index: int) -> str:
    """The colour of the n-th series; after eight they start again."""
    return SERIES[index % len(SERIES)]


def percent(count: int, total: int) -> str:
    """`count` of `total` in per cent with one decimal; never rounds to 0 or 100 what is neither.

    `n/a` where the total is 0.
    """
    if total == 0:
        return "n/a"
    if count in (0, total):
        return f"{100 * count // total} %"
    share = 100 * count / total
    if share < 0.05:
        return "<0.1 %"
    return ">99.9 %" if share >= 99.95 else f"{share:.1f} %"
