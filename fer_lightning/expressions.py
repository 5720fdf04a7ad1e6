"""The one order of expressions, and how each data set's own labels map onto it."""

from collections.abc import Sequence

FER2013_CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""FER2013's own order: the label in its CSV is the index."""

FERPLUS_CLASSES = (*FER2013_CLASSES, "contempt")
"""The eight expressions of FER+ in this package's order (the file's own column order differs)."""

FERPLUS_COLUMNS = ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt")
"""The expressions of ``fer2013new.csv`` in the order of its vote columns; ``unknown`` and ``NF`` follow."""

CKPLUS_CODES = ("neutral", "angry", "contempt", "disgust", "fear", "happy", "sad", "surprise")
"""The expression that each code 0..7 of CK+'s ``*_emotion.txt`` stands for (Lucey et al. 2010)."""

_SYNONYMS = {
    "anger": "angry",
    "disgusted": "disgust",
    "fearful": "fear",
    "afraid": "fear",
    "scared": "fear",
    "happiness": "happy",
    "joy": "happy",
    "sadness": "sad",
    "surprised": "surprise",
}


def canonical(name: str) -> str:
    """Return this package's name of an expression: ``Anger`` -> ``angry``; an unknown name comes back as it is."""
    lowered = name.strip().lower()
    name_here = _SYNONYMS.get(lowered, lowered)
    return name_here if name_here in FERPLUS_CLASSES else name.strip()


def in_order(names: Sequence[str]) -> tuple[str, ...]:
    """Return the distinct names: known expressions in the package's order first, then the others sorted."""
    present = set(names)
    known = tuple(name for name in FERPLUS_CLASSES if name in present)
    return known + tuple(sorted(present.difference(known)))
