"""Files of other programs become records that pass their checks; hostile ones are refused in a sentence."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from mtmeta.audit.check import check_paths
from mtmeta.errors import RecordError, UsageError
from mtmeta.records.folder import read_studies
from mtmeta.records.importers import Imported, ImportMap, import_file
from mtmeta.records.importers.safety import MAX_BYTES
from mtmeta.records.schema import Study
from mtmeta.records.write import write_study

SAMPLES = Path(__file__).with_name("samples")


def written(tmp_path: Path, name: str, content: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def table(tmp_path: Path, text: str, **settings: Any) -> Imported:
    return import_file(written(tmp_path, "table.csv", text), map=ImportMap.model_validate(settings))


def by_id(found: Imported) -> dict[str, Study]:
    return {study.id: study for study in found.studies}


def passes_check(found: Imported, tmp_path: Path) -> None:
    folder = tmp_path / "checked"
    for study in found.studies:
        write_study(study, folder)
    assert len(read_studies(folder)) == len(found.studies)
    findings, counted = check_paths([folder])
    assert counted.records == len(found.studies)
    assert [f for f in findings if f.severity == "error"] == []


# ---- RevMan 5 ----


@pytest.fixture(scope="module")
def revman() -> Imported:
    return import_file(SAMPLES / "made_up.rm5")


def test_revman_5_studies_and_references(revman: Imported, tmp_path: Path) -> None:
    studies = by_id(revman)
    assert list(studies) == ["alpha-2001", "gomez-beta-2002a", "gamma-2003", "delta-2004"]
    alpha = studies["alpha-2001"]
    assert alpha.citation.authors == ("Alpha AB", "Beta C")
    assert alpha.citation.title == "A made-up trial of <music>"
    assert (alpha.citation.doi, alpha.citation.pmid) == ("10.9999/made.up.2001", 999999991)
    assert alpha.population.description == "Made-up adults & elders"
    assert alpha.design.as_printed == "Parallel, randomised trial"
    assert alpha.reviews == ("CD999999",)
    assert alpha.risk_of_bias is not None
    assert alpha.risk_of_bias.model_dump(exclude_none=True) == {
        "tool": "RoB 1",
        "random_sequence": "low",
        "blinding_participants": "high",
        "judged_by": "CD999999",
    }
    passes_check(revman, tmp_path)


def test_revman_5_rows_of_every_kind(revman: Imported) -> None:
    studies = by_id(revman)
    anxiety = studies["alpha-2001"].outcome("state-anxiety")
    assert (anxiety.construct_, anxiety.time, anxiety.comparator) == ("anxiety", "short term", "usual care")
    assert anxiety.data.model_dump(exclude_none=True)["control"] == {"mean": 36.25, "sd": 9.2, "n": 19}
    assert anxiety.reported is not None
    assert (anxiety.reported.estimate, anxiety.reported.weight_percent) == (-0.55, 60.5)
    early = studies["alpha-2001"].outcome("leaving-the-study-early").data
    assert early.model_dump()["music"] == {"events": 2, "n": 20}
    response = studies["delta-2004"].outcome("response").data.model_dump()
    assert (response["measure"], response["scale"], response["estimate"]) == ("OR", "log", 0.5596)
    hazard = studies["delta-2004"].outcome("time-to-discharge").data.model_dump()
    assert hazard["estimate"] == pytest.approx(-3.2 / 5.1)
    assert hazard["se"] == pytest.approx(5.1**-0.5)


def test_a_row_that_stands_in_two_forests_is_one_outcome(revman: Imported) -> None:
    outcomes = by_id(revman)["alpha-2001"].outcomes
    assert [o.id for o in outcomes] == ["state-anxiety", "leaving-the-study-early"]
    assert len(outcomes[0].used_in) == 1  # both forests are called the same


def test_what_revman_5_holds_and_cannot_be_read_is_listed(revman: Imported) -> None:
    told = [str(problem) for problem in revman.not_read]
    assert len(told) == 4
    for words in ("What people said", "Nobody-2099", "SD of 0", "14 events among 12"):
        assert sum(words in text for text in told) == 1
    gamma = by_id(revman)["gamma-2003"].outcomes
    assert {o.data.kind for o in gamma} == {"narrative"}
    assert "sd 0.0" in gamma[0].data.model_dump()["printed"]


# ---- tables ----


def test_metafors_layouts(tmp_path: Path) -> None:
    found = table(
        tmp_path,
        "author,year,m1i,sd1i,n1i,m2i,sd2i,n2i\nBeta et al.,2002,10,2,20,8.5,3,25\n",
        defaults={"construct": "pain", "time": "post", "value": "final", "condition": "icu"},
    )
    (study,) = found.studies
    assert (study.id, study.label, study.citation.year, study.conditions) == (
        "beta-2002",
        "Beta 2002",
        2002,
        ("icu",),
    )
    (outcome,) = study.outcomes
    assert (outcome.construct_, outcome.time, outcome.value) == ("pain", "post", "final")
    cells = table(tmp_path, "trial,author,year,tpos,tneg,cpos,cneg\n1,Gamma,1999,4,16,9,11\n")
    assert cells.studies[0].id == "gamma-1999"
    assert cells.studies[0].outcomes[0].data.model_dump()["control"] == {"events": 9, "n": 20}
    effects = table(tmp_path, "study,yi,vi\nGamma 1999,0.4,0.04\n", defaults={"measure": "OR"})
    data = effects.studies[0].outcomes[0].data.model_dump()
    assert (data["measure"], data["scale"], data["se"]) == ("OR", "log", pytest.approx(0.2))
    rates = table(tmp_path, "study,x1i,t1i,x2i,t2i\nGamma 1999,4,100,9,110.5\n")
    assert rates.studies[0].outcomes[0].data.kind == "rates"
    correlation = table(tmp_path, "study,ri,ni\nGamma 1999,0.35,50\n")
    assert correlation.studies[0].outcomes[0].data.kind == "correlation"
    for found in (cells, effects, rates, correlation):
        passes_check(found, tmp_path / found.studies[0].outcomes[0].data.kind)


METAPSY = (
    "study;year;condition_arm1;condition_arm2;multi_arm1;multi_arm2;outcome_type;instrument;time;time_weeks;"
    "rating;mean_arm1;mean_arm2;sd_arm1;sd_arm2;n_arm1;n_arm2;mean_change_arm1;mean_change_arm2;"
    "sd_change_arm1;sd_change_arm2;n_change_arm1;n_change_arm2;event_arm1;event_arm2;totaln_arm1;"
    "totaln_arm2;precalc_g;precalc_g_se;precalc_log_rr;precalc_log_rr_se\n"
    "Alpha, 2001;2001;mt;wl;NA;NA;msd;bdi-2;post;8;self-report;10,5;14,25;5;6,1;20;22" + ";NA" * 14 + "\n"
    "Alpha, 2001;2001;mt;wl;NA;NA;response;bdi-2;post;8;self" + ";NA" * 12 + ";12;5;20;22" + ";NA" * 4 + "\n"
    "Beta, 2002;2002;mt;other ctr;drum;NA;msd;ham-d;fu;26;clin" + ";NA" * 6
    + ";-3,5;-1,2;4;4,4;31;30" + ";NA" * 8 + "\n"
    "Gamma, 2003;2003;mt;cau;NA;NA;msd;phq-9;post;NA;self-report" + ";NA" * 16 + ";-0,61;0,2;NA;NA\n"
    "Delta, 2004;2004;mt;cau;NA;NA;remission;phq-9;post;12;self-report" + ";NA" * 18 + ";0,44;0,21\n"
    "Empty, 2005;2005;mt;cau;NA;NA;msd;phq-9;post;12;self-report" + ";NA" * 20 + "\n"
)  # fmt: skip


def test_the_metapsy_standard(tmp_path: Path) -> None:
    """Semicolons, decimal commas, NA; a row an arm comparison, five groups of columns."""
    found = table(
        tmp_path,
        METAPSY,
        values={"construct": {"bdi-2": "depression", "ham-d": "depression", "phq-9": "depression"}},
    )
    studies = by_id(found)
    assert list(studies) == ["alpha-2001", "beta-2002", "gamma-2003", "delta-2004"]
    means, response = studies["alpha-2001"].outcomes
    assert means.data.model_dump(exclude_none=True)["music"] == {"mean": 10.5, "sd": 5.0, "n": 20}
    assert (means.construct_, means.instrument, means.time, means.weeks, means.comparator) == (
        "depression",
        "bdi-2",
        "post",
        8,
        "wait list",
    )
    assert response.data.model_dump()["music"] == {"events": 12, "n": 20}
    (change,) = studies["beta-2002"].outcomes
    assert (change.data.kind, change.time, change.value, change.intervention) == (
        "changes",
        "follow-up",
        "change",
        "drum",
    )
    assert "other ctr" in (change.note or "")
    assert studies["gamma-2003"].outcomes[0].data.model_dump()["estimate"] == -0.61
    assert studies["delta-2004"].outcomes[0].data.model_dump()["scale"] == "log"
    assert [(p.line, p.field) for p in found.not_read] == [(7, "Empty 2005")]
    passes_check(found, tmp_path)


def test_any_table_with_a_map(tmp_path: Path) -> None:
    text = (
        "Autor\tMusik M\tMusik SD\tMusik n\tKontrolle M\tKontrolle SD\tKontrolle n\tSkala\n"
        "Möller 2011\t3,5\t1\t20\t4,5\t1,1\t19\tVAS\n"
    )
    (tmp_path / "map.yaml").write_text(
        "columns: {study: Autor, m1: Musik M, sd1: Musik SD, n1: Musik n, m2: Kontrolle M,\n"
        "  sd2: Kontrolle SD, n2: Kontrolle n, instrument: Skala}\n"
        "values:\n  construct: {VAS: pain}\ndecimal: ','\n"
        "defaults: {condition: cancer, better: lower, cite: made up}\n",
        encoding="utf-8",
    )
    found = import_file(written(tmp_path, "t.tsv", text), map=tmp_path / "map.yaml")
    (study,) = found.studies
    assert (study.id, study.label) == ("moller-2011", "Möller 2011")
    assert (study.outcomes[0].construct_, study.outcomes[0].better) == ("pain", "lower")
    assert study.outcomes[0].data.model_dump()["music"]["mean"] == 3.5


def test_rows_with_only_a_test_or_medians_are_read(tmp_path: Path) -> None:
    text = (
        "study,n1,n2,t,f,p,direction,median1,q1_1,q3_1,median2,q1_2,q3_2\n"
        "A 2001,20,21,-2.1,,,,,,,,,\nB 2002,20,21,,4.4,,lower,,,,,,\n"
        "C 2003,20,21,,,<0.05,higher,,,,,,\nD 2004,40,41,,,,,8,5,12,7,5,11\n"
    )
    found = table(tmp_path, text)
    data = {s.id: s.outcomes[0].data.model_dump() for s in found.studies}
    assert (data["a-2001"]["statistic"], data["a-2001"]["music_is"]) == ("t", "lower")
    assert (data["b-2002"]["statistic"], data["b-2002"]["value"]) == ("F", 4.4)
    assert (data["c-2003"]["p"], data["c-2003"]["music_is"]) == ("<0.05", "higher")
    assert data["d-2004"]["music"]["q3"] == 12
    passes_check(found, tmp_path)


def test_unreadable_rows_are_listed_and_the_rest_is_read(tmp_path: Path) -> None:
    text = (
        "study,m1,sd1,n1,m2,sd2,n2\nA 2001,1,1,20,2,1,20\nB 2002,ten,1,20,2,1,20\nC 2003,1,1,20.5,2,1,20\n"
        ",1,1,20,2,1,20\nD 2004,1,1,1e400,2,1,20\nE 2005,,,,,,\n"
    )
    found = table(tmp_path, text)
    assert [s.id for s in found.studies] == ["a-2001"]
    assert [p.line for p in found.not_read] == [3, 4, 5, 6, 7]
    told = " ".join(str(p) for p in found.not_read)
    for words in ("'ten' is no number", "20.5 is no number of people", "names no trial", "holds no numbers"):
        assert words in told


def test_excel_is_read_as_the_csv_is(tmp_path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Daten"
    for line in [
        ["study", "m1", "sd1", "n1", "m2", "sd2", "n2", "note"],
        ["Alpha 2001", 10, 2.5, 20, 8.5, 3, 25, "=1+1"],
        [],
        ["Beta 2002", 1, 1, 9, 2, 1, 9, None],
    ]:
        sheet.append(line)
    book.create_sheet("other")
    book.save(tmp_path / "t.xlsx")
    found = import_file(tmp_path / "t.xlsx")
    assert [s.id for s in found.studies] == ["alpha-2001", "beta-2002"]
    assert found.studies[0].outcomes[0].data.model_dump()["music"] == {
        "mean": 10.0,
        "sd": 2.5,
        "n": 20,
        "se": None,
        "ci_low": None,
        "ci_high": None,
        "baseline": None,
    }
    with pytest.raises(RecordError, match="no sheet 'Tabelle'; there are Daten, other"):
        import_file(tmp_path / "t.xlsx", map=ImportMap(sheet="Tabelle"))


# ---- RevMan Web ----

DATA_ROWS = (
    "Analysis group,Analysis number,Analysis name,Subgroup,Applicability,Study,Study year,GIV Mean,GIV SE,"
    "Experimental mean,Experimental SD,Experimental cases,Experimental N,Control mean,Control SD,"
    "Control cases,Control N,O-E,Variance,Weight,Mean,CI start,CI end,Footnotes\n"
    "1,1,State anxiety,Adults,,Alpha 2001,2001,,,31.5,8.1,,20,36.25,9.2,,19,,,60.5,-0.5,-1.2,0.1,made up\n"
    "1,2,Response,,,Alpha 2001,2001,,,,,12,20,,,5,19,,,100,2.28,0.99,5.2,\n"
    "1,3,Remission,,,Beta 2002,2002,0.5596,0.23,,,,40,,,,41,,,100,1.75,1.1,2.7,\n"
    "1,4,Nothing,,,Beta 2002,2002,,,,,,40,,,,41,,,0,,,,\n"
)  # fmt: skip
SETTINGS = (
    "Analysis group,Analysis number,Analysis name,Analysis group name,Data type,Log-scale data,"
    "Control group label,Effect measure\n"
    "1,1,State anxiety,Music v care,Arm level,FALSE,Standard care,Std. Mean Difference\n"
    "1,2,Response,Music v care,Arm level,TRUE,Standard care,Risk Ratio\n"
    "1,3,Remission,Music v care,Contrast level,TRUE,Standard care,Odds Ratio\n"
)  # fmt: skip


def test_revman_web_with_its_settings_beside(tmp_path: Path) -> None:
    written(tmp_path, "CD999999-overall-estimates-and-settings.csv", SETTINGS)
    found = import_file(written(tmp_path, "CD999999-data-rows.csv", DATA_ROWS))
    studies = by_id(found)
    anxiety, response = studies["alpha-2001"].outcomes
    assert (anxiety.construct_, anxiety.comparator, anxiety.data.kind) == ("anxiety", "usual care", "means")
    assert anxiety.used_in == ("CD999999: State anxiety - Adults",)
    assert anxiety.note == "made up"
    assert anxiety.reported is not None
    assert anxiety.reported.measure == "SMD"
    assert response.data.kind == "events"
    remission = studies["beta-2002"].outcomes[0].data.model_dump()
    assert (remission["measure"], remission["scale"], remission["estimate"]) == ("OR", "log", 0.5596)
    assert [p.line for p in found.not_read] == [5]
    passes_check(found, tmp_path)


def test_revman_web_without_settings_needs_the_measure(tmp_path: Path) -> None:
    path = written(tmp_path, "CD999999-data-rows.csv", DATA_ROWS)
    found = import_file(path)
    assert "beta-2002" not in by_id(found)
    assert "measure is not told" in str(found.not_read[0])
    told = import_file(path, map=ImportMap.model_validate({"defaults": {"measure": "OR"}}))
    assert by_id(told)["beta-2002"].outcomes[0].data.model_dump()["measure"] == "OR"


# ---- references ----

RIS = """TY  - JOUR
AU  - Alpha, Anna B.
AU  - Beta, C
TI  - A made-up trial of "music": first part
T2  - J Nothing
PY  - 2001/07//
VL  - 8
IS  - 4
SP  - 220
EP  - 230
DO  - https://doi.org/10.9999/made.up
ER  -

