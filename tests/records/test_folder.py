"""What a folder of records may hold, and what becomes of it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from mtmeta.errors import RecordError, UsageError
from mtmeta.records import locate
from mtmeta.records.folder import Studies, read_studies, read_study
from mtmeta.records.locate import data_folder, example_studies

GOOD = """\
schema: 1
id: {id}
label: White 1999
citation: {{year: 1999}}
conditions: [cardiac]
design: {{}}
population: {{}}
intervention: {{}}
comparator: {{}}
outcomes:
  - id: anxiety
    construct: anxiety
    data: {{kind: narrative, printed: no difference}}
    source: {{cite: CD006577.pub3}}
  # a remark
  - id: pain
    construct: pain
    data: {{kind: narrative, printed: no difference}}
    source: {{cite: CD006577.pub3}}
"""


def put(folder: Path, study_id: str, name: str | None = None, text: str = GOOD) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (name or f"{study_id}.yaml")
    path.write_bytes(text.format(id=study_id).encode())
    return path


def said(paths: object, **options: object) -> list[str]:
    with pytest.raises(RecordError) as caught:
        read_studies(paths, **options)  # type: ignore[arg-type]
    return [str(problem) for problem in caught.value.problems]


def test_studies_stand_in_order_with_their_places(tmp_path: Path) -> None:
    put(tmp_path / "icu", "b-2001")
    put(tmp_path / "cardiac", "c-2002", "c-2002.yml")
    put(tmp_path / "cardiac", "a-2000")
    studies = read_studies(tmp_path, root=tmp_path)
    assert studies.ids == ("a-2000", "b-2001", "c-2002")
    assert studies.paths == ("cardiac/a-2000.yaml", "icu/b-2001.yaml", "cardiac/c-2002.yml")
    assert [s.id for s in studies] == list(studies.ids)
    assert len(studies) == 3
    assert studies[0] is studies["a-2000"]
    assert studies[-1].id == "c-2002"
    assert studies[1:].ids == ("b-2001", "c-2002")
    assert "b-2001" in studies
    assert studies[0] in studies
    assert "b-2002" not in studies
    assert studies.line_of("a-2000") == 2
    assert studies.line_of("a-2000", "anxiety") == 11
    assert studies.line_of("a-2000", "pain") == 16
    assert studies.where("b-2001", "pain") == "icu/b-2001.yaml:16"
    with pytest.raises(KeyError, match=r"nearest: .*a-2000"):
        studies["a-2002"]
    with pytest.raises(KeyError, match="sleep"):
        studies.line_of("a-2000", "sleep")


def test_filter_keeps_places(tmp_path: Path) -> None:
    put(tmp_path, "a-2000")
    put(tmp_path, "b-2001", text=GOOD.replace("[cardiac]", "[icu, cardiac]"))
    studies = read_studies(tmp_path)
    assert studies.of_condition("icu").ids == ("b-2001",)
    assert studies.of_condition("cardiac").ids == ("a-2000", "b-2001")
    assert studies.filter(lambda s: s.id > "b").path_of("b-2001") == str(tmp_path / "b-2001.yaml")


def test_studies_show_themselves(tmp_path: Path) -> None:
    put(tmp_path, "a-2000", text=GOOD.replace("White 1999", '"<b>White</b>"'))
    studies = read_studies(tmp_path)
    assert repr(studies) == "Studies(1 studies, 2 outcomes)"
    frame = studies.to_frame()
    assert frame.loc[0, ["id", "outcomes", "year"]].tolist() == ["a-2000", 2, 1999]
    assert pd.isna(frame.loc[0, "n_randomised"])
    assert "&lt;b&gt;White" in studies._repr_html_()
    assert Studies((), ()).to_frame().empty


def test_studies_of_python(tmp_path: Path) -> None:
    a = read_study(put(tmp_path, "a-2000"))
    b = read_study(put(tmp_path, "b-2001"))
    studies = Studies.of([b, a])
    assert studies.ids == ("a-2000", "b-2001")
    assert studies.where("a-2000", "pain") == "a-2000"
    assert studies.line_of("a-2000", "pain") == 0
    with pytest.raises(UsageError, match="two studies have the id a-2000"):
        Studies.of([a, b, a])


def test_an_id_of_two_files_names_both(tmp_path: Path) -> None:
    put(tmp_path / "cardiac", "a-2000")
    put(tmp_path / "icu", "a-2000")
    assert said(tmp_path, root=tmp_path) == [
        "icu/a-2000.yaml:2: id: a-2000 is also the id of cardiac/a-2000.yaml:2; give each trial its own id"
    ]


def test_an_id_of_two_files_is_found_though_one_is_broken(tmp_path: Path) -> None:
    put(tmp_path / "cardiac", "a-2000", text=GOOD.replace("citation", "cites"))
    put(tmp_path / "icu", "a-2000")
    assert any("is also the id of cardiac/a-2000.yaml:2" in line for line in said(tmp_path, root=tmp_path))


def test_what_is_left_out(tmp_path: Path) -> None:
    put(tmp_path, "a-2000")
    for name in (".a-2000.yaml.1f.tmp", ".hidden.yaml", "a-2000.yaml~", "a-2000.yaml.bak", "#a-2000.yaml#"):
        (tmp_path / name).write_text("not: [a record", encoding="utf-8")
    for name in ("README.md", "study.schema.json"):
        (tmp_path / name).write_text("{}", encoding="utf-8")
    put(tmp_path / ".git", "hidden-2000")
    (tmp_path / "folder.yaml").mkdir()
    assert read_studies(tmp_path).ids == ("a-2000",)


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    path = put(tmp_path, "a-2000")
    assert read_studies([tmp_path, path, str(path)]).ids == ("a-2000",)


def test_links(tmp_path: Path) -> None:
    folder, outside = tmp_path / "studies", tmp_path / "outside"
    put(folder / "cardiac", "a-2000")
    secret = put(outside, "b-2001")
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    assert read_studies(folder).ids == ("a-2000",)
    (folder / "icu").mkdir()
    (folder / "icu" / "a-2000.yaml").symlink_to(folder / "cardiac" / "a-2000.yaml")
    assert read_studies(folder).ids == ("a-2000",)
    (folder / "b-2001.yaml").symlink_to(secret)
    assert said(folder, root=tmp_path) == [
        "studies/b-2001.yaml: is a link out of studies; put the file itself here"
    ]
    assert read_studies(folder / "b-2001.yaml").ids == ("b-2001",)
    os.unlink(folder / "b-2001.yaml")
    (folder / "c.yaml").symlink_to(folder / "d.yaml")
    (folder / "d.yaml").symlink_to(folder / "c.yaml")
    lines = said(folder, root=tmp_path)
    assert lines == [
        "studies/c.yaml: cannot be read: too many levels of symbolic links",
        "studies/d.yaml: cannot be read: too many levels of symbolic links",
    ]


def test_wrong_places_say_what_to_do(tmp_path: Path) -> None:
    assert said(tmp_path) == [
        f"{tmp_path}: holds no records; name a folder with files <id>.yaml, such as studies"
    ]
    assert said(tmp_path / "no") == [
        f"{tmp_path / 'no'}: does not exist; name a folder of records, such as studies"
    ]
    with pytest.raises(RecordError, match="does not exist"):
        read_study(tmp_path / "no.yaml")
    with pytest.raises(RecordError, match="is a folder"):
        read_study(tmp_path)
    with pytest.raises(RecordError, match="does not exist"):
        read_studies("a\0.yaml")


def test_a_hostile_file_name_cannot_break_the_line(tmp_path: Path) -> None:
    (tmp_path / "a\n\x1b[2J.yaml").write_text("a: [", encoding="utf-8")
    (line,) = said(tmp_path, root=tmp_path)
    assert line.startswith("a\\n\\x1b[2J.yaml:")
    assert line.isprintable()


def test_byte_order_mark_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    text = GOOD.format(id="a-2000").replace("\n", "\r\n")
    (tmp_path / "a-2000.yaml").write_bytes(b"\xef\xbb\xbf" + text.encode())
    studies = read_studies(tmp_path)
    assert studies["a-2000"].label == "White 1999"
    assert studies.line_of("a-2000", "pain") == 16


def test_lines_are_counted_as_editors_do(tmp_path: Path) -> None:
    text = GOOD.format(id="a-2000").replace("\n", "\r\n").replace("White", "Lefèvre")
    (tmp_path / "a-2000.yaml").write_bytes(text.encode("latin-1"))
    assert said(tmp_path, root=tmp_path)[0].startswith("a-2000.yaml:3: byte 0xE8 in column 11")


def test_hundreds_of_megabytes_are_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(tmp_path / "a-2000.yaml", "wb") as file:
        file.truncate(500_000_000)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the file was opened")

    monkeypatch.setattr("builtins.open", refuse)
    lines = said(tmp_path, root=tmp_path)
    monkeypatch.undo()
    assert lines == [
        "a-2000.yaml: holds 500,000,000 bytes; a record or analysis file holds at most 5,000,000"
    ]


def test_five_megabytes_of_values_end_early(tmp_path: Path) -> None:
    (tmp_path / "a-2000.yaml").write_text("note: [" + "1, " * 1_600_000 + "1]\n", encoding="utf-8")
    assert said(tmp_path, root=tmp_path) == [
        "a-2000.yaml:1: the file holds more than 200,000 values; split it"
    ]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a-2000.yaml")
    assert said(tmp_path, root=tmp_path) == ["a-2000.yaml: is no regular file; name a file on the disk"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser reads everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    put(tmp_path, "a-2000").chmod(0)
    assert said(tmp_path, root=tmp_path) == ["a-2000.yaml: cannot be read: permission denied"]


def test_without_libyaml_it_reads_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML built without its C part has the same events, slower."""
    put(tmp_path, "a-2000")
    fast = read_studies(tmp_path)
    bad = Path(__file__).parent / "bad"
    places = _places(bad)
    monkeypatch.setattr("mtmeta.records.yamlparse._Loader", yaml.SafeLoader)
    assert read_studies(tmp_path) == fast
    slow = _places(bad)
    assert {path for path, _, _ in slow} == {path for path, _, _ in places}
    assert len(slow & places) / len(places) > 0.95  # a few syntax errors are seen one line later


