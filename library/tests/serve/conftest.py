"""A package of the 8×8 images, and its server."""

from collections.abc import Iterator

import packaged
import pytest

from imageproof.base.dataset import Dataset


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory, images_8x8: Dataset) -> packaged.Package:
    """To be read only."""
    return packaged.write(tmp_path_factory.mktemp("packaged") / "package", images_8x8)


@pytest.fixture(scope="module")
def server(package: packaged.Package) -> Iterator[packaged.Running]:
    """Its server; whatever the module's tests sent, nothing was written to stderr."""
    with packaged.running(package.folder) as server:
        yield server
