"""The tool in a process of its own, as a shell would start it."""

import os
import signal
import subprocess
import sys

_LIGHT = """
import sys
from fer_lightning.cli import main
code = main(sys.argv[1:])
heavy = {"torch", "lightning", "torchmetrics", "albumentations", "jsonargparse", "numpy", "rich"} & set(sys.modules)
assert not heavy, heavy
sys.exit(code)
"""


def light(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own that fails if anything heavy was imported."""
    return subprocess.run([sys.executable, "-c", _LIGHT, *words], capture_output=True, text=True)


def start(words: list[str]) -> subprocess.Popen[str]:
    """Start the tool as a shell would; the parent of the tests may have told it to ignore Ctrl-C."""
    return subprocess.Popen(
        [sys.executable, "-m", "fer_lightning", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    )
