"""``python -m demo``: starts the page, and says where it is."""

import argparse
import contextlib
import io
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fer_lightning.errors import UserError

_UNSHARED = (
    "could not share: Gradio's tunnel cannot be reached from here. The page goes on at the address above; "
    "others can reach it over `ssh -R`, or as a Hugging Face Space (demo/README.md)"
)


def main(args: Sequence[str] | None = None) -> int:
    """Start the page, and wait until it is stopped.

    Args:
        args: The words of the command line; by default those the process was started with.

    Returns:
        The exit code: 0 stopped, 2 a mistake of the user's.
    """
    options = _parser().parse_args(args)
    before = dict(os.environ)
    try:
        with tempfile.TemporaryDirectory(prefix="fer_lightning-demo-") as folder:
            _serve(options, folder)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped")
    finally:
        os.environ.clear()
        os.environ.update(before)
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        """Say what is wrong in one line."""
        self.exit(2, f"error: {message}; --help lists the options\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m demo", description="Photos, live video and films on a page.", allow_abbrev=False)
    parser.add_argument(
        "--checkpoint", metavar="NAME", help="a file, or the name of a shipped checkpoint, to start with"
    )
    parser.add_argument(
        "--logit_adjustment",
        type=float,
        default=0.0,
        metavar="POWER",
        help="name rare expressions more often: divide each probability by this power of its expression's share, such "
        "as 0.5; the scores under About are without it (default: 0)",
    )
    parser.add_argument("--share", action="store_true", help="also give a public https address, for a week at most")
    parser.add_argument("--auth", metavar="USER:PASS", type=_auth, help="ask visitors for a name and a password")
    parser.add_argument(
        "--host",
        default=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"),  # set where the page runs as a Space
        help="address to listen on; 0.0.0.0 for the whole network (default: %(default)s)",
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=os.environ.get("GRADIO_SERVER_PORT", "7860"),
        help="port to listen on; 0 takes a free one (default: %(default)s)",
    )
    return parser


def _auth(text: str) -> tuple[str, str]:
    user, colon, password = text.partition(":")
    if not (user and colon and password):
        raise argparse.ArgumentTypeError("needs the form USER:PASS")
    return user, password


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text}: a port is a number from 0 to 65535")
    return int(text)


def _serve(options: argparse.Namespace, folder: str) -> None:
    os.environ |= {
        "TORCHINDUCTOR_CACHE_DIR": folder,  # which importing torchvision makes
        "GRADIO_TEMP_DIR": folder,
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the folder is deleted then, too
    page, launch, kept = _page(options.checkpoint, options.logit_adjustment)
    port = options.port or _free_port(options.host)
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):  # Gradio's own words on a tunnel that fails mislead
            _, local, shared = page.launch(
                server_name=options.host,
                server_port=port,
                share=options.share,
                auth=options.auth,
                prevent_thread_lock=True,
                **launch,
            )
    except OSError:
        raise UserError(
            f"--port {port}: cannot listen on {options.host}:{port}; choose another --port or --host"
        ) from None
    print(
        f"open {local}" + ("" if _is_local(options.host) else "  (without https, browsers refuse the camera to others)")
    )
    if options.share and not shared:
        print(_UNSHARED)
    if shared:
        print(
            f"shared at {shared}\npictures travel through Gradio's tunnel, and whoever has the link can use the page"
            + ("" if options.auth else "; --auth USER:PASS asks for a password")
        )
    sys.stdout.flush()
    try:
        while True:
            time.sleep(60)
            sweep(Path(folder), kept)
    finally:
        page.close(verbose=False)


def sweep(folder: Path, seconds: float) -> None:
    """Delete the files that are older; Gradio itself forgets those of uploads that were broken off."""
    for file in folder.rglob("*"):
        with contextlib.suppress(OSError):  # gone meanwhile
            if file.is_file() and time.time() - file.stat().st_ctime > seconds:
                file.unlink()


def _page(given: str | None, adjustment: float) -> tuple[Any, dict[str, Any], float]:
    """Return the page, what to launch it with, and how long it keeps files; mistakes are told before it is imported."""
    from fer_lightning import checkpoint
    from fer_lightning.answering import Way

    checkpoint.find(given)
    Way(logit_adjustment=adjustment)  # complains of what is none
    try:
        import gradio  # noqa: F401
    except ImportError:
        raise UserError("the demo needs gradio; run: pip install -e '.[demo]'") from None
    import torch

    from fer_lightning import runtime

    from .about import KEPT_S
    from .app import LAUNCH, build
    from .models import Models

    runtime.keep_memory()
    torch.set_num_threads(max(1, min(4, (os.cpu_count() or 2) // 2)))  # several visitors share the cores
    models = Models(given, adjustment)
    models.get()
    return build(models), LAUNCH, KEPT_S


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            raise UserError(f"--host {host}: not an address of this computer") from None
        return int(probe.getsockname()[1])


def _is_local(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


if __name__ == "__main__":
    sys.exit(main())
