"""Addresses: nothing of their credentials is recorded or shown."""

from urllib.parse import quote

import pytest

from imageproof.base._addresses import public, without_credentials
from imageproof.base.errors import ServiceError


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://host:5000/mlflow", "http://host:5000/mlflow"),
        ("https://secret@host/x?token=secret#secret", "https://host/x"),
        ("postgresql+psycopg://me:se@cret@host:5432/db", "postgresql+psycopg://host:5432/db"),
        ("postgresql://me:sec%2Fret%40@[::1]:1/db", "postgresql://[::1]:1/db"),
        ("postgresql://host/db?user=me&password=secret", "postgresql://host/db"),
        ("sqlite:////home/me@work/a=b/mlflow.db", "sqlite:////home/me@work/a=b/mlflow.db"),
        # where the credentials end is not certain
        ("postgresql://me:1/secret@host/db", "postgresql://***"),
        ("postgresql://me:se#cret@host/db", "postgresql://***"),
        ("mysql://host/db;password=secret", "mysql://***"),
        ("sqlite:///x.db?key=secret@", "sqlite://***"),
        ("postgresql://me:secret", "postgresql://***"),
        ("me:secret@host/db", "***"),
    ],
)
def test_public(address, expected):
    assert public(address) == expected


@pytest.mark.parametrize("password", ["secret", "secr@etive/word", "%41secret"])
@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:{}@host/db",
        "postgresql://host/db?user=me&password={}",
        "postgresql://host/db?sslpassword={}&sslmode=require",
        "https://{}@host/path",
    ],
)
def test_a_message_shows_no_credentials_in_any_encoding(address, password):
    for written in (password, quote(password, safe="")):
        full = address.format(written)
        cut = written.rpartition("@")[2]  # as SQLAlchemy reads a host
        for name in (full, written, password, f"{cut}@host", repr(password)):
            text = without_credentials(f"could not connect to {name}: refused", full)
            assert text.startswith("could not connect to ")
            assert text.endswith(" refused")
            assert not any(part in text for part in (password, written, cut))


def test_an_error_shows_no_credentials_of_any_address_in_it():
    error = ServiceError("fatal: https://me:tok@en@host/x.git?key=tok not found; see s3://a:b@c")
    assert str(error) == "fatal: https://***@host/x.git?*** not found; see s3://***@c"
    text = "sqlite:////home/me@work/mlflow.db: no database"
    assert without_credentials(text) == text
