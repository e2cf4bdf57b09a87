"""What one lease of a GPU does, in one command: the jobs of a part, one after the other, whatever becomes of each.

    PYTHONPATH=src python bench/gpu_lease.py first --data .gpu --output $OUT --minutes 9

Parts, best first in each: `first` (does CUDA agree with a CPU; speed and memory; a short training), `weights` (both
networks of the release model at once, joined, sampled), `paper` (the paper's model, trained and sampled) and `relax`
(CHGNet).  DATA has train.npz and val.npz of `symmcd reduce`, for `relax` test.npz and the generated units.npz.

Every job is a process with a limit of its own; one that fails or is too slow is noted, and the next one starts.  A job
that the time left does not suffice for is not started.  OUTPUT gets at most eight files, none above 16 MiB, as they
come: summary.md is written anew after each job, logs grow while jobs run.  Needs torch, numpy and safetensors; `relax`
also what bench/GPU.md lists.  `--smoke --device cpu` runs a part in seconds, and means nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PIECE = 15 * 2**20  # bytes of a file that comes back
END = 10.0  # seconds kept for the end
GRACE = 5.0  # seconds between being asked to end and being made to
SMALL = {"width": 16, "layers": 1, "frequencies": 4, "steps": 20, "wyckoff_width": 16, "wyckoff_layers": 1,
         "wyckoff_heads": 2}  # fmt: skip
JOINT_SMALL = {name: SMALL[name] for name in ("width", "layers", "frequencies", "steps")}
PAPER = {"kind": "joint", "width": 1024, "layers": 8, "frequencies": 128, "standardise_lattice": False}
STAGED_TRAINING = {"epochs": 600, "wyckoff_epochs": 90, "batch_size": 256, "validate_every": 4, "patience": 8}
PAPER_TRAINING = {"epochs": 2000, "batch_size": 512, "validate_every": 20, "checkpoint_minutes": 60}
LOSSES = r"^epoch .*val|parameters|^wrote"


@dataclass(frozen=True)
class Job:
    """Commands that run at once, for `limit` seconds at most; not started with less than `least` left."""

    name: str
    commands: tuple[tuple[str, ...], ...]
    limit: float
    least: float
    keep: str = r"^\||^- "  # lines of the log for the summary
    last: int = 40  # of these, so many
    after: Callable[[], list[str]] = list  # when all went well; more lines for the summary


def main(arguments: list[str] | None = None) -> int:
    """Run a part; the exit status is 0 if all its jobs went well."""
    given = parsed(arguments)
    if given.job:
        {"staged": staged_speed, "constants": constants}[given.job](given)
        return 0
    start = time.monotonic()
    given.output.mkdir(parents=True, exist_ok=True)
    given.work = given.work or Path(tempfile.mkdtemp(prefix="lease"))
    given.work.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, ended)
    deadline = start + 60 * given.minutes - END
    lines = [f"# {given.part}: {machine(given)}", ""]
    good = True
    for job in PARTS[given.part](given):
        if given.only and job.name not in given.only:
            continue
        left = deadline - time.monotonic()
        if left < (0 if given.smoke else job.least):
            status, seconds = f"not started: {left:.0f} s left, {job.least:.0f} needed", 0.0
            found: list[str] = []
        else:
            status, seconds, found = outcome(job, given.output, min(job.limit, left))
        good &= status == "done"
        lines += [f"## {job.name}: {status}, {seconds:.1f} s", "", *found, ""]
        (given.output / "summary.md").write_text("\n".join(lines), encoding="utf-8")
        print(f"{job.name}: {status}, {seconds:.1f} s", flush=True)
    print("\n".join(lines), flush=True)
    print(f"{time.monotonic() - start:.0f} s in all", flush=True)
    return 0 if good else 1


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=list(PARTS))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=9.0, help="all that it may take")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--only", nargs="+", default=[], metavar="JOB", help="of the part, leave out all but these")
    parser.add_argument("--work", type=Path, help="folder for what does not come back (default: a temporary one)")
    parser.add_argument("--smoke", action="store_true", help="seconds, and no meaning")
    parser.add_argument("--job", help=argparse.SUPPRESS)  # what a subprocess of this script does
    return parser.parse_args(arguments)


# --- running ----------------------------------------------------------------------------------------------------------


def outcome(job: Job, output: Path, limit: float) -> tuple[str, float, list[str]]:
    """How a job ended, its seconds, and its lines for the summary."""
    logs = [output / (f"{job.name}{i}.log" if len(job.commands) > 1 else "log.txt") for i in range(len(job.commands))]
    for log, command in zip(logs, job.commands, strict=True):
        with log.open("a") as file:
            file.write(f"\n=== {job.name}: {' '.join(command)}\n")
    before = [log.stat().st_size for log in logs]
    start = time.monotonic()
    try:
        status = run(job.commands, logs, limit)
        extra = job.after() if status == "done" else []
    except Exception as error:  # noqa: BLE001  (the next job must start)
        status, extra = f"failed: {error!r}", []
    seconds, found = time.monotonic() - start, []
    for log, skip in zip(logs, before, strict=True):
        text = log.read_bytes()[skip:].decode(errors="replace").splitlines()
        kept = [line for line in text if re.search(job.keep, line)][-job.last :]
        found += kept if status == "done" else [*kept, "", "```", *text[-12:], "```"]
    if len(logs) > 1:  # one file in the end: few may come back
        with (output / "log.txt").open("ab") as whole:
            for log in logs:
                whole.write(log.read_bytes())
                log.unlink()
    return status, seconds, found + extra


def run(commands: tuple[tuple[str, ...], ...], logs: list[Path], limit: float) -> str:
    """Run `commands` at once, each with its log; "done", or what went wrong.  Nothing of them is left running."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "PYTHONUNBUFFERED": "1",
    }
    running, files = [], [log.open("ab") for log in logs]
    end = time.monotonic() + limit
    try:
        for command, file in zip(commands, files, strict=True):
            running.append(subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                            cwd=ROOT, env=environment, process_group=0))  # fmt: skip
        for process in running:
            process.wait(max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        return f"TIMED OUT after {limit:.0f} s"
    finally:
        for process in running:
            stop(process)
        for file in files:
            file.close()
    failed = [process.returncode for process in running if process.returncode]
    return f"FAILED with status {failed[0]}" if failed else "done"


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children, which form a group."""
    if process.poll() is not None:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(GRACE)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def ended(number: int, _: FrameType | None) -> None:
    """On SIGTERM: end as after an error, so that the job's processes are ended too."""
    raise SystemExit(128 + number)


def machine(given: argparse.Namespace) -> str:
    """Names and versions, asked in a process of its own: this one does not take a part of the GPU."""
    code = "import torch as t; print(t.cuda.get_device_name() if t.cuda.is_available() else 'no GPU', t.__version__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    found = done.stdout.strip() or done.stderr.strip()[-300:]
    return f"{found}, Python {platform.python_version()}, --device {given.device}"


# --- the parts --------------------------------------------------------------------------------------------------------


def first(given: argparse.Namespace) -> list[Job]:
    """What decides about everything else, then what is only good to know."""
    check = () if not given.smoke else ("--width", "16", "--layers", "1", "--frequencies", "4", "--crystals", "6")
    shipped = ROOT / "src" / "symmcd" / "weights" / "mp20.safetensors"
    return [
        Job("check", (script("check_cuda.py", "--device", given.device, *check),), 90, 30, "", 12),
        Job("staged", (itself(given, "staged"),), 90, 40),
        *sampled(given, shipped, "shipped", 10_000, 60, {"batch_size": 1024}, {"batch_size": 4096}),
        Job("ours", (table4(given, "ours", "--engines", "ours"),), 150, 50),
        *staged_training(given, 0.75, 1000, returned=False),
        Job("constants", (itself(given, "constants"),), 90, 40),
        Job("table4", (table4(given, "table4"),), 240, 120),
    ]


def weights(given: argparse.Namespace) -> list[Job]:
    """The release model: all the time that start, joining and sampling leave goes to training."""
    return staged_training(given, max(0.5, given.minutes - 2.25), 10_000)


def paper(given: argparse.Namespace) -> list[Job]:
    """The paper's model; the weights are too large to come back, so it is sampled here, by few steps, then by all."""
    folder, minutes = given.work / "paper", 0.01 if given.smoke else max(0.5, given.minutes - 3.5)
    model = PAPER | (
        {} if not given.smoke else {name: SMALL[name] for name in ("width", "layers", "frequencies", "steps")}
    )
    command = train(given, folder, model, PAPER_TRAINING, minutes)
    few, every = ({"steps": steps, "corrector": False, "batch_size": 4096} for steps in (200, 0))
    denoiser = folder / "denoiser.safetensors"
    keep = lambda: copied(given, folder / "losses.csv")  # noqa: E731
    return [
        Job("train", (command,), 60 * minutes + 60, 60, LOSSES, 4, keep),
        *sampled(given, denoiser, "paper200", 3000, 60, few),
        *sampled(given, denoiser, "paper1000", 3000, 180, every),
    ]


def relax(given: argparse.Namespace) -> list[Job]:
    """CHGNet on real and generated crystals, half and half."""
    rows = given.output / "relaxed.csv"
    number = ("--number", "4" if given.smoke else "1000", "--steps", "2" if given.smoke else "200")
    command = script(
        "relax.py", "--test", given.data / "test.npz", "--generated", given.data / "units.npz", "--output", rows,
        "--device", given.device, "--without-reference", *number,
    )  # fmt: skip
    return [Job("relax", (command,), 420, 60, r"^\||crystals|fmax")]


PARTS: dict[str, Callable[[argparse.Namespace], list[Job]]] = {
    "first": first, "weights": weights, "paper": paper, "relax": relax,
}  # fmt: skip


def staged_training(given: argparse.Namespace, minutes: float, samples: int, *, returned: bool = True) -> list[Job]:
    """Both networks at once, joined, sampled, and the weights in pieces unless they are not `returned`."""
    folder = given.work / "staged"
    minutes = 0.01 if given.smoke else minutes
    model = {name: value for name, value in SMALL.items() if name != "frequencies"} if given.smoke else {}
    command = train(given, folder, model, STAGED_TRAINING, minutes)
    denoiser = folder / "denoiser.safetensors"
    parts = tuple((*command, "--part", part) for part in ("wyckoff", "geometry"))
    keep = lambda: [*copied(given, folder / "losses.csv"), *(pieces(given, denoiser) if returned else [])]  # noqa: E731
    return [
        Job("train", parts, 60 * minutes + 60, 45, LOSSES, 4),
        Job("join", (command,), 60, 10, LOSSES, 4, keep),
        *sampled(given, denoiser, "staged", samples, 90, {"batch_size": 4096}),
    ]


def train(
    given: argparse.Namespace, folder: Path, model: dict[str, Any], training: dict[str, Any], minutes: float
) -> tuple[str, ...]:
    """``symmcd train`` for so many minutes."""
    settings = (
        training | {"max_minutes": round(minutes, 2)} | ({"epochs": 1, "wyckoff_epochs": 1} if given.smoke else {})
    )
    return symmcd(
        "train", given.data / "train.npz", given.data / "val.npz", folder, "--device", given.device,
        "--model-settings", json.dumps(model), "--settings", json.dumps(settings),
    )  # fmt: skip


def sampled(
    given: argparse.Namespace, denoiser: Path, name: str, number: int, least: float, *several: dict[str, Any]
) -> list[Job]:
    """``symmcd sample`` with each of the settings; the last samples come back."""
    jobs = []
    for settings in several:
        few = {"number": 8, "steps": 2} if given.smoke else {"number": number}
        path = given.work / f"{name}_samples.npz"
        command = symmcd(
            "sample", denoiser, path, "--device", given.device, "--settings", json.dumps(settings | few)
        )  # fmt: skip
        label = f"sample {name} {' '.join(f'{key}={value}' for key, value in (settings | few).items())}"
        jobs.append(Job(label, (command,), 3 * least, least / 2, "^wrote", 1, lambda p=path: copied(given, p)))
    return jobs


def table4(given: argparse.Namespace, name: str, *options: str) -> tuple[str, ...]:
    """Table 4; what was measured stands in the log also if it does not come to its end."""
    size = ("--smoke", "--crystals", "12") if given.smoke else ("--largest", "32768", "--steps", "10")
    output = given.work / f"{name}.md"
    return script(
        "table4.py", "--train", given.data / "train.npz", "--device", given.device, "--output", output, *size, *options
    )


def script(name: str, *arguments: object) -> tuple[str, ...]:
    return tuple(map(str, (sys.executable, ROOT / "bench" / name, *arguments)))


def symmcd(*arguments: object) -> tuple[str, ...]:
    return tuple(map(str, (sys.executable, "-m", "symmcd", *arguments)))


def itself(given: argparse.Namespace, job: str) -> tuple[str, ...]:
    smoke = ("--smoke",) if given.smoke else ()
    return script(
        Path(__file__).name, given.part, "--data", given.data, "--output", given.output, "--device", given.device,
        "--job", job, *smoke,
    )  # fmt: skip


def copied(given: argparse.Namespace, path: Path) -> list[str]:
    """Into OUTPUT, if it may come back."""
    if path.stat().st_size > PIECE:
        return [f"{path.name}: {path.stat().st_size / 2**20:.1f} MiB, stays behind"]
    shutil.copyfile(path, given.output / path.name)
    return []


def pieces(given: argparse.Namespace, path: Path) -> list[str]:
    """A file in pieces that may come back, to be put together by ``cat``."""
    content = path.read_bytes()
    for number, first_byte in enumerate(range(0, len(content), PIECE)):
        (given.output / f"{path.name}.{number}").write_bytes(content[first_byte : first_byte + PIECE])
    return [f"{path.name}: {len(content)} bytes in pieces"]


# --- jobs of this script ----------------------------------------------------------------------------------------------


def staged_speed(given: argparse.Namespace) -> None:
    """Seconds of an epoch and memory of both networks of the staged model, by batch size."""
    import torch

    from symmcd.device import choose_device
    from symmcd.diffusion.staged.objectives import GeometryObjective, WyckoffObjective
    from symmcd.settings import ModelSettings
    from symmcd.storage import read_units

    device = choose_device(given.device)
    model = ModelSettings(**(SMALL if given.smoke else {}))
    units = read_units(given.data / "train.npz")
    few = units.take(range(min(len(units), 512)))
    print("| network | batch | ms a step | epoch, s | memory, GiB |\n|---|---|---|---|---|", flush=True)
    for name, kind in (("geometry", GeometryObjective), ("wyckoff", WyckoffObjective)):
        objective = kind(model, units, few, device)
        optimiser = torch.optim.AdamW(objective.network.parameters(), lr=1e-4, fused=True)

        def step(rows: Any, seed: int, objective: Any = objective, optimiser: Any = optimiser) -> None:
            objective.losses(objective.network, rows, seed, backward=True)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)

        for batch in (4, 8) if given.smoke else (256, 512, 1024, 2048):
            seconds, memory = timed_steps(step, objective.crystals, batch, device, 2 if given.smoke else 15)
            epoch = seconds * objective.crystals / batch
            print(f"| {name} | {batch} | {1e3 * seconds:.1f} | {epoch:.2f} | {memory:.2f} |", flush=True)


