"""A project's folder `templates/` comes before the library's own files."""

from pathlib import Path

from imageproof.base.files import template_file
from imageproof.pages._templates import templates


def test_files_of_the_project_are_taken_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("templates").mkdir()
    Path("templates/suspects.html.j2").write_text("{{ command }}: {% include 'style.css' %}")
    Path("templates/style.css").write_text("teal")
    page = templates("imageproof.labels").get_template("suspects.html.j2")
    assert page.render() == "imageproof: teal"
    assert template_file(Path("elsewhere/style.css")).read_text() == "teal"
