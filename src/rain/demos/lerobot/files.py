"""Reading and writing the files of a dataset: whole or not at all, and damage names its file."""

from __future__ import annotations

import fcntl
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rain.types import RainError


def write_json(path: Path, values: Any) -> None:
    """Write JSON under a temporary name and rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w") as file:
        json.dump(values, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def read_json(path: Path) -> Any:
    """Read JSON; RainError names the file."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise RainError(f"{path}: missing; restore it or make the dataset again") from error
    except (OSError, ValueError) as error:
        raise RainError(f"{path}: not readable as JSON ({error})") from error


@contextmanager
def parquet_writer(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """Open a parquet file for writing, one row group for each table written to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        # Every PNG differs: a dictionary of them would only cost.
        use_dictionary=False,
        # A flipped bit is an error when read, not a wrong value.
        write_page_checksum=True,
    ) as writer:
        yield writer
    flush_to_disk(path)


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write one table as one row group."""
    with parquet_writer(path, table.schema) as writer:
        writer.write_table(table)


@contextmanager
def open_parquet(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a parquet file; whatever is wrong with it becomes a RainError that names it."""
    with naming(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        yield file


def read_parquet(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a whole parquet file."""
    with open_parquet(path) as file:
        return file.read(columns)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn what a damaged or missing file raises into one line that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise RainError(f"{path}: missing; restore it or make the dataset again") from error
    except (pa.ArrowException, OSError, EOFError, ValueError, KeyError, IndexError) as error:
        reason = str(error).splitlines()[0] if str(error) else repr(error)
        raise RainError(
            f"{path}: not readable ({reason}); restore it or make the dataset again"
        ) from error


def size_and_sum(path: Path) -> list[int]:
    """Size and CRC-32 of a file, to know it again by."""
    total = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            total = zlib.crc32(block, total)
    return [path.stat().st_size, total]


def flush_to_disk(path: Path) -> None:
    """Wait until a file's content is on the disk, before something refers to it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path, shared: bool = False) -> Iterator[None]:
    """Hold a lock file; a killed process lets go of it. Readers share, a writer is alone.

    Where a reader finds no lock file, nobody writes (a downloaded dataset).
    """
    if shared and not path.exists():
        yield
        return
    if not shared:
        path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("r" if shared else "a") as file:
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
