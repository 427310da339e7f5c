"""Blocks of a page: what is written plainly is what rich prints where there is room for everything."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dsrkit.report import plain
from dsrkit.report.blocks import Column, Placed, Table, Text
from dsrkit.report.page import Page, bullet
from dsrkit.report.terminal import printed

LINES = st.text(st.sampled_from("ab0 ,:→─±…é漢🙂"), max_size=12)
TEXTS = st.lists(LINES, min_size=1, max_size=3).map("\n".join)
STYLES = st.sampled_from(["", "bold", "dim"])
MARKED = st.builds(
    lambda first, style, more: Text.assemble((first, style), *more),
    TEXTS,
    STYLES,
    st.lists(st.tuples(TEXTS, STYLES), max_size=2),
)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    titled = draw(st.booleans())
    columns = draw(
        st.lists(st.builds(Column, title=LINES if titled else st.just(""), right=st.booleans()), min_size=1, max_size=4)
    )
    table = Table(*columns, gap=draw(st.integers(1, 2)), titled=titled)
    table.add_row(*(draw(LINES.filter(str.strip)) for _ in columns))  # rich cuts tables whose columns hold nothing
    for _ in range(draw(st.integers(0, 3))):
        table.add_row(*(draw(MARKED | TEXTS) for _ in columns))
    return table


def stripped(text: str) -> list[str]:
    return [line.rstrip(" ") for line in text.splitlines()]


@given(st.lists(st.tuples(MARKED | tables(), st.integers(0, 4), st.integers(0, 2)), max_size=4))
def test_plain_blocks_are_those_of_a_wide_terminal(blocks: list[Placed]) -> None:
    assert stripped(plain.written(blocks)) == stripped(printed(blocks, color=False, width=None))


def test_a_page_is_folded_where_it_has_a_width_and_coloured_where_asked_for() -> None:
    page = Page()
    page.heading("Found")
    page.add(bullet("one " * 12 + "end"), indent=2)
    assert page.text(color=False, width=None) == "\nFound\n    - " + "one " * 12 + "end\n"
    assert page.text(color=False, width=40).splitlines()[2:] == [
        "    - " + "one " * 7 + "one",
        "      one one one one end",
    ]
    assert page.text(color=True, width=None).startswith("\n\x1b[1mFound\x1b[0m\n")
