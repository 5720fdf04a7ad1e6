"""A CSV of one's own: ``path,label[,subject][,split]``, any class names."""

import csv
from pathlib import Path

from fer_lightning.data.faceset import FaceSet, ReadOptions, Role
from fer_lightning.data.picture_rows import Row, face_set
from fer_lightning.data.pixel_csv import refuse_stand_in
from fer_lightning.errors import UserError

_NEEDED = ("path", "label")
_ROLES: tuple[Role, ...] = ("train", "validation", "test")


def find_table(root: Path) -> Path | None:
    """Return the CSV with the columns path and label at a path or directly in it, or None."""
    files = [root] if root.is_file() else sorted(root.glob("*.csv"))
    for file in files:
        if file.suffix.lower() == ".csv":
            with file.open(encoding="utf-8-sig", errors="replace") as text:
                if set(_NEEDED) <= set(_cells(text.readline())):
                    return file
    return None


def read_table(root: Path, options: ReadOptions) -> FaceSet:
    """Read a table of pictures; paths are relative to the table's folder, or absolute.

    Args:
        root: The CSV, or the folder that holds it.
        options: Uses ``on_bad_row``.

    Raises:
        UserError: If there is no such table, a column is missing, or a row is bad.
    """
    file = root if root.is_file() else find_table(root)
    if file is None:
        raise UserError(f"{root}: no CSV with the columns path and label here; write one: path,label[,subject][,split]")
    with file.open("rb") as handle:
        refuse_stand_in(file, handle.read(200))
    rows = _rows(file)
    if not rows:
        raise UserError(f"{file}: holds no rows; write one line for each picture: path,label[,subject][,split]")
    if len({row.label for row in rows}) < 2:
        raise UserError(f"{file}: only one class, {rows[0].label}; a network needs at least two")
    present = {row.part for row in rows}
    roles: dict[Role, str] = {role: role for role in _ROLES if role in present}
    if roles and "" in present:
        raise UserError(f"{file}: some rows have no split; fill the column with {', '.join(_ROLES)}, or leave it out")
    return face_set("csv", rows, options, roles=roles)


def _rows(file: Path) -> list[Row]:
    with file.open(newline="", encoding="utf-8-sig", errors="replace") as text:
        first = text.readline()
        columns = _cells(first)
        if missing := [column for column in _NEEDED if column not in columns]:
            found = ", ".join(columns)[:80]
            raise UserError(f"{file} line 1: no column {' and '.join(missing)} (found: {found}); add it to the header")
        reader = csv.reader(text, delimiter=_delimiter(first))
        return [_row(file, reader.line_num + 1, columns, cells) for cells in reader if any(map(str.strip, cells))]


def _row(file: Path, line: int, columns: list[str], cells: list[str]) -> Row:
    values = {column: cell.strip() for column, cell in zip(columns, cells, strict=False)}
    where = f"{file} line {line}"
    for column in _NEEDED:
        if not values.get(column):
            raise UserError(f"{where}: no {column}; fill it in or remove the row")
    part = values.get("split", "").lower()
    part = {"val": "validation", "valid": "validation", "training": "train"}.get(part, part)
    if part and part not in _ROLES:
        raise UserError(f"{where}: unknown split {part}; choose from {', '.join(_ROLES)}")
    path = file.parent / values["path"]
    if not path.is_file():
        raise UserError(f"{where}: no picture {values['path']}; paths are relative to the folder of the CSV")
    return Row(path, values["path"], values["label"], values.get("subject", ""), part)


def _delimiter(line: str) -> str:
    return max(",;\t", key=line.count)


def _cells(line: str) -> list[str]:
    return [cell.strip().strip('"').lower() for cell in line.rstrip("\r\n").split(_delimiter(line))]
