"""Stage ``predictor``: asymmetric units with formation energies → trained DimeNet++, and the paper's Table 5."""

from __future__ import annotations

from pathlib import Path

from symmcd.command import Parser
from symmcd.settings import PREDICTOR_VARIANTS, PredictorSettings, path_of

VARIANTS = (*PREDICTOR_VARIANTS, "cdvae")
EXAMPLE = (
    "results/asymmetric_units/train.npz results/asymmetric_units/val.npz results/asymmetric_units/test.npz\n"
    "    --output results/predictor"
)


def arguments(parser: Parser) -> None:
    """Declare the arguments of the command line."""
    parser.add_argument("train", type=Path, help="asymmetric units with formation_energy_per_atom, npz")
    parser.add_argument("val", type=Path, help="the same, for the validation loss")
    parser.add_argument("test", type=Path, help="the same, for the error")
    parser.add_output("folder for one safetensors for each variant, and table5.csv, .md, .tex", metavar="DIR")
    text = "train this variant alone (default: all variants of the settings, and Table 5)"
    parser.add_argument("--variant", choices=VARIANTS, help=text)
    parser.add_seed()
    parser.add_device()
    parser.add_settings("predictor")


def run(
    train: Path,
    val: Path,
    test: Path,
    output: Path,
    settings: PredictorSettings,
    seed: int = 0,
    device: str = "auto",
    variant: str | None = None,
) -> None:
    """Train missing predictors, resuming from a checkpoint; without `variant` write Table 5 too.

    Args:
        train, val, test: asymmetric units; those without ``formation_energy_per_atom`` are left out, and where none
            is left the predictor is written without weights, with the reason.
        output: gets ``{variant}.safetensors``, ``.json`` and ``_test.csv``, and ``table5.csv``, ``.md``, ``.tex``.
        settings: network, training, and which variants.
        seed: of weights, batches and the crystals drawn.
        device: auto, cuda or cpu.
        variant: make this one alone; ``cdvae`` reads CDVAE's weights from the folder in the settings.

    Raises:
        InputError: unreadable data, no CUDA device, or another process that trains the same predictor.
        SymmcdError: the loss became infinite or NaN; the batch is saved and named.
    """
    from symmcd.device import choose_device, hold_gpu
    from symmcd.errors import InputError
    from symmcd.formation_energy.predictor_training import take_cdvae, train_predictor
    from symmcd.formation_energy.table_5 import write_table_5
    from symmcd.one_writer import one_writer
    from symmcd.storage import read_units

    if variant is not None and variant not in VARIANTS:
        raise InputError(f"--variant {variant}: one of {', '.join(PREDICTOR_VARIANTS)}, or cdvae")
    sets = {"train": read_units(train), "val": read_units(val), "test": read_units(test)}
    hold_gpu(device)
    chosen = choose_device(device)
    every = (*settings.variants, *(["cdvae"] if settings.cdvae else []))
    for name in every if variant is None else (variant,):
        with one_writer(output / f"{name}.safetensors"):
            if name == "cdvae":
                take_cdvae(sets["test"], output, path_of(settings.cdvae), seed)
            else:
                train_predictor(sets, output, settings, seed, chosen, name)
    if variant is None:
        write_table_5(output, settings.variants)
