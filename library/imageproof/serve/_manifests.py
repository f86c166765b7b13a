"""The files by which a cluster runs a package: `kubernetes/`, for kustomize."""

from pathlib import Path

from imageproof.base._naming import project_name
from imageproof.base.files import scratch, write_text
from imageproof.pages._templates import templates
from imageproof.system.guard import names_variable

FOLDER = Path(__file__).with_name("kubernetes")
NO_DIGEST = f"sha256:{'0' * 64}"  # of no image, so that nothing runs until an overlay names one


def write_manifests(folder: Path, version: str) -> None:
    """Write the manifests of a version into a new folder."""
    values = {
        "name": project_name(),
        "version": version,
        "digest": NO_DIGEST,
        "names_variable": names_variable(),
    }
    environment = templates(
        "imageproof.serve",
        autoescape=False,
        keep_trailing_newline=True,
        variable_start_string="<<",
        variable_end_string=">>",
    )
    files = (path for path in FOLDER.rglob("*.*") if path.suffix != ".j2")  # these are included
    with scratch(folder.parent) as temporary:
        for file in files:
            path = file.relative_to(FOLDER)
            template = environment.get_template(f"kubernetes/{path.as_posix()}")
            write_text(temporary / "manifests" / path, template.render(values))
        (temporary / "manifests").rename(folder)
