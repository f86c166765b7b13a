"""A project's folder `templates/` comes before the library's own files."""

import pytest

from imageproof.base.files import template_file
from imageproof.pages._templates import templates


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "templates").mkdir()
    return tmp_path / "templates"


def test_template_of_project_is_taken_first(folder):
    (folder / "suspects.html.j2").write_text("{{ command }}: {% include 'style.css' %}", "utf-8")
    (folder / "style.css").write_text("body { color: teal }", "utf-8")
    page = templates("imageproof.labels").get_template("suspects.html.j2").render()
    assert page == "imageproof: body { color: teal }"


def test_template_of_library_is_taken_otherwise():
    template = templates("imageproof.labels").get_template("suspects.html.j2")
    page = template.render(sentence="", suspects=[], count=0, source="")
    assert "Made by <code>imageproof suspects</code>" in page


def test_file_of_project_is_taken_first(folder, tmp_path):
    library_file = tmp_path / "library" / "home.html"
    assert template_file(library_file) == library_file
    (folder / "home.html").write_text("ours", "utf-8")
    assert template_file(library_file).read_text("utf-8") == "ours"
