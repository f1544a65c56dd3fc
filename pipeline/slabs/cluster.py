"""Slabs on a dask cluster: each is one task, and a worker that is lost costs the slabs that it was at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...base import InputError, MissingBackendError
from .slab_job import SlabJob

_PATIENCE_S = 20
_RETRIES = 3  # of a slab whose worker was lost or failed


def on_cluster(address: str, job: SlabJob, slabs: list[slice]) -> Iterator[tuple[slice, dict[str, Any]]]:
    """Do the slabs on the workers of the scheduler at ``address``; what `SlabJob.do` returns, as the slabs are finished.

    The workers need the folder of the output under the same path, since they read the projections there and write their slabs.
    """
    if not slabs:
        return
    try:
        from dask.distributed import Client, as_completed
    except ImportError as error:
        raise MissingBackendError("--cluster needs dask", remedy="pip install 'fewview[bench]'") from error
    try:
        client = Client(address, timeout=_PATIENCE_S)
    except (OSError, ValueError, TypeError) as error:
        told = f"--cluster {address}: no scheduler answers ({error})"
        raise InputError(told, expected="the address of a dask scheduler, HOST:PORT") from error
    with client:
        if not client.scheduler_info()["workers"]:
            raise InputError(f"--cluster {address} has no worker", expected="at least one", remedy="start dask worker " + address)
        futures = {client.submit(_do, job, z.start, z.stop, retries=_RETRIES, pure=False): z for z in slabs}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
                future.release()
        finally:
            client.cancel(list(futures))


def _do(job: SlabJob, first: int, stop: int) -> dict[str, Any]:
    path = job.rows.store.path
    if not path.exists():
        told = f"a worker does not see {path}"
        raise InputError(told, expected="a folder that all workers share", remedy="give an --out on a shared disk")
    return job.do(slice(first, stop))
