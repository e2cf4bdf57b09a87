"""Precision of matrix products: bfloat16 where a device is made for it, else float32.

CUDA devices and processors with instructions for it (Intel's AMX, AVX-512 BF16 of AMD's Zen 4 and 5) multiply matrices
of bfloat16 several times as fast as of float32.  Weights, optimiser, noise, distances and losses stay float32; autocast
lowers what goes into a product.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from symmcd.settings import Precision

NARROWEST = 256  # width below which a CPU loses by changing precision what its products gain (bench/README.md)
INSTRUCTIONS = ("amx_bf16", "avx512_bf16")  # either makes products of bfloat16 4 to 7 times as fast (bench/README.md)


def choose_precision(name: Precision, device: torch.device, width: int) -> torch.dtype:
    """The precision of the products of a network of `width` on `device`; ``auto`` takes the faster one."""
    if name == "auto":
        wide = device.type == "cuda" or width >= NARROWEST
        return torch.bfloat16 if wide and multiplies_bfloat16(device) else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]


def multiplies_bfloat16(device: torch.device) -> bool:
    """Return whether `device` has instructions for products of bfloat16; False where torch is too old to tell."""
    if device.type == "cuda":  # before Ampere torch emulates them, slowly
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) for name in INSTRUCTIONS)


def products(device: torch.device | str, precision: torch.dtype) -> torch.autocast:
    """Context in which products run in `precision`."""
    kind = device if isinstance(device, str) else device.type
    return torch.autocast(kind, torch.bfloat16, enabled=precision is torch.bfloat16)


def lowered(network: nn.Module, precision: torch.dtype) -> nn.Module:
    """`network` with the weights of its linear layers in `precision`: they are not lowered anew in every call.

    For sampling only, within `products`.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear):
            module.to(precision)
    return network
