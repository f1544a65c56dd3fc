"""A device that torch takes for an accelerator and that keeps its numbers in CPU memory: mixing devices fails on it as it does on CUDA.

Run by test_device.py in a process of its own, since torch cannot forget a device: `python pretended_device.py FOLDER`. With a device's name
after the folder (cuda) the same cases run on that one.
"""

from __future__ import annotations

import json
import sys
import traceback
import warnings
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fewview.data import Projections
from fewview.geometry import Grid, Scan
from fewview.nerf.mednerf import method as mednerf
from fewview.nerf.pixelnerf import method as pixelnerf
from fewview.nerf.pixelnerf.network import SMALL
from fewview.nerf.training.learner import Example
from fewview.nerf.training.settings import TrainSettings
from fewview.nerf.training.train_network import train
from fewview.nerf.volumes import lpd, unet
from fewview.recon import METHODS, Operator, reconstruct
from fewview.recon.method import Progress
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend as register

NAME = "pretended"
DEVICE = f"{NAME}:0"
FREE = ("_to_copy", "copy_", "index.Tensor", "index_put", "_index_put")  # may take tensors of both devices, as on CUDA


class There(torch.Tensor):
    """A tensor on the pretended device; ``held`` is the CPU tensor behind it."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> There:
        made: Any = torch.Tensor._make_wrapper_subclass(
            cls, held.size(), strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype, device=torch.device(DEVICE)
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError(f"can't convert a {DEVICE} tensor to numpy")

    __array__ = numpy

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.held.__reduce_ex__(protocol)  # a file is read back to the CPU


class Pretend(TorchDispatchMode):
    """While it is entered, tensors can be made on, and brought to, the pretended device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    tensors = [t for t in tree_flatten((args, kwargs))[0] if isinstance(t, torch.Tensor)]
    there = [isinstance(t, There) for t in tensors]
    device, generator = kwargs.get("device"), kwargs.get("generator")
    target = torch.device(device).type == NAME if device is not None else any(there)
    if any(there) and not func.__name__.startswith(FREE):
        strays = [tuple(t.shape) for t, t_there in zip(tensors, there, strict=True) if not t_there and t.dim() > 0]
        if strays:
            raise RuntimeError(f"{func}: a tensor of shape {strays[0]} is on the CPU, others are on {DEVICE}")
    if generator is not None and target:
        raise RuntimeError(f"{func}: expected a generator of {DEVICE}, found one of the CPU")
    here = {k: torch.device("cpu") if k == "device" and v is not None else v for k, v in kwargs.items()}
    args_here, here = tree_map(lambda x: x.held if isinstance(x, There) else x, (args, here))
    result = func(*args_here, **here)
    if not func._schema.returns:
        return None
    if func._schema.name.endswith("_"):  # in place
        return args[0]
    return tree_map(lambda x: There(x) if target and isinstance(x, torch.Tensor) and not isinstance(x, There) else x, result)


class _Module:
    """What torch asks the module of an accelerator."""

    def is_initialized(self) -> bool:
        return True

    is_available = is_initialized

    def current_device(self) -> int:
        return 0

    def device_count(self) -> int:
        return 1

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]

    def manual_seed_all(self, seed: int) -> None:
        """Its randomness is the CPU's."""


def set_up() -> torch.library.Library:
    """Register the device. The library that is returned, autocast of no effect, holds as long as it is kept."""
    register(NAME, backend_module=_Module())
    torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(..., device=there) becomes a CPU tensor that is copied there
    autocast = torch.library.Library("_", "IMPL")
    autocast.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    return autocast


# --- cases -----------------------------------------------------------------------------------------------------------------------

SCAN = Scan.circular(dso_mm=60, dsd_mm=60, rows=10, cols=12, pixel_mm=1.3, angles_deg=np.arange(5) * 40.0)
GRID = Grid.across(SCAN, 12)
UNET = unet.Architecture(channels=8, levels=1, iterations=2, hardening=0.0, patch=8, patches=2)
LPD = lpd.Architecture(steps=2, memory=2, width=4, hardening=0.0)
PIXELNERF = replace(
    SMALL, channels=(8,) * 5, blocks=(1,) * 4, features=8, width=16, view_blocks=1, joint_blocks=1, rays=8, coarse=6, fine=4
)  # fmt: skip
MEDNERF = mednerf.Architecture(
    layers=3, width=16, skip=1, octaves=2, shape_code=6, appearance_code=4, base=4, normed=True, samples=6, patches=2,
    least_share=0.6, anneal=0.02, posed=True, average=0.9, generator_rate=1e-3, discriminator_rate=4e-3,
)  # fmt: skip
LEARNERS = {
    "unet": (unet.LEARNER, METHODS["unet"], UNET),
    "lpd": (lpd.LEARNER, METHODS["lpd"], LPD),
    "pixelnerf": (pixelnerf.LEARNER, METHODS["pixelnerf"], PIXELNERF),
    "mednerf": (mednerf.LEARNER, METHODS["mednerf"], MEDNERF),
}
NAF = {
    "naf volume": {},
    "naf hash": {"encoding": "hash"},
    "naf rays": {"render": "rays", "refine": ("axis", "roll", "drift"), "rays": 64},
}
ITERATIVE = {
    "sirt": {"iterations": 2},
    "os_sart": {"mask": "fov", "iterations": 2},
    "cgls": {"weights": "counts", "iterations": 3},
    "fista_tv": {"prior": "huber", "lambda_": 0.01, "iterations": 3},
    "pdhg_tv": {"lambda_": 0.01, "iterations": 3, "weights": "counts"},  # choosing lambda takes half a minute in this way
    "asd_pocs": {"iterations": 2},
}
CASES = ("operator", *ITERATIVE, *NAF, *LEARNERS)


