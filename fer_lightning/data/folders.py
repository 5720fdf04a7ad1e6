"""Folders named after classes, with or without split folders above them; Kaggle's FER2013 pictures are such."""

from pathlib import Path

from fer_lightning.data.faceset import FaceSet, ReadOptions, Role
from fer_lightning.data.picture_rows import Row, face_set
from fer_lightning.errors import UserError
from fer_lightning.pictures import is_picture

_SPLITS: dict[str, Role] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
    "publictest": "validation",  # FER2013's own names
    "privatetest": "test",
}
_FORM = "a folder needs one sub-folder for each class with pictures in it, perhaps below train/ and test/"


def class_folders(root: Path) -> list[Path]:
    """Return the folders directly below a path that hold pictures at any depth, sorted by name."""
    if not root.is_dir():
        return []
    children = sorted(child for child in root.iterdir() if child.is_dir() and not child.name.startswith("."))
    return [child for child in children if any(is_picture(file) for file in child.rglob("*"))]


def read_folders(root: Path, options: ReadOptions) -> FaceSet:
    """Read ``<class>/*.png`` or ``train|validation|test/<class>/*.png``, any class names, any picture size.

    Raises:
        UserError: If there are no class folders, a class is missing from training, or a picture cannot be read.
    """
    top = class_folders(root)
    splits = {folder: _SPLITS[folder.name.lower()] for folder in top if folder.name.lower() in _SPLITS}
    if not splits:
        rows = [row for folder in top for row in _rows(root, folder, "")]
        return face_set("folder", _checked(root, rows), options)
    if strangers := [folder.name for folder in top if folder not in splits]:
        raise UserError(f"{root}: {strangers[0]}/ stands beside {next(iter(splits)).name}/; {_FORM}")
    rows = [
        row for split, role in splits.items() for folder in class_folders(split) for row in _rows(root, folder, role)
    ]
    _same_classes(root, rows)
    roles: dict[Role, str] = {role: role for role in splits.values()}
    return face_set("folder", _checked(root, rows), options, roles=roles)


def _rows(root: Path, folder: Path, part: str) -> list[Row]:
    files = sorted(file for file in folder.rglob("*") if is_picture(file))
    return [Row(file, file.relative_to(root).as_posix(), folder.name, part=part) for file in files]


def _checked(root: Path, rows: list[Row]) -> list[Row]:
    labels = sorted({row.label for row in rows})
    if not rows:
        raise UserError(f"{root}: no class folders with pictures here; {_FORM}")
    if len(labels) < 2:
        deeper = root / labels[0]
        if len(class_folders(deeper)) > 1:
            raise UserError(f"{root}: holds one folder, {labels[0]}/; did you mean --data.root {deeper}?")
        raise UserError(f"{root}: only one class, {labels[0]}; {_FORM}")
    return rows


def _same_classes(root: Path, rows: list[Row]) -> None:
    known = {row.label for row in rows if row.part == "train"}
    if not known:
        raise UserError(f"{root}: no train/ folder beside {', '.join(sorted({row.part for row in rows}))}; {_FORM}")
    for row in rows:
        if row.label not in known:
            options = ", ".join(sorted(known))
            raise UserError(f"{root}: class folder {row.label} is not in train/ (classes there: {options}); rename it")
