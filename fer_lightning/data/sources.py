"""The sources by name, and the recognition of what lies at a path."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from fer_lightning.data.ckplus import find_ckplus, read_ckplus
from fer_lightning.data.faceset import FaceSet, ReadOptions
from fer_lightning.data.fer2013 import find_fer2013, read_fer2013
from fer_lightning.data.ferplus import read_ferplus
from fer_lightning.data.folders import class_folders, read_folders
from fer_lightning.data.sketch import read_sketch
from fer_lightning.data.tables import find_tables, read_table
from fer_lightning.errors import UserError

SourceName = Literal["auto", "sketch", "fer2013", "ferplus", "ckplus", "folder", "csv"]

_READERS: dict[str, Callable[[Path, ReadOptions], FaceSet]] = {
    "fer2013": read_fer2013,
    "ferplus": read_ferplus,
    "ckplus": read_ckplus,
    "folder": read_folders,
    "csv": read_table,
}
_KNOWN = (
    "fer2013.csv or icml_face_data.csv (also zipped), CK+ in its official layout or as CK+48, "
    "a folder for each class, or a CSV with the columns path and label"
)


def recognise(source: SourceName, root: Path | None) -> SourceName:
    """Return the source that is meant: the given one, or for ``auto`` what lies at the path.

    Raises:
        UserError: If nothing lies there, or nothing that is known.
    """
    if source == "sketch" or (source == "auto" and root is None):
        return "sketch"
    if root is None:
        raise UserError(f"--data.source {source}: say where it lies, with --data.root PATH")
    if not root.exists():
        raise UserError(f"--data.root {root}: no such file or folder; it may be {_KNOWN}")
    if source != "auto":
        return source
    pixels, tables = find_fer2013(root), find_tables(root)
    if pixels and pixels not in tables:  # anyone's own table may be called train.csv
        return "fer2013"
    if find_ckplus(root):
        return "ckplus"
    if tables:
        return "csv"
    if class_folders(root):
        return "folder"
    raise UserError(f"--data.root {root}: not recognised; it may be {_KNOWN}, or name it with --data.source")


def read_source(source: SourceName, root: Path | None, options: ReadOptions) -> FaceSet:
    """Read a source into the common form.

    Args:
        source: Its name; ``auto`` recognises what lies at root and notes it in the remarks.
        root: File or folder; not needed for ``sketch``.
        options: What the reader is told.

    Raises:
        UserError: If it is not there or cannot be read.
    """
    meant = recognise(source, root)
    if meant == "sketch":
        return read_sketch()
    assert root is not None  # recognise has seen to it
    faces = _READERS[meant](root, options)
    if source == "auto":
        return replace(faces, remarks=(f"{root} taken for {meant} (--data.source says otherwise)", *faces.remarks))
    return faces
