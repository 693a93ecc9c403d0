from __future__ import annotations

import pytest

from mtmeta.errors import UsageError
from mtmeta.reports.document import (
    Cell,
    Cite,
    Column,
    Document,
    Jump,
    Link,
    Number,
    Paragraph,
    Reference,
    Section,
    Table,
    TableRow,
    doi_address,
    numbers_of,
    plain,
    pmid_address,
    spans,
)


def page(*parts: object, references: tuple[Reference, ...] = ()) -> Document:
    return Document("Title", (Section("one", "One", (Paragraph.of(*parts),)),), references)  # type: ignore[arg-type]


def test_a_citation_needs_its_reference() -> None:
    with pytest.raises(UsageError, match="cites white-1999"):
        page("Found by ", Cite("white-1999"))
    assert page(
        "Found by ", Cite("white-1999"), references=(Reference("white-1999", "White 1999", spans("White.")),)
    )


def test_a_jump_needs_its_target() -> None:
    with pytest.raises(UsageError, match="points to two"):
        page(Jump("there", "two"))
    with pytest.raises(UsageError, match="points to two"):
        page(Number("1", 1.0, jump="two"))
    assert page(Jump("here", "one"))


def test_an_id_stands_once() -> None:
    with pytest.raises(UsageError, match="ids stand twice in the report: one"):
        Document("T", (Section("one", "A"), Section("one", "B")))


@pytest.mark.parametrize("name", ["", "Two", "a b", 'x"y', "a--b", "-a", "a\n"])
def test_ids_have_one_form(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be an id"):
        Section(name, "A")


def test_a_row_has_a_cell_for_each_column() -> None:
    with pytest.raises(UsageError, match="1 cells for 2 columns"):
        Table("t", "c", (Column("a"), Column("b")), (TableRow((Cell.of("x"),)),))


def test_numbers_are_found_wherever_they_stand() -> None:
    inner = Paragraph.of(Number("3", 3.0))
    table = Table(
        "t",
        "c",
        (Column("a"),),
        (TableRow((Cell.of(Number("2", 2.0)),), detail=(inner,)),),
        notes=(spans(Number("4", 4.0)),),
    )
    document = Document("T", (Section("one", "A", (Paragraph.of("x ", Number("1", 1.0)), table)),))
    assert sorted(n.text for n in numbers_of(document)) == ["1", "2", "3", "4"]


def test_a_lone_number_sorts_by_its_value() -> None:
    assert Cell.of(Number("<0.001", 0.0002)).sort == 0.0002
    assert Cell.of("k ", Number("3", 3.0)).sort is None


@pytest.mark.parametrize(
    "doi",
    [None, "", "10.1/x", "10.1000/", "10.1000/a b", '10.1000/"x', "10.1000/a'b", "10.1000/\u202ex", "https://doi.org/10.1000/x",
     "javascript:alert(1)", "10.1000/x\n", "10.1000/" + "x" * 300],
)  # fmt: skip
def test_what_is_no_doi_becomes_no_link(doi: str | None) -> None:
    assert doi_address(doi) is None
    assert Link("x", doi=doi).address is None


def test_a_doi_of_the_older_form_is_escaped() -> None:
    assert doi_address("10.1002/(SICI)1097-0258(19990915)18:17<2341::AID-SIM2>3.0.CO;2-K") == (
        "https://doi.org/10.1002/(SICI)1097-0258(19990915)18:17%3C2341::AID-SIM2%3E3.0.CO;2-K"
    )


@pytest.mark.parametrize("pmid", [0, -1, 10**9, True, "1"])
def test_what_is_no_pmid_becomes_no_link(pmid: object) -> None:
    assert pmid_address(pmid) is None  # type: ignore[arg-type]


def test_plain_words() -> None:
    assert plain(spans("SMD ", Number("-0.48"), " ", Cite("a"), Link(", x", pmid=3))) == "SMD -0.48 [a], x"
