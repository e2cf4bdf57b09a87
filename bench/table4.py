"""Table 4 of the paper: asymmetric units against unit cells, our engine against the same network in torch-geometric.

    PYTHONPATH=src python bench/table4.py --train TRAIN.npz --output table.md [--device cuda] [--batch 512] …
    PYTHONPATH=src python bench/table4.py --train TRAIN.npz --output table.md --smoke

Defaults are the paper's size; needs torch, numpy and safetensors, and torch-geometric for the yardstick.

- Memory: the most that one training step takes, weights and optimiser counted in, in a process of its own: CUDA's
  allocator, or on a CPU the growth of the resident set.  The largest batch is a power of two.
- Time: steps of the engines in turn in one process, median; CPU seconds of one thread (other jobs disturb them less
  than a clock), or on CUDA the clock.  An epoch is the whole of TRAIN.npz.
- Precision: ours as training and sampling choose it for the device and width (`diffusion.precision`); the yardstick in
  bf16 on CUDA, fp32 on a CPU.
- Floor: the matrix products that were counted in it over the rate of a large matrix product on this device, in the
  engine's precision.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

if "--threads" not in sys.argv:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from symmcd.batch import OrbitBatch
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.orbit import in_unit_cell
from symmcd.diffusion import reverse_process
from symmcd.diffusion.checkpoint import Checkpoint
from symmcd.diffusion.data_statistics import DataStatistics
from symmcd.diffusion.denoiser import Denoiser
from symmcd.diffusion.forward_process import ForwardProcess
from symmcd.diffusion.generator import Generator
from symmcd.diffusion.joint_kind import JointSettings
from symmcd.diffusion.loss import batch_losses, component_losses, corrupted, total_loss
from symmcd.diffusion.model import Plan
from symmcd.diffusion.noise_schedule import reverse_times
from symmcd.diffusion.precision import choose_precision, lowered, products
from symmcd.diffusion.random_streams import CrystalStreams
from symmcd.diffusion.sampler import Sampler
from symmcd.settings import Precision, TrainingSettings
from symmcd.storage import read_units

try:
    from torch_geometric_yardstick import Yardstick, flat_target
except ImportError:
    Yardstick = None

REPRESENTATIONS = {"asymmetric unit": lambda units: units, "unit cell": in_unit_cell}
GIB = 2**30
SMOKE = {"width": 16, "layers": 2, "frequencies": 4, "batch": 8, "crystals": 40, "steps": 2, "samples": 8,
         "reverse_steps": 2, "largest": 16}  # fmt: skip


def main() -> None:
    given = arguments()
    torch.set_num_threads(given.threads)
    if given.measure:
        what, representation, engine = given.measure.split("/")
        found = memory(given, representation, engine) if what == "memory" else speed(given, representation)
        print(json.dumps(found))
        return
    engines = ["ours"] + (["yardstick"] if compared(given) else [])
    table = []
    for representation in given.representations:
        fast = in_subprocess(f"speed/{representation}/")
        for engine in engines:
            used = in_subprocess(f"memory/{representation}/{engine}")
            table.append({"representation": representation, "engine": engine} | used | fast[engine])
    lines = rendered(given, table)
    given.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True, help="asymmetric units, from `symmcd reduce`")
    parser.add_argument("--output", type=Path, required=True, help="table in Markdown")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--frequencies", type=int, default=128)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--budget", type=float, default=40.0, help="GiB that the largest batch may take")
    parser.add_argument("--largest", type=int, default=2**16, help="batches beyond this are not tried")
    parser.add_argument("--crystals", type=int, default=0, help="take the first so many of TRAIN only; 0 = all")
    parser.add_argument("--steps", type=int, default=20, help="timed training steps")
    parser.add_argument("--samples", type=int, default=512, help="crystals sampled at once")
    parser.add_argument("--reverse-steps", type=int, default=10, help="timed reverse steps, of 1000")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--smoke", action="store_true", help="seconds, and no meaning")
    parser.add_argument("--engines", choices=["both", "ours"], default="both", help="ours: without the yardstick")
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="auto", help="of ours")
    parser.add_argument("--representations", nargs="+", choices=list(REPRESENTATIONS), default=list(REPRESENTATIONS))
    parser.add_argument("--measure", help=argparse.SUPPRESS)  # what a subprocess of this script does
    given = parser.parse_args()
    if given.smoke:
        vars(given).update(SMOKE)
    return given


def in_subprocess(what: str) -> dict[str, Any]:
    """Run one measurement in a fresh process."""
    command = [sys.executable, __file__, *sys.argv[1:], "--measure", what]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    print(what, done.stdout.splitlines()[-1], flush=True)  # kept if a later one fails
    return json.loads(done.stdout.splitlines()[-1])


def compared(given: argparse.Namespace) -> bool:
    """Whether the yardstick runs beside ours."""
    return bool(Yardstick) and given.engines == "both"


# --- what is measured -------------------------------------------------------------------------------------------------


class Engine:
    """A network with the training step of the stage ``train``: gradients, clipping and Adam."""

    def __init__(
        self, network: torch.nn.Module, process: ForwardProcess, data: OrbitBatch, precision: Precision = "auto"
    ) -> None:
        self.network, self.process, self.data = network, process, data
        self.device, self.settings = data.mask.device.type, TrainingSettings()
        if isinstance(network, Denoiser):
            self.precision = choose_precision(precision, data.mask.device, network.settings.width)
        else:
            self.precision = torch.bfloat16 if self.device == "cuda" else torch.float32
        self.optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4, weight_decay=0.0, fused=True)

    def step(self, rows: torch.Tensor, seed: int) -> None:
        """One training step on the crystals `rows`."""
        noisy, target, times = corrupted(self.process, self.data.select(rows), seed)
        weights = self.settings.loss_weights
        if isinstance(self.network, Denoiser):
            batch_losses(self.network, noisy, target, times, weights, backward=True, precision=self.precision)
        else:
            real = noisy.mask[noisy.mask][None]
            with products(self.device, self.precision):
                prediction = self.network.flat(noisy, times)
            answer = flat_target(target, noisy.mask)
            losses = component_losses(prediction, answer, real, len(noisy), real.shape[1])
            total = total_loss(losses, weights)
            total.backward()
            float(total.detach())
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.gradient_norm)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)

    @torch.inference_mode()
    def sample(self, plans: list[Plan], times: list[int]) -> None:
        """The reverse process through `times`."""
        network = self.network
        if isinstance(network, Denoiser):
            network = lowered(copy.deepcopy(network), self.precision)
        for plan in plans:
            number, group, orbits = (torch.as_tensor(a, device=self.data.mask.device) for a in
                                     (plan.number, plan.space_group, plan.orbits))  # fmt: skip
            streams = CrystalStreams(0, number)
            mask = torch.arange(int(plan.padded[0]), device=number.device) < orbits[:, None]
            state = reverse_process.start(self.process, group, mask, streams)
            with products(self.device, self.precision):
                reverse_process.run(network, self.process, state, times, streams)


def engines(given: argparse.Namespace, units: AsymmetricUnits) -> dict[str, Engine]:
    """Ours, and the yardstick with the same weights."""
    settings = JointSettings(width=given.width, layers=given.layers, frequencies=given.frequencies)
    torch.manual_seed(0)
    ours = Denoiser(settings)
    for head in (ours.position_head, ours.lattice_head, ours.element_head, ours.site_symmetry_head):
        torch.nn.init.normal_(head.weight, std=given.width**-0.5)  # they start at zero, and would all agree
    process = ForwardProcess(settings, DataStatistics.of(units).to(given.device))
    data = OrbitBatch.from_units(units).to(given.device)
    networks = {"ours": ours} | ({"yardstick": Yardstick(ours)} if compared(given) else {})
    return {
        name: Engine(network.to(given.device), process, data, given.precision) for name, network in networks.items()
    }


def read(given: argparse.Namespace, representation: str) -> AsymmetricUnits:
    units = read_units(given.train)
    return REPRESENTATIONS[representation](units.take(np.arange(given.crystals or len(units))))


def memory(given: argparse.Namespace, representation: str, engine: str) -> dict[str, Any]:
    """Peak of a step at ``--batch``, GiB, and the largest batch within ``--budget``."""
    units = read(given, representation)
    base = resident("VmRSS")
    all_engines = engines(given, units)
    tested = all_engines.pop(engine)
    del all_engines
    generator = torch.Generator().manual_seed(0)
    peaks: dict[int, float] = {}
    size = given.batch
    while size <= max(given.largest, given.batch):
        rows = torch.randint(len(units), (size,), generator=generator).to(given.device)
        peaks[size] = peak(lambda rows=rows: [tested.step(rows, seed) for seed in (0, 1)], given.device, base)
        if peaks[size] > given.budget:
            break
        size *= 2
    fitting = [size for size, used in peaks.items() if used <= given.budget]
    return {"memory": peaks[given.batch], "largest": max(fitting, default=0), "tried": max(peaks)}


def peak(work: Callable[[], Any], device: str, base: float) -> float:
    """GiB in use at the worst moment of `work`; infinite if the device has not so much."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        try:
            work()
        except torch.cuda.OutOfMemoryError:
            return float("inf")
        return torch.cuda.max_memory_allocated() / GIB
    Path("/proc/self/clear_refs").write_text("5")  # starts VmHWM anew
    work()
    return resident("VmHWM") - base


