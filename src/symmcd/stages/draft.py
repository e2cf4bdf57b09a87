"""Stage ``draft``: a trained model → positions and elements of one shard, of which `symmcd choose` chooses."""

from __future__ import annotations

from pathlib import Path

from symmcd.command import Parser
from symmcd.one_writer import WriterLock
from symmcd.settings import SamplingSettings

EXAMPLE = "results/training/seed0/denoiser.safetensors --output results/drafts/shard0.npz --set sampling.oversample=20"


def arguments(parser: Parser) -> None:
    """Declare the arguments of the command line."""
    parser.add_argument("denoiser", type=Path, help="denoiser.safetensors of `symmcd train`")
    parser.add_output("drafts, npz")
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
) -> None:
    """Draw this shard of `settings.oversample` drafts for each of `settings.number` crystals.

    A draft has the random numbers of its own number over all shards.  Drafts are drawn in blocks; each finished block
    is kept in ``OUTPUT.partial/`` until all are done, and not drawn again after a kill.

    Raises:
        InputError: no such denoiser, one that draws no positions beforehand, an illegal wish, nothing to choose
            (``oversample: 1``), or another process that writes this shard.
    """
    from symmcd.device import hold_gpu
    from symmcd.diffusion.generator import Generator
    from symmcd.diffusion.shard_drafting import draft_shard

    lock = WriterLock(output)
    hold_gpu(device)
    generator = Generator.load(denoiser, device, settings.precision)
    number = draft_shard(generator, output, shard, shards, settings, seed)
    lock.release()
    print(f"wrote {output} ({number} drafts)")
