"""Chooses the device to compute on, the same way for every command, recipe and function."""

import os
import re

import torch


def usable_accelerator() -> torch.device | None:
    """The type of accelerator that torch can use on this machine, such as `cuda` or `mps`; None if it has none.

    A torch built for CUDA names CUDA as its accelerator on machines without a GPU too, so its availability is checked.
    """
    return torch.accelerator.current_accelerator(check_available=True)


def choose_device(device: str | int | torch.device | None = None) -> torch.device:
    """Returns a device that works on this machine.

    Args:
        device: Name such as `cpu`, `cuda:1`, `mps` or `xpu`, or the index of an accelerator; -1 is the CPU. By default
            the accelerator if there is one, otherwise the CPU. Ranks started by `accelerate launch` get an accelerator
            each, or the CPU if the launcher was told so.

    Raises:
        ValueError: The device is unknown or can't be used on this machine.

    >>> choose_device("cpu")
    device(type='cpu')
    """
    accelerator = usable_accelerator()
    if device is None:
        if accelerator is None or os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true"):
            return torch.device("cpu")
        if "LOCAL_RANK" not in os.environ:
            return accelerator
        return torch.device(accelerator.type, int(os.environ["LOCAL_RANK"]) % torch.accelerator.device_count())
    try:
        chosen = _parsed(device, accelerator)
        torch.zeros(1, device=chosen).cpu()
    # torch raises AssertionError, RuntimeError, NotImplementedError or ImportError, depending on the device
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0].split(". ")[0].rstrip(".")
        raise ValueError(
            f"The device {str(device)!r} can't be used ({reason}). This machine has {_devices()}; without a device, "
            "the fastest one is taken."
        ) from error
    return chosen


def _parsed(device: str | int | torch.device, accelerator: torch.device | None) -> torch.device:
    if not re.fullmatch(r"-?\d+", str(device)):
        return torch.device(device)
    if int(device) < 0:  # type: ignore[arg-type]
        return torch.device("cpu")
    if accelerator is None:
        raise ValueError("there is no accelerator")
    return torch.device(accelerator.type, int(device))  # type: ignore[arg-type]


def _devices() -> str:
    accelerator = usable_accelerator()
    names = [f"{accelerator.type}:{index}" for index in range(torch.accelerator.device_count())] if accelerator else []
    return ", ".join(["cpu", *names])