def resident(field: str) -> float:
    """Resident memory of this process, GiB: now (VmRSS), or the most so far (VmHWM)."""
    status = Path("/proc/self/status")
    if not status.exists():  # no Linux: the most so far is all there is
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / GIB
    line = next(line for line in status.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024 / GIB


def speed(given: argparse.Namespace, representation: str) -> dict[str, Any]:
    """Crystals a second in training and sampling of each engine, and the matrix products of both, FLOP a crystal."""
    units = read(given, representation)
    tested = engines(given, units)
    generator = torch.Generator().manual_seed(1)
    batches = [torch.randint(len(units), (given.batch,), generator=generator).to(given.device)
               for _ in range(given.steps)]  # fmt: skip
    plans, times = sampling_plan(given, units), reverse_times(1000, given.reverse_steps)
    if "yardstick" in tested:
        check_agreement(tested, batches[0][: min(64, given.batch)])
    found: dict[str, Any] = {name: {"train_seconds": [], "sample_seconds": []} for name in tested}
    for name, engine in tested.items():
        with FlopCounterMode(display=False) as counter:
            engine.step(batches[0], 0)
        found[name]["train_flop"] = counter.get_total_flops() / given.batch
        with FlopCounterMode(display=False) as counter:
            engine.sample(plans, [1000, 0])
        found[name]["sample_flop"] = 1000 * counter.get_total_flops() / given.samples
        engine.step(batches[-1], 1)  # warm
    for seed, rows in enumerate(batches):
        for name, engine in tested.items():
            found[name]["train_seconds"].append(timed(lambda e=engine, r=rows, s=seed: e.step(r, s), given))
    for _ in range(3):
        for name, engine in tested.items():
            found[name]["sample_seconds"].append(timed(lambda e=engine: e.sample(plans, times), given))
    for name, values in found.items():
        rate = matmul_rate(given, tested[name].precision)
        train, sample = float(np.median(values.pop("train_seconds"))), float(np.median(values.pop("sample_seconds")))
        values["training"] = given.batch / train
        values["sampling"] = given.samples / (sample / given.reverse_steps * 1000)
        values["training_floor"] = rate / values.pop("train_flop")
        values["sampling_floor"] = rate / values.pop("sample_flop")
        precision = str(tested[name].precision).removeprefix("torch.")
        values |= {"rate": rate, "precision": precision, "crystals": len(units)}
    return found


def sampling_plan(given: argparse.Namespace, units: AsymmetricUnits) -> list[Plan]:
    """Batches of crystals with the numbers of orbits that the data has, as the stage ``sample`` would put them."""
    settings = JointSettings(width=8, layers=1, frequencies=1)
    checkpoint = Checkpoint(DataStatistics.of(units), settings, {}, Denoiser(settings).state_dict(), {})
    return list(Generator(checkpoint).plan(np.arange(given.samples), Sampler(batch_size=1024), 0))


@torch.no_grad()
def check_agreement(tested: dict[str, Engine], rows: torch.Tensor) -> None:
    """Stop if the two networks are not one function."""
    ours = tested["ours"]
    noisy, _, times = corrupted(ours.process, ours.data.select(rows), 0)
    a, b = (vars(engine.network(noisy, times)) for engine in tested.values())
    for name, found in a.items():
        real = noisy.mask if name != "lattice_noise" else slice(None)
        difference = float((found[real] - b[name][real]).abs().max() / found[real].abs().max())
        if difference > 1e-4:
            sys.exit(f"the yardstick predicts another {name}: relative difference {difference:.1e}")


def timed(work: Callable[[], Any], given: argparse.Namespace) -> float:
    """Seconds: of the clock on CUDA and with several threads, of the processor otherwise."""
    cuda = given.device.startswith("cuda")
    clock = time.perf_counter if cuda or given.threads > 1 else time.process_time
    if cuda:
        torch.cuda.synchronize()
    start = clock()
    work()
    if cuda:
        torch.cuda.synchronize()
    return clock() - start


def matmul_rate(given: argparse.Namespace, dtype: torch.dtype) -> float:
    """FLOP/s of a large matrix product in `dtype`."""
    size = 8192 if given.device.startswith("cuda") else 1024
    a, b = (torch.randn(size, size, device=given.device, dtype=dtype) for _ in range(2))
    return 2 * size**3 / min(timed(lambda: a @ b, given) for _ in range(10))


# --- the table --------------------------------------------------------------------------------------------------------


def rendered(given: argparse.Namespace, table: list[dict[str, Any]]) -> list[str]:
    """Lines of Markdown."""
    cuda = given.device.startswith("cuda")
    name = torch.cuda.get_device_name() if cuda else cpu_name()
    clock = "clock" if cuda or given.threads > 1 else "CPU seconds"
    by_engine = {row["engine"]: f"{row['precision']} at {row['rate'] / 1e12:.3g} TFLOP/s" for row in table}
    rates = ", ".join(f"{engine} in {rate}" for engine, rate in by_engine.items())
    lines = [
        f"`python bench/table4.py {' '.join(sys.argv[1:])}`",
        "",
        f"{name}{'' if cuda else f', {given.threads} thread'}, matrix products of {rates}; "
        f"Python {platform.python_version()}, torch {torch.__version__}{geometric()}.  "
        f"Width {given.width}, {given.layers} layers, {given.frequencies} frequencies, batch {given.batch}; "
        f"{table[0]['crystals']} crystals an epoch; {clock}, in brackets the arithmetic floor.",
        "",
        f"| representation | engine | memory at batch {given.batch}, GiB | largest batch in {given.budget:g} GiB | "
        "training, crystals/s | epoch, s | sampling (1000 steps), crystals/s |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in table:
        more = "≥ " if row["largest"] == row["tried"] else ""
        epoch, floor = row["crystals"] / row["training"], row["crystals"] / row["training_floor"]
        lines.append(
            f"| {row['representation']} | {row['engine']} | {row['memory']:.2f} | {more}{row['largest']} | "
            f"{row['training']:.4g} ({row['training_floor']:.4g}) | {epoch:.3g} ({floor:.3g}) | "
            f"{row['sampling']:.3g} ({row['sampling_floor']:.3g}) |"
        )
    lines.append("")
    if not compared(given):
        why = "left out" if Yardstick else "torch-geometric is not installed"
        return [*lines, f"yardstick: {why}"]
    for representation in given.representations:
        ours, other = (row for row in table if row["representation"] == representation)
        lines.append(
            f"- {representation}: ours {ours['training'] / other['training']:.2f} times the yardstick's training, "
            f"{ours['sampling'] / other['sampling']:.2f} times its sampling; the floors differ by "
            f"{ours['training_floor'] / other['training_floor']:.2f} and "
            f"{ours['sampling_floor'] / other['sampling_floor']:.2f}."
        )
    return lines


def cpu_name() -> str:
    """As Linux tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.machine())


def geometric() -> str:
    if not Yardstick:
        return ""
    import torch_geometric

    return f", torch-geometric {torch_geometric.__version__}"


if __name__ == "__main__":
    main()
