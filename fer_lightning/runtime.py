"""Settings of the process: memory on Linux, and which of the libraries' messages a user needs."""

import atexit
import ctypes
import logging
import os
import sys
import tempfile
import warnings
from functools import cache

_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD, _M_TOP_PAD, _M_ARENA_MAX = -3, -1, -2, -8


def keep_memory() -> bool:
    """Let glibc keep freed memory, as PyTorch on a CPU asks for the same large blocks at every step.

    By default glibc gives each block back to the system and faults it in anew, page by page; with activations of tens
    of megabytes that can take longer than the arithmetic.

    Returns:
        True where it was set: Linux with glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    wanted = ((_M_MMAP_THRESHOLD, 1 << 30), (_M_TRIM_THRESHOLD, -1), (_M_TOP_PAD, 64 << 20), (_M_ARENA_MAX, 1))
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        return all(mallopt(key, value) == 1 for key, value in wanted)
    except (OSError, AttributeError):
        return False


@cache
def scratch() -> None:
    """Let PyTorch and matplotlib put their own caches where they vanish with the process, not into home or temp."""
    folder = tempfile.TemporaryDirectory(prefix="fer_lightning-")
    atexit.register(folder.cleanup)
    for name in ("TORCHINDUCTOR_CACHE_DIR", "MPLCONFIGDIR"):
        os.environ.setdefault(name, folder.name)


def hush() -> None:
    """Silence what the libraries say of themselves; errors and this package's own lines stay."""
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.seed"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*LeafSpec.*",
        ".*tensorboardX.*",
        ".*isinstance.treespec.*",
        ".*Checkpoint directory.*exists and is not empty.*",
        ".*smaller than the logging interval.*",
        ".*It is recommended to use .self.log.*sync_dist.*",  # torchmetrics has summed over the processes already
        ".*WeightAveraging callback, but loading a checkpoint outside.*",
    ):
        warnings.filterwarnings("ignore", message)