TY  - JOUR
AU  - Alpha, Anna B.
TI  - Another trial
PY  - 2001
ER  -

TY  - JOUR
AU  - Alpha, Anna B.
TI  - A made-up trial of "music", first part
PY  - 2001
DO  - 10.9999/MADE.UP
ER  -

TY  - JOUR
AU  - Gamma, G
TI  - Never closed
"""
NBIB = """
PMID- 99999999
OWN - NLM
DP  - 2003 Jul-Aug
TI  - Music for made-up people: a trial with a title that goes on
      on the next line.
PG  - 1-9
LID - S0000-0000(03)00001-1 [pii]
LID - 10.9999/nbib.1 [doi]
FAU - Delta, Dora
AU  - Delta D
AU  - Epsilon EE
TA  - J Nothing
VI  - 3
IP  - 2

PMID- 99999998
DP  - 2004
TI  - [Not in English].
CN  - The Made-up Group
TA  - J Nothing
"""
BIB = r"""
@string{jn = "Journal of Nothing"}
@comment{nobody reads this}
@article{alpha, author = {Alpha, Anna B. and Karl M{\"u}ller},
  title = {{A} made-up trial of {Music}}, journal = jn, year = 2001, volume = 8, number = {4},
  pages = {220--230}, doi = {10.9999/made.up}, month = jul}
@misc{group, author = {{The Made-up Group}}, title = "A report", year = {2005}}
@article{broken, title = {never closed, year = 2002
"""


def test_ris(tmp_path: Path) -> None:
    found = import_file(written(tmp_path, "r.ris", RIS))
    first, second = found.studies
    assert (first.id, second.id) == ("alpha-2001", "alpha-2001b")
    assert first.citation.authors == ("Alpha AB", "Beta C")
    assert first.citation.pages == "220-230"
    assert first.citation.doi == "10.9999/made.up"
    assert first.outcomes == ()
    told = [str(p) for p in found.not_read]
    assert "the same work as the one on line 1" in told[0]
    assert "not closed" in told[1]
    passes_check(found, tmp_path)


def test_pubmed(tmp_path: Path) -> None:
    found = import_file(written(tmp_path, "p.nbib", NBIB.replace("\n", "\r\n")))
    delta, group = found.studies
    assert (delta.id, delta.citation.year, delta.citation.pmid) == ("delta-2003", 2003, 99999999)
    assert (
        delta.citation.title == "Music for made-up people: a trial with a title that goes on on the next line"
    )
    assert (delta.citation.doi, delta.citation.authors) == ("10.9999/nbib.1", ("Delta D", "Epsilon EE"))
    assert group.citation.authors == ("The Made-up Group",)
    passes_check(found, tmp_path)


def test_bibtex(tmp_path: Path) -> None:
    found = import_file(written(tmp_path, "b.bib", BIB))
    alpha, group = found.studies
    assert alpha.citation.authors == ("Alpha AB", "Müller K")
    assert (alpha.citation.title, alpha.citation.journal) == (
        "A made-up trial of Music",
        "Journal of Nothing",
    )
    assert alpha.citation.pages == "220-230"
    assert group.citation.authors == ("The Made-up Group",)
    assert len(found.not_read) == 1
    assert "braces" in str(found.not_read[0])
    passes_check(found, tmp_path)


# ---- hostile files ----

BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9))
    + "]><COCHRANE_REVIEW>&j;</COCHRANE_REVIEW>"
)
XXE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><COCHRANE_REVIEW CD_NUMBER="&a;"/>'


def zipped(path: Path, parts: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def refused(path: Path, words: str, **more: Any) -> None:
    with pytest.raises(RecordError, match=words):
        import_file(path, **more)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("bomb.rm5", BOMB, "document type or entities"),
        ("xxe.rm5", XXE, "document type or entities"),
        ("deep.rm5", "<a>" * 50_000, "nested too deeply"),
        ("wide.rm5", "<COCHRANE_REVIEW>" + "<a/>" * 1_000_001 + "</COCHRANE_REVIEW>", "too many"),
        ("other.rm5", "<html/>", "no review of RevMan 5"),
        ("torn.rm5", "<COCHRANE_REVIEW>", "no well-formed XML"),
        ("empty.rm5", "", "no well-formed XML|empty"),
        ("binary.csv", b"\xff\xfe\xfa" + bytes(range(256)), "UTF-8|no CSV|header|columns"),
        ("latin.csv", "study,yi\nMöller,1\n".encode("latin-1"), "not in UTF-8"),
        ("quote.csv", 'study,yi,vi\n"A 2001,1,1\n', "no CSV"),
        ("wide.csv", "study," + ",".join(f"c{i}" for i in range(600)) + "\n", "500 columns"),
        ("nothing.csv", "", "header"),
        ("other.csv", "name,colour\nA,red\n", "names the trial"),
        ("words.csv", "study,colour\nA,red\n", "no layout knows them"),
        ("book.xls", b"\xd0\xcf\x11\xe0", "save it as .xlsx"),
        ("fake.xlsx", b"PK nothing", "no spreadsheet"),
        ("text.xlsx", "study,yi\n", "no spreadsheet"),
        ("empty.ris", "hello", "no reference in RIS"),
        ("empty.nbib", "hello", "no reference of PubMed"),
        ("empty.bib", "hello", "no entry of BibTeX"),
        ("slides.pptx", b"PK", "kind that is not read"),
    ],
)
def test_hostile_and_broken_files_are_refused_in_a_sentence(
    tmp_path: Path, name: str, content: str | bytes, words: str
) -> None:
    refused(written(tmp_path, name, content), words)


def test_huge_files_are_not_read(tmp_path: Path) -> None:
    for name in ("huge.csv", "huge.rm5", "huge.xlsx", "huge.ris", "huge.bib", "huge.nbib"):
        with (tmp_path / name).open("wb") as stream:
            stream.truncate(MAX_BYTES + 1)
        refused(tmp_path / name, "megabytes")
    refused(tmp_path / "nowhere.csv", "no such file")
    refused(tmp_path, "kind that is not read")


def test_many_rows_are_refused(tmp_path: Path) -> None:
    refused(written(tmp_path, "many.csv", "study,yi,vi\n" + "A 2001,1,1\n" * 100_001), "100000 rows")


def test_zip_bombs_are_not_unpacked(tmp_path: Path) -> None:
    refused(
        zipped(tmp_path / "bomb.xlsx", {"xl/worksheets/sheet1.xml": b"<a>" + b"0" * 50_000_000}), "zip bomb"
    )
    refused(zipped(tmp_path / "many.xlsx", {f"p{i}": b"" for i in range(2_001)}), "more than a spreadsheet")
    refused(zipped(tmp_path / "doc.xlsx", {"[Content_Types].xml": BOMB.encode()}), "document type")
    refused(zipped(tmp_path / "wide.xlsx", {"[Content_Types].xml": BOMB.encode("utf-16")}), "document type")
    refused(
        zipped(tmp_path / "parts.xlsx", {"[Content_Types].xml": b"<Types/>"}),
        "no spreadsheet that can be read",
    )


def test_a_sheet_that_lies_about_its_size(tmp_path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(["study", "yi", "vi", "measure"])
    book.active.append(["A 2001", 0.1, 0.2, "SMD"])
    book.save(tmp_path / "t.xlsx")
    with zipfile.ZipFile(tmp_path / "t.xlsx") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    parts[sheet] = parts[sheet].replace(b'ref="A1:D2"', b'ref="A1:XFD1048576"')
    start = time.monotonic()
    found = import_file(zipped(tmp_path / "lies.xlsx", parts))
    assert time.monotonic() - start < 10
    assert [s.id for s in found.studies] == ["a-2001"]


def test_bibtex_bombs(tmp_path: Path) -> None:
    strings = (
        '@string{a0 = "'
        + "x" * 100
        + '"}\n'
        + "".join(f"@string{{a{i + 1} = a{i} # a{i} # a{i}}}\n" for i in range(30))
    )
    start = time.monotonic()
    found = import_file(
        written(tmp_path, "b.bib", strings + "@article{k, author = {Doe, J}, title = a30, year = 2001}\n")
    )
    assert len(found.studies[0].citation.title or "") < 1000
    deep = import_file(written(tmp_path, "d.bib", "@article{k, title = {" + "{" * 5000 + "}" * 5000 + "}}\n"))
    assert deep.studies == ()
    assert len(deep.not_read) == 1
    long = import_file(written(tmp_path, "l.bib", "@article{k, title = {" + "x" * 100_000 + "}}\n"))
    assert "longer than any reference" in str(long.not_read[0])
    assert time.monotonic() - start < 20


def test_what_cells_say_is_only_ever_text(tmp_path: Path) -> None:
    """Names cannot leave the folder, text cannot become YAML, markup or a formula."""
    evil = "../../../etc/passwd"
    text = (
        "study,yi,vi,measure,outcome,instrument,cite,note\n"
        f'{evil},0.1,0.2,SMD,"x: [y\n- !!python/object:os.system {{}}",<script>,"\u202eabc\u0007","\'=HYPERLINK(""http://x"")"\n'
        '"*&anchor #",0.1,0.2,SMD,"| >-","---",null,"{{7*7}}"\n'
    )
    found = table(tmp_path, text)
    first, second = found.studies
    assert (first.id, first.label) == ("etc-passwd", evil)
    assert second.id == "anchor"
    assert first.outcomes[0].source.cite == "abc"
    assert first.outcomes[0].note == '=HYPERLINK("http://x")'
    passes_check(found, tmp_path)
    read = read_studies(tmp_path / "checked")
    assert read["etc-passwd"] == first
    assert read["anchor"] == second


@settings(max_examples=60)
@given(st.lists(st.lists(st.text(max_size=12), min_size=4, max_size=4), max_size=4))
def test_any_cells_give_records_or_reasons(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]
) -> None:
    import csv
    import io

    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerows([["study", "yi", "vi", "measure"], *rows, ["Good 2001", "0.1", "0.2", "SMD"]])
    path = tmp_path_factory.mktemp("cells") / "t.csv"
    path.write_bytes(stream.getvalue().encode("utf-8", "replace"))
    try:
        found = import_file(path)
    except RecordError:
        return  # a quote that never closes, say
    assert any(s.label == "Good 2001" for s in found.studies)
    assert len({s.id for s in found.studies}) == len(found.studies)
    for study in found.studies:
        assert Study.model_validate(study.model_dump(mode="python", by_alias=True)) == study


def test_a_missing_library_is_a_sentence_that_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name, content in (
        ("openpyxl", "t.xlsx", "x"),
        ("rispy", "t.ris", RIS),
        ("bibtexparser", "t.bib", BIB),
        ("defusedxml", "t.rm5", "<a/>"),
    ):
        for loaded in [m for m in sys.modules if m.split(".")[0] == module]:
            monkeypatch.delitem(sys.modules, loaded)
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(
            UsageError, match=rf"{module}.*pip install '\.\[exchange\]' in the folder of mtmeta"
        ) as caught:
            import_file(written(tmp_path, name, content))
        assert "\n" not in str(caught.value)


def test_a_map_with_a_wrong_name_gets_the_nearest(tmp_path: Path) -> None:
    path = written(tmp_path, "map.yaml", "columns: {studdy: A}\n")
    with pytest.raises(RecordError, match="did you mean study"):
        import_file(written(tmp_path, "t.csv", "A,yi,vi\n"), map=path)
    with pytest.raises(RecordError, match="has no column 'Autor'"):
        table(tmp_path, "study,yi,vi\nA,1,1\n", columns={"author": "Autor"})


# ---- the command ----


def mtmeta(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mtmeta", *args],
        cwd=cwd,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def test_records_that_are_there_are_never_written_over(tmp_path: Path) -> None:
    first = "study,condition,m1,sd1,n1,m2,sd2,n2\nAlpha 2001,icu,1,1,20,2,1,20\n"
    written(tmp_path, "a.csv", first)
    done = mtmeta("import", "a.csv", "--to", "studies", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = tmp_path / "studies" / "icu" / "alpha-2001.yaml"
    before = record.read_bytes()
    written(tmp_path, "a.csv", first.replace(",1,1,20", ",9,1,20") + "Beta 2002,icu,1,1,20,2,1,20\n")
    tried = mtmeta("import", "a.csv", "--to", "studies", "--dry-run", "--json", cwd=tmp_path)
    assert [Path(p).name for p in json.loads(tried.stdout)["planned"]] == ["beta-2002.yaml"]
    assert not (tmp_path / "studies" / "icu" / "beta-2002.yaml").exists()
    again = mtmeta("import", "a.csv", "--to", "studies", cwd=tmp_path)
    assert again.returncode == 1
    assert "left as it is" in again.stdout
    assert record.read_bytes() == before
    assert (tmp_path / "studies" / "icu" / "beta-2002.yaml").exists()
    forced = mtmeta("import", "a.csv", "--to", "studies", "--force", cwd=tmp_path)
    assert forced.returncode == 0
    assert b"mean: 9" in record.read_bytes()
    check = mtmeta("check", "studies", cwd=tmp_path)
    assert check.returncode == 0, check.stdout
    assert not list(tmp_path.rglob("*.tmp"))


def test_the_command_lists_what_it_could_not_read(tmp_path: Path) -> None:
    done = mtmeta("import", str(SAMPLES / "made_up.rm5"), "--to", "studies", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.count("not read: ") == 4
    assert "4 records written, 0 left, 4 things not read" in done.stdout
    check = mtmeta("check", "studies", "--json", cwd=tmp_path)
    assert check.returncode == 0, check.stdout
    told = json.loads(
        mtmeta("import", str(SAMPLES / "made_up.rm5"), "--to", "s2", "--json", cwd=tmp_path).stdout
    )
    assert told["records"] == 4
    assert len(told["written"]) == 4
    assert {"path", "line", "field", "message"} == set(told["not_read"][0])
    wrong = mtmeta("import", "none.rm5", "--to", "studies", cwd=tmp_path)
    assert wrong.returncode == 1
    assert "no such file" in wrong.stderr
    assert "Traceback" not in wrong.stderr