def _places(folder: Path) -> set[tuple[str, int, str]]:
    with pytest.raises(RecordError) as caught:
        read_studies(folder)
    return {(problem.path, problem.line, problem.field) for problem in caught.value.problems}


def test_progress_is_told_after_each_file(tmp_path: Path) -> None:
    for study_id in ("a-2000", "b-2001", "c-2002"):
        put(tmp_path, study_id)
    calls: list[tuple[int, int]] = []
    read_studies(tmp_path, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_many_records_are_all_read(tmp_path: Path) -> None:
    for number in range(500):
        put(tmp_path / f"{number % 7}", f"trial-{number:05d}")
    studies = read_studies(tmp_path)
    assert len(studies) == 500
    assert studies["trial-00499"].label == "White 1999"


def test_what_cannot_be_true_loads(tmp_path: Path) -> None:
    """DESIGN: reading refuses what cannot be represented; what cannot be true is for the integrity checks."""
    false = """\
    data: {{kind: effect, measure: SMD, estimate: 9, se: 0, ci_low: 2, ci_high: 1, n_total: 0}}
    source: {{}}
  - id: events
    construct: response
    data: {{kind: events, music: {{events: 20, n: 10}}, control: {{events: 1, n: 0}}}}
    source: {{}}
  - id: means
    construct: pain
    data: {{kind: means, music: {{n: 1, mean: 2, sd: 0}}, control: {{n: 1, mean: 2, sd: -3}}}}
"""
    old = "    data: {{kind: narrative, printed: no difference}}\n"
    put(tmp_path, "a-2000", text=GOOD.replace(old, false, 1))
    study = read_studies(tmp_path)["a-2000"]
    assert [outcome.id for outcome in study.outcomes] == ["anxiety", "events", "means", "pain"]


def test_examples() -> None:
    assert len(example_studies("icu")) < len(example_studies())
    assert all("icu" in study.conditions for study in example_studies("icu"))
    with pytest.raises(UsageError, match=r"there are: .*cardiac"):
        example_studies("measles")
    with pytest.raises(UsageError, match="'studies', 'analyses'"):
        data_folder("figures")  # type: ignore[arg-type]


def test_an_installed_package_brings_its_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel puts the folders below ``_data``; nothing else around the package exists then."""
    package = tmp_path / "site-packages" / "mtmeta"
    (package / "records").mkdir(parents=True)
    monkeypatch.setattr(locate.resources, "files", lambda _: package / "records")
    with pytest.raises(UsageError, match="lacks its studies; install it again"):
        data_folder("studies")
    shutil.copytree(Path(__file__).parent / "bad", package / "_data" / "studies")
    assert data_folder("studies") == package / "_data" / "studies"
