"""A package of the 8×8 images, and its server."""

import packaged
import pytest


@pytest.fixture(scope="session")
def package(tmp_path_factory, images_8x8):
    """To be read only."""
    return packaged.write(tmp_path_factory.mktemp("packaged") / "package", images_8x8)


@pytest.fixture(scope="session")
def server(package):
    """Its server; whatever the tests sent, nothing was written to stderr."""
    with packaged.running(package.folder) as server:
        yield server
