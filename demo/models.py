"""The checkpoints that the page offers; each is loaded when it is first asked for."""

import threading
from pathlib import Path

from fer_lightning import checkpoint
from fer_lightning.errors import UserError
from fer_lightning.recognizer import Recognizer


class Models:
    """Checkpoints by the names that the page shows; the first name is the default."""

    def __init__(self, given: str | None = None, logit_adjustment: float = 0.0) -> None:
        """Find them, without loading any.

        Args:
            given: A file or the name of a shipped checkpoint, to stand first; None takes the package's default.
            logit_adjustment: How much rare expressions are lifted, as a Recognizer has it.

        Raises:
            UserError: If there is none.
        """
        first = checkpoint.find(given)
        others = {file.stem: file for file in checkpoint.shipped() if not file.samefile(first)}
        self._files: dict[str, Path] = {first.stem: first} | {
            name if name != first.stem else f"{name} (shipped)": file for name, file in others.items()
        }
        self._adjustment = logit_adjustment
        self._loaded: dict[str, Recognizer] = {}
        self._lock = threading.Lock()

    @property
    def names(self) -> list[str]:
        """The names, the default first."""
        return list(self._files)

    def get(self, name: str | None = None) -> Recognizer:
        """Return a recognizer; visitors share it.

        Args:
            name: One of :attr:`names`; None or an empty one takes the first.

        Raises:
            UserError: If there is no such name, or its file cannot be used.
        """
        wanted = name or self.names[0]
        if wanted not in self._files:
            raise UserError(f"{wanted}: no such checkpoint; choose from {', '.join(self.names)}")
        with self._lock:
            if wanted not in self._loaded:
                self._loaded[wanted] = Recognizer.from_checkpoint(
                    self._files[wanted], logit_adjustment=self._adjustment
                )
            return self._loaded[wanted]
