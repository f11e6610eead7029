"""What asking and training cost on one GPU, part by part, each within its share of the time; ``benchmarks/gpu.sh`` runs it.

Asking is ``eval_speed.py``, training ``train_speed.py``, each part in a process of its own. The file is written after every
part, and what a part had when its time was over is kept, with the commit and the versions that it ran with. On a
GPU seconds are the wall's, and memory is the most that PyTorch's allocator had given out.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import train_speed
from phases import synchronize

from harness_ext.common.files import write_text
from harness_ext.common.provenance import provenance

HERE = Path(__file__).parent
MEASURED = HERE.parent / "results" / "gpu.json"
TRIED = HERE.parent / "results" / "runs" / "gpu_small.json"
# Parts, and their shares of the time; what one leaves is shared by those after it.
PARTS = {"model": 60, "asking": 220, **dict.fromkeys(train_speed.WAYS, 72)}
# Dense bfloat16 in FLOP/s, half of what NVIDIA's data sheets give "with sparsity": https://www.nvidia.com/en-us/data-center/h100/
# and https://www.nvidia.com/en-us/data-center/h200/ (1,979 TFLOPS as SXM, 1,671 as NVL, 1,513 as PCIe).
PEAKS = {
    "H100 PCIe": 1513e12 / 2,
    "H100 NVL": 1671e12 / 2,
    "H200 NVL": 1671e12 / 2,
    "H100": 1979e12 / 2,
    "H200": 1979e12 / 2,
}
GPU: dict[str, Any] = {
    "shapes": "llava-7b",
    "dtype": "bfloat16",
    "asking": ["--images", "16", "--batch-size", "48", "--repeats", "2"],
    "training": ["--rank", "128"],
}
SMALL: dict[str, Any] = {
    "shapes": "tiny",
    "dtype": "float32",
    "asking": ["--images", "2", "--repeats", "1"],
    "training": ["--rank", "2", "--tokens", "3", "--padded", "6", "--batch", "2", "--rollout", "4", "--checkpointing"],
}


def peak(device: str) -> float | None:
    """The most FLOP/s of a GPU of this name in dense bfloat16; ``None`` where it is in no data sheet here."""
    return next((rate for name, rate in PEAKS.items() if name in device), None)


def product_rate(device: str, size: int, repeats: int = 20) -> float:
    """FLOP/s of the product of two square bfloat16 matrices: what this machine reaches when nothing else is to be done."""
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    for count in (3, repeats):
        synchronize()
        began = time.perf_counter()
        for _ in range(count):
            torch.matmul(left, right)
        synchronize()
        taken = time.perf_counter() - began
    return 2 * size**3 * repeats / taken


class Run:
    """The parts of one run, and the file that has their figures.

    Args:
        options: Of the command line.
        path: The file.
        folder: Where the model and what a part writes go.
    """

    def __init__(self, options: argparse.Namespace, path: Path, folder: Path) -> None:
        self.path, self.model, self._asked = path, folder / "model", folder / "asking.json"
        self.settings = SMALL if options.small else GPU
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self._end = time.monotonic() + options.seconds
        self._waiting = (
            dict(PARTS)
            if not options.parts
            else {"model": PARTS["model"]} | {name: PARTS[name] for name in options.parts}
        )
        name = torch.cuda.get_device_name() if self.device == "cuda" else "cpu"
        self.figures: dict[str, Any] = {
            "device": name,
            "settings": self.settings,
            "parts": {},
            "training": {"turns": {}},
        }
        if options.parts and path.exists():
            earlier = json.loads(path.read_text(encoding="utf-8"))
            if {key: earlier[key] for key in ("device", "settings")} != {"device": name, "settings": self.settings}:
                sys.exit(f"{path} is of another device or of other settings: move it away, or name another --json")
            self.figures = earlier
        # Of each part, for `--parts` keeps what other parts had at another commit.
        self._made = {"made with": provenance()["made_with"], "commit": _commit()}
        self.figures |= {
            "bfloat16 FLOP/s by the data sheet": peak(name),
            "bfloat16 FLOP/s of a matrix product": product_rate(self.device, 8192 if self.device == "cuda" else 256),
        }
        if self.device == "cuda":
            torch.cuda.empty_cache()

    def all(self) -> None:
        """Run part after part, and write the figures after each."""
        for name in list(self._waiting):
            weights, left = sum(self._waiting.values()), self._end - time.monotonic()
            limit = left * self._waiting.pop(name) / weights
            print(f"\n{name}: at most {limit:.0f} s", flush=True)
            began = time.monotonic()
            self._drop(name)
            self.figures["parts"][name] = {"state": "interrupted", **self._made}
            try:
                self._job(name)(limit)
                state = "done"
            except subprocess.TimeoutExpired:
                state = f"stopped after its {limit:.0f} s"
            except subprocess.CalledProcessError as error:
                state = f"failed with status {error.returncode}"
            finally:
                self._collect()
            self.figures["parts"][name] = {"state": state, "seconds": time.monotonic() - began, **self._made}
            self._write()
            if name == "model" and state != "done":
                return

    def _drop(self, name: str) -> None:
        """Take out what an earlier run had of a part, so that none of it stands under a run that fails."""
        if name == "asking":
            self.figures.pop("asking", None)
        elif self.figures["training"]["turns"].pop(name, None):
            self._sum_up_training(self._training_options())

    def _job(self, name: str) -> Callable[[float], None]:
        if name == "model":
            return lambda limit: self._script(
                limit, "shapes.py", self.settings["shapes"], self.model, "--device", self.device
            )
        if name == "asking":
            kept: tuple[Any, ...] = (
                "--glyphs",
                "0",
                "--growth",
                "--phases",
                "--model",
                self.model,
                "--json",
                self._asked,
            )
            return lambda limit: self._script(
                limit, "eval_speed.py", "--shapes", self.settings["shapes"], *self.settings["asking"], *kept
            )
        return lambda limit: self._train(name, limit)

    def _script(self, limit: float, script: str, *arguments: Any) -> None:
        command = [sys.executable, HERE / script, *arguments, "--dtype", self.settings["dtype"]]
        subprocess.run(list(map(str, command)), check=True, timeout=limit)

    def _train(self, name: str, limit: float) -> None:
        options = self._training_options()
        self.figures["training"]["turns"][name] = [train_speed.turn(name, options, self.model, limit)]
        self._sum_up_training(options)

    def _training_options(self) -> argparse.Namespace:
        model = ["--shapes", self.settings["shapes"], "--dtype", self.settings["dtype"]]
        return train_speed.parser().parse_args([*model, *self.settings["training"], "--rollouts", "2", "--turns", "1"])

    def _sum_up_training(self, options: argparse.Namespace) -> None:
        turns = self.figures["training"]["turns"]
        self.figures["training"] = {"turns": turns}
        try:
            self.figures["training"] |= train_speed.summary(options, turns)
        except RuntimeError as error:
            # Each way's own figures are there all the same.
            self.figures["training"]["problem"] = str(error)

    def _collect(self) -> None:
        """Take over what asking has written, and write everything."""
        if self._asked.exists():
            self.figures["asking"] = asked = json.loads(self._asked.read_text(encoding="utf-8"))
            for way in asked.get("llava", {}).get("ways", {}).values():
                self._add_shares(way)
        self._write()

    def _add_shares(self, way: dict[str, Any]) -> None:
        way["FLOP/s"] = rate = way["GFLOP an answer"] * 1e9 * way["answers per second"]
        for name in ("by the data sheet", "of a matrix product"):
            most = self.figures[f"bfloat16 FLOP/s {name}"]
            way[f"share of FLOP/s {name}"] = rate / most if most else None

    def _write(self) -> None:
        write_text(self.path, json.dumps(self.figures, indent=1) + "\n")

    def show(self) -> None:
        """Print what there is."""
        figures = self.figures
        print(
            f"\n{figures['device']}; a matrix product runs at {figures['bfloat16 FLOP/s of a matrix product']:.3g} FLOP/s"
        )
        print(f"{'':<30} {'answers/s':>9} {'times (i)':>10} {'of data sheet':>15} {'of product':>15} {'peak GiB':>9}")
        for way, found in figures.get("asking", {}).get("llava", {}).get("ways", {}).items():
            shares = [found[f"share of FLOP/s {name}"] for name in ("by the data sheet", "of a matrix product")]
            told = ["unknown" if share is None else f"{share:.1%}" for share in shares]
            rate = f"{found['answers per second']:>9.2f} {found['times one at a time']:>10.2f}"
            print(f"{way:<30} {rate} {told[0]:>15} {told[1]:>15} {found['peak memory GiB']:>9.2f}")
        if figures["training"].get("ways"):
            train_speed.show(figures["training"])
        if problem := figures["training"].get("problem"):
            print(problem)
        for name, part in figures["parts"].items():
            print(f"{name:<30} {part.get('seconds', float('nan')):>7.1f} s  {part['state']}")
        print(f"written to {self.path}")


def _commit() -> str | None:
    """The commit of this tree, with a mark where files differ from it; ``None`` where it is a copy without its history."""
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=HERE, capture_output=True, text=True, check=False
    )
    return told.stdout.strip() or None


def main() -> None:
    """Run the parts, and print a summary; the exit status is 1 where one of them is not done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--small", action="store_true", help="smallest shapes, on any machine: whether the script works"
    )
    parser.add_argument("--parts", nargs="+", choices=tuple(PARTS)[1:], help="only these, beside what the file has")
    parser.add_argument("--seconds", type=float, default=560, help="for all parts together")
    parser.add_argument(
        "--json", type=Path, help=f"by default {MEASURED.name} in results, or {TRIED.name} in results/runs"
    )
    options = parser.parse_args()
    path: Path = options.json or (TRIED if options.small else MEASURED)
    if not options.small and not torch.cuda.is_available():
        sys.exit("no GPU is seen by PyTorch: run this on a machine with one, or try the script by --small")
    if options.small and path.resolve() == MEASURED.resolve():
        sys.exit(f"{MEASURED} is for what a GPU is measured to do: name another --json with --small")
    # `timeout` asks a process to end: what is there is written then.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
    with tempfile.TemporaryDirectory() as folder:
        run = Run(options, path, Path(folder))
        run.all()
    run.show()
    if any(part["state"] != "done" for part in run.figures["parts"].values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
