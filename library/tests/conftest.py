"""The project that the library's tests work with."""

import os

import example
import pytest

from imageproof.base._naming import VARIABLE


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """A test of the library has the name of the small project, wherever it works."""
    os.environ[VARIABLE] = example.NAME


@pytest.fixture(scope="session")
def settings():
    """What the fixtures of `shared` make projects of; elsewhere another, so they are of a test."""
    return example
