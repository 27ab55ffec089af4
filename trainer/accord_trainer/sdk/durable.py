"""Files that are on the disk when the call returns, not only in the page cache."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from accord_trainer.sdk.manifest import CheckpointError, FileEntry, file_entry


def write(path: Path, content: bytes) -> None:
    """Create a file and fsync it. FileExistsError if it is there already."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def seal(directory: Path) -> dict[str, FileEntry]:
    """Fsync everything below a directory, the directories in it too; size and sha256 of each file by relative path.

    CheckpointError for what cannot be part of a checkpoint: links, sockets, devices.
    """
    entries: dict[str, FileEntry] = {}
    for parent, directories, files in os.walk(directory, topdown=False):
        for name in files + directories:
            path = Path(parent, name)
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise CheckpointError(
                    f"{path.relative_to(directory)} is not a regular file: a checkpoint holds no others"
                )
        for name in files:
            path = Path(parent, name)
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            entries[path.relative_to(directory).as_posix()] = file_entry(path)
        sync_directory(Path(parent))
    return entries


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable: new files, and renames."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network and FUSE file systems order directory changes themselves and refuse to be told.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
