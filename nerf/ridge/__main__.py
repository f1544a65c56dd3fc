"""Train the ridge prior of `wcrr`: ``python -m fewview.nerf.ridge --out wcrr.npz``. The same seed makes the same file."""

from __future__ import annotations

from pathlib import Path

import torch

from ...base.files import refuse_existing
from ...base.settings import Count, Seed, run_program
from ...recon.ridge.weights import write_weights
from .network import RidgeSize, weights_of
from .training import Report, RidgeTraining, train_ridge


def main(out: Path, steps: Count = 900, seed: Seed = 0, volumes: Count = 58, force: bool = False) -> None:
    """Train the prior on procedural volumes, and write its weights with nothing else.

    Args:
        out: the .npz file to write.
        steps: steps of Adam.
        seed: seed of the first weights, the patches and the noise.
        volumes: number of procedural volumes.
        force: replace the output if fewview wrote it.
    """
    refuse_existing(out, force)
    torch.set_num_threads(1)  # the patches are small, and sums in another order would give other weights

    def tell(report: Report) -> None:
        print(f"step {report.step} of {steps}: loss {report.loss:.5f}", flush=True)

    network = train_ridge(RidgeTraining(steps=steps, seed=seed, volumes=volumes), RidgeSize(), tell=tell)
    print(f"wrote {out}, SHA-256 {write_weights(weights_of(network), out, force)}")


if __name__ == "__main__":
    run_program(main)