def example(animal: int) -> Example:
    """A soft ball somewhere."""
    z, y, x = np.meshgrid(GRID.z_mm, GRID.y_mm, GRID.x_mm, indexing="ij")
    volume = (0.1 * np.exp(-((x - animal) ** 2 + y**2 + z**2) / 8)).astype(np.float32)
    return Example(f"{animal} week 0", str(animal), Projections(Operator(SCAN, GRID)(volume), SCAN), GRID, volume)


def operator(device: str) -> list[np.ndarray]:
    """A, A.T, and a gradient through both."""
    x = torch.from_numpy(example(1).reference).to(device).requires_grad_()
    A = Operator(SCAN, GRID)
    back = A.T(A(x))
    (gradient,) = torch.autograd.grad(back.square().sum(), x)
    return [back.detach().cpu().numpy(), gradient.cpu().numpy()]


class CutOff(Exception):
    """The end of a training run, from outside."""


def cut_off(progress: Progress) -> None:
    """After the first step."""
    if progress.step == 1:
        raise CutOff


def learned(name: str, device: str, folder: Path) -> list[np.ndarray]:
    """One step of training, cut off; a second, resumed: its losses, its scores, and the volume of the checkpoint."""
    learner, method, architecture = LEARNERS[name]
    learner, out = replace(learner, presets={"tiny": architecture}), folder / f"{name} {device[:3]}.pt"
    settings = TrainSettings.of(learner, "tiny", steps=2, views=(3,), check_every=1, check_views=(3,), device=device, precision="float32")
    with suppress(CutOff):
        train(learner, [example(1), example(2)], [example(0)], settings, out, callbacks=[cut_off])
    done = train(learner, [example(1), example(2)], [example(0)], settings, out, resume=True)
    options = {"device": device, "checkpoint": out} | ({"steps": 2, "starts": 2} if name == "mednerf" else {})
    volume = reconstruct(example(3).projections[::2], method, GRID, **options).volume
    losses = [[value for key, value in entry.items() if key not in ("step", "score")] for entry in done.losses[1:]]
    return [np.array(losses), np.array([entry["score"] for entry in done.losses]), volume]


def iterated(name: str, device: str) -> list[np.ndarray]:
    """The volume of an iterative method, and the mean of each volume that it shows on the way."""
    means: list[float] = []

    def watch(progress: Progress) -> None:
        means.append(float(np.mean(progress.volume)))

    rec = reconstruct(example(1).projections, name, GRID, [watch], device=device, **ITERATIVE[name])
    return [rec.volume, np.array(means)]


def difference(case: str, folder: Path, other: str) -> float:
    """How far the results of the device and of the CPU are apart, each relative to its own largest number."""
    found = []
    for device in (other, "cpu"):
        if case == "operator":
            found.append(operator(device))
        elif case in ITERATIVE:
            found.append(iterated(case, device))
        elif case in NAF:
            options = {"steps": 5, "report_every": 4, "precision": "float32", **NAF[case]}
            found.append([reconstruct(example(1).projections, "naf", GRID, device=device, **options).volume])
        else:
            found.append(learned(case, device, folder))
    return max(float(np.abs(one - other).max() / np.abs(other).max()) for one, other in zip(*found, strict=True))


def main(folder: Path, device: str) -> None:
    """One line of JSON a case: its name, and the difference or what went wrong."""
    for case in CASES:
        try:
            said: dict[str, Any] = {"difference": difference(case, folder, device)}
        except Exception as error:
            said = {"error": "".join(traceback.format_exception(error))[-3000:]}
        print(json.dumps({"case": case, **said}), flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.backends.cudnn.allow_tf32 = False
    if sys.argv[2:]:
        main(Path(sys.argv[1]), sys.argv[2])
    else:
        kept = set_up()
        with Pretend():
            main(Path(sys.argv[1]), DEVICE)
