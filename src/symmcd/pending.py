"""Arguments of stages that still load what is heavy at their top; each moves beside its stage's ``run``.

Moving one: its example becomes the stage's ``EXAMPLE``, its function the stage's ``arguments``, its line in `PENDING`
goes, and so does what is heavy at the top of the stage's file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from symmcd.command import Parser
from symmcd.output_folder import RESULTS


def download(parser: Parser) -> None:
    text = "gets train.csv.gz, val.csv.gz, test.csv.gz and source.json"
    parser.add_output(text, metavar="DIR", dest="output_dir")
    parser.add_settings("data")


def reduce(parser: Parser) -> None:
    parser.add_argument("raw", type=Path, help="csv or csv.gz with a column cif")
    parser.add_output("asymmetric units, npz", dest="units")
    parser.add_output("rows not kept, csv (default: beside the units)", what="rejects", dest="rejects", required=False)
    parser.add_workers()
    parser.add_settings("reduce")
    parser.add_moved("--rejects", "it is --output-rejects now")


def train(parser: Parser) -> None:
    parser.add_argument("train", type=Path, help="asymmetric units to learn from, npz")
    parser.add_argument("val", type=Path, help="asymmetric units for the validation loss, npz")
    text = "gets denoiser.safetensors, losses.csv and the checkpoint"
    parser.add_output(text, metavar="DIR", dest="output_dir")
    parser.add_argument(
        "--part",
        metavar="PART",
        help="train one network of a staged model: wyckoff, wyckoff_2 …, geometry (default: all, then join)",
    )
    parser.add_seed()
    parser.add_device()
    parser.add_settings("training", "model")


def sample(parser: Parser) -> None:
    parser.add_argument("denoiser", type=Path, help="denoiser.safetensors of `symmcd train`")
    parser.add_output("raw output of the model, npz")
    parser.add_shard()
    parser.add_seed()
    parser.add_device()
    parser.add_settings("sampling")


def replicate(parser: Parser) -> None:
    parser.add_argument("samples", type=Path, nargs="+", help="samples, all shards")
    parser.add_output("gets units.npz, crystals.extxyz and the CIFs", metavar="DIR", dest="output_dir")
    parser.add_settings("replicate")
    parser.add_moved("--output-dir", "it is --output now")


def relax(parser: Parser) -> None:
    parser.add_argument("crystals", type=Path, help="units.npz of `symmcd replicate`, or an extxyz of your own")
    parser.add_output("energies and status, one row a crystal, csv", dest="table")
    parser.add_output("relaxed crystals, extxyz", what="crystals", dest="relaxed")
    parser.add_shard()
    parser.add_seed()
    parser.add_device()
    parser.add_settings("relax")


def reference(parser: Parser) -> None:
    parser.add_argument("units", type=Path, nargs="+", help="asymmetric units of the reference crystals, npz")
    parser.add_output("formula and energy, csv")
    parser.add_device()
    parser.add_settings("hull")


def hull(parser: Parser) -> None:
    parser.add_argument("relaxed", type=Path, nargs="+", help="csv files of `symmcd relax`")
    text = "csv of `symmcd reference`"
    parser.add_argument("--reference", type=Path, required=True, metavar="FILE", help=text)
    parser.add_output("one row a crystal, csv")
    parser.add_settings("hull")


def sun(parser: Parser) -> None:
    files: dict[str, Any] = {"type": Path, "metavar": "FILE", "nargs": "+"}
    parser.add_argument("hull", type=Path, help="csv of `symmcd hull`")
    text = "units.npz of `symmcd replicate`, or the extxyz that was relaxed"
    parser.add_argument("--crystals", type=Path, required=True, metavar="FILE", help=text)
    parser.add_argument("--relaxed", required=True, **files, help="extxyz files of `symmcd relax`")
    text = "asymmetric units of the training set, npz"
    parser.add_argument("--train", type=Path, required=True, metavar="FILE", help=text)
    text = "held-out crystals, npz: S.U.N. is counted once more without what matches them"
    parser.add_argument("--known", action="extend", default=[], **files, help=text)
    text = "csv files of `symmcd score`: S.U.N. is counted once more of the valid ones"
    parser.add_argument("--scores", default=[], **files, help=text)
    parser.add_output("one row a protocol, csv")
    parser.add_output("one row a crystal, csv", what="per-crystal", dest="per_crystal")
    parser.add_workers()
    parser.add_settings("sun")


def candidates(parser: Parser) -> None:
    parser.add_argument("per_crystal", type=Path, help="sun_per_crystal.csv of `symmcd sun`")
    text = "extxyz files of `symmcd relax`"
    parser.add_argument("--relaxed", type=Path, nargs="+", required=True, metavar="FILE", help=text)
    parser.add_output("one row a crystal, those without doubts first, then by energy, csv", dest="table")
    parser.add_output("one symmetrised CIF a crystal, zip", what="cifs", dest="archive")


def export(parser: Parser) -> None:
    parser.add_argument("units", type=Path, help="units.npz of `symmcd replicate`")
    parser.add_output("folder to write", metavar="DIR")
    text = "LeMat-GenBench: 2,500 CIFs; mattergen-evaluate: one extxyz; xtalmet: JSON of pymatgen structures"
    targets = ("genbench", "mattergen", "xtalmet")
    parser.add_argument("--format", dest="target", choices=targets, required=True, help=text)
    parser.add_seed()
    parser.add_overwrite(RESULTS["export"])


UNITS = "results/asymmetric_units"
PENDING: dict[str, tuple[Callable[[Parser], None], str, str]] = {  # arguments, where `run` is, example
    "download": (download, "download:run", "--output results/raw --set data.source=prototypes"),
    "reduce": (reduce, "reduce:run", f"results/raw/val.csv.gz --output {UNITS}/val.npz --workers 4"),
    "train": (train, "train:run", f"{UNITS}/train.npz {UNITS}/val.npz --output results/training/seed0"),
    "sample": (
        sample,
        "sample:run",
        "results/training/seed0/denoiser.safetensors --output results/samples/shard0.npz --shard 0/4",
    ),
    "replicate": (replicate, "replicate:run", "results/samples/shard*.npz --output results/crystals"),
    "relax": (
        relax,
        "relax:run",
        "results/crystals/units.npz --output results/relaxed/shard0.csv\n"
        "    --output-crystals results/relaxed/shard0.extxyz --shard 0/8",
    ),
    "reference": (reference, "reference:run", f"{UNITS}/train.npz {UNITS}/val.npz --output results/hull/reference.csv"),
    "hull": (
        hull,
        "hull:run",
        "results/relaxed/shard*.csv --reference results/hull/reference.csv --output results/hull.csv",
    ),
    "sun": (
        sun,
        "sun:run",
        "results/hull.csv --crystals results/crystals/units.npz --relaxed results/relaxed/shard*.extxyz\n"
        f"    --train {UNITS}/train.npz --output results/sun.csv --output-per-crystal results/sun_per_crystal.csv",
    ),
    "candidates": (
        candidates,
        "candidates:run",
        "results/sun_per_crystal.csv --relaxed results/relaxed/relaxed.extxyz\n"
        "    --output results/candidates.csv --output-cifs results/candidates.zip",
    ),
    "export": (export, "export:run", "results/crystals/units.npz --output submission/ --format genbench"),
}
