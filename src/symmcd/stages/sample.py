"""Stage ``sample``: a trained model → asymmetric units of one shard."""

from __future__ import annotations

from pathlib import Path

from symmcd.command import Parser
from symmcd.errors import InputError
from symmcd.one_writer import WriterLock
from symmcd.settings import SamplingSettings

EXAMPLE = "results/training/seed0/denoiser.safetensors --output results/samples/shard0.npz --shard 0/4"


def arguments(parser: Parser) -> None:
    """Declare the arguments of the command line."""
    parser.add_argument("denoiser", type=Path, help="denoiser.safetensors of `symmcd train`")
    parser.add_output("asymmetric units, npz")
    text = "chosen drafts of `symmcd choose`, to be completed; only with sampling.oversample above 1"
    parser.add_argument("--drafts", type=Path, metavar="FILE", help=text)
    parser.add_shard()
    parser.add_seed()
    parser.add_device()
    parser.add_settings("sampling")


def run(
    denoiser: Path,
    output: Path,
    shard: int,
    shards: int,
    settings: SamplingSettings,
    seed: int = 0,
    device: str = "auto",
    drafts: Path | None = None,
) -> None:
    """Sample the crystals ``shard::shards`` of `settings.number`, numbered over all shards.

    Every crystal draws from a random stream of its own number, so shards and batch sizes do not change it (up to
    rounding).  Each finished batch is kept in ``OUTPUT.partial/`` until all are done, and not sampled again after a
    kill; batches of another denoiser, seed or setting are not used.

    Raises:
        InputError: no such denoiser, more steps than it was trained with, an illegal space group, drafts that are not
            those to be completed, or another process that writes this shard.
    """
    from symmcd.device import hold_gpu
    from symmcd.diffusion.generator import Generator
    from symmcd.diffusion.shard_sampling import sample_shard, settings_hash

    if drafts is not None and settings.oversample == 1:
        raise InputError(
            "--drafts go with sampling.oversample above 1; set it as for `symmcd choose`, or leave them out"
        )
    lock = WriterLock(output)
    hold_gpu(device)
    generator = Generator.load(denoiser, device, settings.precision)
    prefix = settings_hash(denoiser, settings, shard, shards, seed, drafts)
    number = sample_shard(generator, output, shard, shards, settings, prefix, seed, drafts)
    lock.release()
    print(f"wrote {output} ({number} crystals)")
