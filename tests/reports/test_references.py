"""References: the list is complete and of one form, trials come from records, files hold hostile text."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from mtmeta.audit.run import AnalysisRun
from mtmeta.records.folder import Studies
from mtmeta.records.schema import Study
from mtmeta.reports.document import Cite, Document, Link, Paragraph, Reference, Section, plain
from mtmeta.reports.publish import write_report
from mtmeta.reports.references import (
    bibtex,
    cited,
    cited_references,
    csl_json,
    key_of_trial,
    method_reference,
    method_references,
    trial_reference,
)


def made(**citation: Any) -> Study:
    return Study.model_validate(
        {
            "schema": 1,
            "id": "made-2001",
            "label": "Made 2001",
            "citation": citation,
            "conditions": ["cardiac"],
            "design": {},
            "population": {},
            "intervention": {},
            "comparator": {},
            "outcomes": [],
        }
    )


def links(reference: Reference) -> list[Link]:
    return [p for p in reference.spans if isinstance(p, Link)]


def test_every_method_has_what_a_reference_needs() -> None:
    found = method_references()
    assert len(found) >= 50
    assert len({r.key for r in found}) == len({r.label for r in found}) == len(found)
    for reference in found:
        csl = reference.csl
        assert csl["title"]
        assert csl["author"]
        assert 1900 < csl["issued"]["date-parts"][0][0] <= 2026
        assert "container-title" in csl or "publisher" in csl
        assert str(csl["issued"]["date-parts"][0][0]) in reference.label
        assert csl["author"][0].get("family", csl["author"][0].get("literal")) in plain(reference.spans)
        for link in links(reference):
            assert link.address is not None, reference.key
        assert ("DOI" in csl) == bool(links(reference))


def test_a_reference_is_written_like_vancouver() -> None:
    assert plain(method_reference("viechtbauer-2005").spans) == (
        "Viechtbauer W. Bias and efficiency of meta-analytic variance estimators in the random-effects "
        "model. J Educ Behav Stat. 2005;30(3):261-293. doi:10.3102/10769986030003261"
    )
    many = plain(method_reference("guyatt-2011-bias").spans)
    assert many.startswith("Guyatt GH, Oxman AD, Vist G, Kunz R, Brozek J, Alonso-Coello P, et al. GRADE")
    assert " no effect? The case" not in many
    assert "effect? The case of major depressive disorders. Depress" in plain(
        method_reference("cuijpers-2014").spans
    )


def test_every_record_gives_a_reference(records: Studies) -> None:
    keys = set()
    for study in records:
        reference = trial_reference(study)
        keys.add(reference.key)
        text = plain(reference.spans)
        assert text.strip()
        assert "None" not in text
        assert ".." not in text
        assert len(links(reference)) <= 2
        assert all(link.address for link in links(reference))
    assert len(keys) == len(records)


def test_parts_that_are_not_known_are_left_out() -> None:
    assert plain(trial_reference(made()).spans) == "Made 2001: the record holds no full reference."
    assert plain(trial_reference(made(text="Made 2001")).spans).startswith("Made 2001: the record holds")
    assert plain(trial_reference(made(title="Music!", year=2001)).spans) == "Music! 2001."
    told = made(authors=["Made A", "et al."], title="Music", journal="J", year=2001, pages="3-9", pmid=7)
    assert plain(trial_reference(told).spans) == "Made A, et al. Music. J. 2001, 3-9. PMID 7"


@pytest.mark.parametrize(
    "doi", ['10.1000/"onclick=alert(1)', "10.1000/<script>", "10.1000/a{b}%c", "10.1000/\\input"]
)
def test_a_doi_of_no_right_form_links_nowhere(doi: str) -> None:
    reference = trial_reference(made(doi=doi, title="T"))
    for link in links(reference):
        assert link.address is None or re.fullmatch(r"https://doi\.org/[-\w./%();:<>]+", link.address)
    assert "javascript" not in csl_json([reference])


def test_texts_are_cited_where_they_name_works() -> None:
    said = cited("REML (Viechtbauer 2005), Hartung and Knapp (2001), Röver et al. 2021, and Viechtbauer 2004")
    assert [p.key for p in said if isinstance(p, Cite)] == [
        "method-viechtbauer-2005",
        "method-hartung-2001",
        "method-rover-2021",
    ]
    assert plain(said).endswith("and Viechtbauer 2004")
    assert cited("nothing") == cited("nothing")
    assert plain(cited("")) == ""


def test_cited_references_stand_in_the_order_of_citation() -> None:
    study = made(title="T")
    section = Section(
        "a",
        "A",
        (
            Paragraph.of(Cite("method-sidik-2002"), Cite(key_of_trial(study))),
            Paragraph.of(Cite("method-hartung-2001"), Cite("method-sidik-2002")),
        ),
    )
    found = cited_references([section], [study])
    assert [r.key for r in found] == ["method-sidik-2002", "trial-made-2001", "method-hartung-2001"]
    Document("T", (section,), found)


HOSTILE = '<script>alert(1)</script> \\input{/etc/passwd} $x^2$ 100% & #1 _a_ ~ "q" {{7*7}} }'


def test_files_hold_hostile_text_as_text() -> None:
    study = made(authors=[HOSTILE, "Made A"], title=HOSTILE, journal=HOSTILE, volume="1%", pages="1-2")
    reference = trial_reference(study)
    assert plain(reference.spans).count("<script>") == 3
    (item,) = json.loads(csl_json([reference]))
    assert item["title"] == HOSTILE
    text = bibtex([reference])
    bare = re.sub(r"\\(?:textbackslash|textasciitilde|textasciicircum)\{\}|\\[{}$&#_%]", "", text)
    body = bare.split(",\n", 1)[1]
    assert "\\" not in body
    assert not re.search(r"[$&#_%~^\"]", body)
    assert bare.count("{") == bare.count("}")
    assert text.startswith("@article{trial-made-2001,\n")


def test_bibtex_of_all_methods_is_balanced() -> None:
    text = bibtex(method_references())
    assert text.count("{") == text.count("}")
    assert text.count("\n@") == len(method_references()) - 1
    assert "author = {Higgins, JPT and Altman, DG and Gøtzsche, PC" in text
    assert " and others}" in text


def test_markdown_and_latex_bring_their_references_as_files(
    tmp_path: Path, runs: dict[str, AnalysisRun]
) -> None:
    written = write_report([runs["schizophrenia-panss"]], tmp_path, formats=("md", "tex"))
    assert {"references.json", "references.bib"} <= {path.name for path in written}
    keys = {item["id"] for item in json.loads((tmp_path / "references.json").read_text(encoding="utf-8"))}
    text = (tmp_path / "references.bib").read_text(encoding="utf-8")
    assert keys == set(re.findall(r"^@\w+\{([^,]+),$", text, flags=re.MULTILINE))
    assert "method-viechtbauer-2005" in keys
