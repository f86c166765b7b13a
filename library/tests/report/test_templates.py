"""A project's folder `templates/` comes before the library's own files."""

from pathlib import Path

from imageproof.base.files import template_file
from imageproof.pages._templates import templates


def test_files_of_the_project_are_taken_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("templates").mkdir()
    page = Path("templates/suspects.html.j2")
    assert template_file(Path("none.html")) == Path("none.html")
    page.write_text("{{ command }}: {% include 'style.css' %}", "utf-8")
    page.with_name("style.css").write_text("body { color: teal }", "utf-8")
    template = templates("imageproof.labels").get_template(page.name)
    assert template.render() == "imageproof: body { color: teal }"
    assert template_file(Path("elsewhere", page.name)).read_text("utf-8").startswith("{{ command")
