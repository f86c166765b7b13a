"""A Dask cluster: its scheduler and workers, and which addresses only this machine understands."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from digits.core.errors import ServiceError, one_line

if TYPE_CHECKING:
    from distributed import Client

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@contextmanager
def connected(scheduler: str) -> "Iterator[Client]":
    """A client of the scheduler for the time of the block; what it has not finished is dropped.

    Raises:
        ServiceError: no scheduler at the address, or no worker at the scheduler.
    """
    from distributed import Client

    # that the scheduler is lost is said by whoever waits for it
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    try:
        connect: Any = Client  # typed in part only
        client = connect(scheduler, timeout=10, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        reason = one_line(error, width=500)
        raise ServiceError(f"scheduler: no Dask scheduler at {scheduler}: {reason}") from None
    with client:
        if not count_workers(client):
            raise ServiceError(f"scheduler: {scheduler} has no worker; start `dask worker`s")
        yield client


def count_workers(client: "Client") -> int:
    """How many workers the scheduler has."""
    info: Any = client.scheduler_info(n_workers=-1)
    return len(info["workers"])


def is_here(address: str | None) -> bool:
    """Whether only this machine understands the address; None is a server of the process's own."""
    if address is None or address.startswith("sqlite:"):
        return True
    return address.rpartition("://")[2].rpartition("@")[2].startswith(LOOPBACK)
