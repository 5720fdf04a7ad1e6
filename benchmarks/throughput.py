"""Images/s of ``fit`` against a bare PyTorch loop over the same network on tensors in memory, both in one run.

    python benchmarks/throughput.py --root data/fer2013 [--network improved_cnn] [--augment light]
                                    [--precision bf16-mixed] [--output_stride 4]

``fit`` runs as users run it, in a process of its own: it reads, augments, averages weights, counts scores and logs.
The bare loop takes the same batches as ready tensors and does nothing but train. Pairs alternate, so that a change of
the machine's pace hits both; printed are the median of each and the median of the pairs' ratios.
"""

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from fer_lightning import runtime
from fer_lightning.data.datamodule import ExpressionDataModule
from fer_lightning.models import build_network
from fer_lightning.preprocess import to_tensor


def bare(root: str, network: str, options: dict[str, int], steps: int, batch: int, precision: str) -> float:
    """Train on tensors in memory and return images/s."""
    data = ExpressionDataModule(root=root)
    rows = data.rows("train")[: steps * batch]
    faces = to_tensor(torch.from_numpy(data.faces.faces[rows]))
    targets = torch.from_numpy(data.targets[rows])
    torch.manual_seed(0)
    net = build_network(network, len(data.classes), **options)  # type: ignore[arg-type]
    net = net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=0.05)
    began = 0.0
    for step in range(-5, steps):  # five steps of warm-up
        if step == 0:
            began = time.perf_counter()
        place = slice(max(step, 0) * batch, (max(step, 0) + 1) * batch)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
            loss = torch.nn.functional.cross_entropy(net(faces[place]), targets[place])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return steps * batch / (time.perf_counter() - began)


def fitted(
    root: str, network: str, options: dict[str, int], steps: int, batch: int, precision: str, augment: str
) -> float:
    """Run two short epochs of ``fit`` and return the images/s of the second, as its history tells them."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["fit", "--data.root", root, "--model.network", network, "--data.augment", augment]
        words += ["--data.batch_size", str(batch), "--trainer.precision", precision, "--trainer.max_epochs", "2"]
        words += ["--trainer.limit_val_batches", "1"]
        words += [word for name, value in options.items() for word in (f"--model.{name}", str(value))]
        words += ["--trainer.limit_train_batches", str(steps), "--trainer.default_root_dir", folder]
        done = subprocess.run([sys.executable, "-m", "fer_lightning", *words], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        history = next(Path(folder).glob("*/version_0/history.csv"))
        with history.open(newline="", encoding="utf-8") as file:
            return float(list(csv.DictReader(file))[-1]["images_per_second"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True)
    parser.add_argument("--network", default="improved_cnn")
    parser.add_argument("--augment", default="light", choices=("none", "light", "photo", "strong"))
    parser.add_argument("--precision", default="32-true", choices=("32-true", "bf16-mixed"))
    parser.add_argument("--output_stride", type=int, choices=(2, 4, 8), help="of the improved networks")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--pairs", type=int, default=3)
    args = parser.parse_args()
    runtime.keep_memory()  # fit does so too
    options = {"output_stride": args.output_stride} if args.output_stride else {}
    loops, fits = [], []
    for pair in range(args.pairs):
        loops.append(bare(args.root, args.network, options, args.steps, args.batch, args.precision))
        fits.append(fitted(args.root, args.network, options, args.steps, args.batch, args.precision, args.augment))
        print(f"pair {pair + 1}: bare loop {loops[-1]:.0f}, fit {fits[-1]:.0f} images/s", flush=True)
    ratio = statistics.median(fit / loop for fit, loop in zip(fits, loops, strict=True))
    setting = f"{args.network}, output stride {args.output_stride}" if options else args.network
    print(
        f"{setting}, augment {args.augment}, batch {args.batch}, {args.precision}, {os.cpu_count()} cores: "
        f"bare loop {statistics.median(loops):.0f}, fit {statistics.median(fits):.0f} images/s, ratio {ratio:.3f}"
    )


if __name__ == "__main__":
    main()