def constants(given: argparse.Namespace) -> None:
    """Epoch of the joint model at other values of what was chosen without a GPU (see `diffusion.loss`)."""
    import torch

    from symmcd.device import choose_device
    from symmcd.diffusion import loss
    from symmcd.diffusion.objective import JointObjective
    from symmcd.settings import ModelSettings, TrainingSettings
    from symmcd.storage import read_units

    device = choose_device(given.device)
    model = ModelSettings(
        **(PAPER | ({name: SMALL[name] for name in ("width", "layers", "steps")} if given.smoke else {}))
    )
    units = read_units(given.data / "train.npz")
    objective = JointObjective(model, units, units.take([0]), TrainingSettings().loss_weights, device)
    optimiser = torch.optim.AdamW(objective.network.parameters(), lr=1e-4, fused=True)

    def step(rows: Any, seed: int) -> None:
        objective.losses(objective.network, rows, seed, backward=True)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    batch = 4 if given.smoke else 512
    print("| PAIRS_AT_ONCE | LAUNCH_PAIRS | ms a step | epoch, s | memory, GiB |\n|---|---|---|---|---|", flush=True)
    for pairs in (4096,) if given.smoke else (16_384, 65_536, 262_144):
        for launch in (4000,) if given.smoke else (1000, 4000, 16_000, 64_000):
            loss.PAIRS_AT_ONCE[device.type], loss.LAUNCH_PAIRS[device.type] = pairs, launch
            seconds, memory = timed_steps(step, objective.crystals, batch, device, 2 if given.smoke else 8)
            epoch = seconds * objective.crystals / batch
            print(f"| {pairs} | {launch} | {1e3 * seconds:.1f} | {epoch:.2f} | {memory:.2f} |", flush=True)


def timed_steps(
    step: Callable[[Any, int], None], crystals: int, batch: int, device: Any, number: int
) -> tuple[float, float]:
    """Median seconds of a step on random crystals, and the most memory that CUDA gave, GiB."""
    import torch

    cuda, generator = device.type == "cuda", torch.Generator().manual_seed(0)
    wait = torch.cuda.synchronize if cuda else lambda: None
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    for seed in range(number + 2):  # the first two warm up
        rows = torch.randint(crystals, (batch,), generator=generator).to(device)
        wait()
        start = time.perf_counter()
        step(rows, seed)
        wait()
        seconds.append(time.perf_counter() - start)
    memory = torch.cuda.max_memory_allocated() / 2**30 if cuda else 0.0
    return sorted(seconds[2:])[number // 2], memory


if __name__ == "__main__":
    sys.exit(main())
