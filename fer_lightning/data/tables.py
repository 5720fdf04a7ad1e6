"""A CSV of one's own: ``path,label[,subject][,split]``, any class names."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fer_lightning.data.faceset import BadRows, FaceSet, ReadOptions, Role
from fer_lightning.data.picture_rows import Row, face_set
from fer_lightning.data.pixel_csv import refuse_stand_in
from fer_lightning.errors import UserError

_NEEDED = ("path", "label")
_ROLES: tuple[Role, ...] = ("train", "validation", "test")


def find_tables(root: Path) -> list[Path]:
    """Return the CSVs with the columns path and label at a path or directly in it."""
    files = [root] if root.is_file() else sorted(root.glob("*"))
    return [file for file in files if file.suffix.lower() == ".csv" and file.is_file() and _is_table(file)]


def _is_table(file: Path) -> bool:
    with file.open(encoding="utf-8-sig", errors="replace") as text:
        return set(_NEEDED) <= set(_cells(text.readline()))


def read_table(root: Path, options: ReadOptions) -> FaceSet:
    """Read a table of pictures; paths are relative to the table's folder, or absolute.

    Args:
        root: The CSV, or the folder that holds it.
        options: Uses ``on_bad_row``.

    Raises:
        UserError: If there is no such table or more than one, a column is missing, or a row is bad.
    """
    files = [root] if root.is_file() else find_tables(root)
    if not files:
        raise UserError(f"{root}: no CSV with the columns path and label here; write one: path,label[,subject][,split]")
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise UserError(f"{root}: more than one table ({names}); name one, or join them with a column split")
    file = files[0]
    with file.open("rb") as handle:
        refuse_stand_in(file, handle.read(200))
    bad = BadRows(options.on_bad_row)
    rows = _rows(file, bad)
    if not rows:
        raise UserError(f"{file}: holds no usable rows; write one line for each picture: path,label[,subject][,split]")
    if len({row.label for row in rows}) < 2:
        raise UserError(f"{file}: only one class, {rows[0].label}; a network needs at least two")
    present = {row.part for row in rows}
    roles: dict[Role, str] = {role: role for role in _ROLES if role in present}
    if roles and "" in present:
        raise UserError(f"{file}: some rows have no split; fill the column with {', '.join(_ROLES)}, or leave it out")
    if len({bool(row.subject) for row in rows}) > 1:
        raise UserError(f"{file}: some rows have no subject; fill the column, or leave it out")
    return face_set("csv", rows, options, roles=roles, remarks=bad.remarks())


def _rows(file: Path, bad: BadRows) -> list[Row]:
    rows = []
    with file.open(newline="", encoding="utf-8-sig", errors="replace") as text:
        first = text.readline()
        columns = _cells(first)
        if missing := [column for column in _NEEDED if column not in columns]:
            found = repr(first.strip()[:80])
            raise UserError(f"{file} line 1: no column {' and '.join(missing)} (found: {found}); add it to the header")
        reader = csv.reader(text, delimiter=_delimiter(first))
        for cells in _whole_lines(file, reader):
            if any(map(str.strip, cells)):
                row = _row(file.parent, dict(zip(columns, map(str.strip, cells), strict=False)))
                if isinstance(row, Row):
                    rows.append(row)
                else:
                    bad.add(f"{file} line {reader.line_num + 1}", row)
    return rows


def _whole_lines(file: Path, reader: Any) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise UserError(f"{file} line {reader.line_num + 1}: {error}; is a quote left open above?") from None


def _row(folder: Path, values: dict[str, str]) -> Row | str:
    """Return the row, or the reason why it is none."""
    for column in _NEEDED:
        if not values.get(column):
            return f"no {column}"
    part = values.get("split", "").lower()
    part = {"val": "validation", "valid": "validation", "training": "train"}.get(part, part)
    if part and part not in _ROLES:
        return f"unknown split {part} (options: {', '.join(_ROLES)})"
    name = values["path"]
    if not (folder / name).is_file():
        name = name.replace("\\", "/")  # written on Windows
    path = folder / name
    if not path.is_file():
        return f"no picture {values['path']} (paths are relative to the folder of the CSV)"
    return Row(path, name, values["label"], values.get("subject", ""), part)


def _delimiter(line: str) -> str:
    return max(",;\t", key=line.count)


def _cells(line: str) -> list[str]:
    return [cell.strip().strip('"').lower() for cell in line.rstrip("\r\n").split(_delimiter(line))]
