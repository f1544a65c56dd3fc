"""Commands other than a reconstruction, with options that make no sense."""

from __future__ import annotations

import numpy as np
from hostile_case import Case, refused, told
from hostile_room import Room


def simulate(name: str, words: str, kind: object, *says: str) -> Case:
    """A case of a sound volume with these words."""
    return kind(name, lambda r: r.simulate(r.nifti(), *words.split()), *says)  # type: ignore[operator]


def command(name: str, words: str, kind: object, *says: str) -> Case:
    """A command line as it stands."""
    return kind(name, lambda r: words.split(), *says)  # type: ignore[operator]


def _mu(room: Room) -> list[str]:
    return room.simulate(room.nifti((np.arange(4096) % 251).reshape(16, 16, 16).astype(np.uint8)), "--mu-max", "1e9")


SIMULATE = [
    *(
        simulate(f"simulate {option} {value}", f"{option} {value}", refused, f"{option}|{value}" if value == "magic" else option)
        for option, value in (
            ("--voxel-mm", "0"),
            ("--voxel-mm", "-1"),
            ("--voxel-mm", "nan"),
            ("--voxel-mm", "1e-300"),
            ("--voxel-mm", "1e9"),
            ("--rows", "0"),
            ("--rows", "-4"),
            ("--cols", "0"),
            ("--cols", "1e9"),
            ("--cols", "1000000000"),
            ("--rows", "1000000000"),
            ("--mu-max", "0"),
            ("--mu-max", "nan"),
            ("--mu-max", "-1"),
            ("--seed", "-1"),
            ("--seed", "x"),
            ("--layout", "magic"),
            ("--scanner", "magic"),
        )
    ),
    refused("mu-max of 1e9", _mu, "--mu-max"),
    *(
        simulate(f"physics {text}", f"--physics {text}", refused, text.partition("=")[0])
        for text in (
            "photons=abc",
            "photons=-1",
            "photons=nan",
            "photons=true",
            "photons=[1]",
            "gain_sd=1e9",
            "gain_sd=nan",
            "polychromatic=5",
            "polychromatic=maybe",
            "blur_px=1e9",
            "bits=3",
            "bits=x",
            "rays=0",
            "rays=1000",
            "rays=1.5",
            "voltage_kv=0",
            "voltage_kv=1e9",
            "voltage_kv=x",
            "filter_mm_al=-1",
            "energy_bins=1000000000",
            "scatter=1",
            "scatter_width=0",
            "jitter_px=1e9",
            "roll_deg=90",
            "axis_shift_mm=1e9",
            "row_shift_mm=1e9",
            "reference_kev=0",
            "air_level=1e9",
            "air_level=0",
            "flux_sd=1e9",
            "dead_fraction=1",
            "electronic_noise=1e12",
            "exposure_ms=0",
            "refine=0",
            "unknown=1",
            "photons",
            "photons=1e300",
        )
    ),
    simulate("a volume that leaves the field of view", "--voxel-mm 0.2", told, "field of view"),
    refused("no volume", lambda r: ["simulate", "--out", "out"], "VOLUME"),
    refused("a phantom of -1", lambda r: ["simulate", "--phantom", "-1", "--out", "out", "--rows", "8", "--cols", "12"], "--phantom"),
    refused("a phantom in words", lambda r: ["simulate", "--phantom", "mouse", "--out", "out"], "--phantom"),
    refused("the same volume twice", lambda r: ["simulate", str(r.nifti()), str(r.path / "volume.nii.gz"), "--out", "out"], "same name"),
    refused(
        "a week before the first",
        lambda r: ["simulate", "--phantom", "1", "--layout", "bonemet", "--weeks", "-1", "--out", "out", "--rows", "8", "--cols", "12"],
        "--weeks|week",
    ),
    refused("a volume that is not there", lambda r: r.simulate("nowhere.nii.gz"), "nowhere.nii.gz"),
]

OTHERS = [
    *(
        command(f"demo {words}", f"demo --out out --rows 8 --cols 12 --fdk-only {words}", refused, f"{words.split()[0]}|nowhere.nii")
        for words in ("--voxel-mm 0", "--voxel-mm nan", "--seed -1", "--rows 0", "--cols -3", "--volume nowhere.nii", "--mu-max x")
    ),
    *(
        command(f"train {words}", f"train {words}", refused, says)
        for words, says in (
            ("magic --data . --out w.pt", "magic"),
            ("unet --data nowhere --out w.pt", "nowhere"),
            ("unet --data home --out w.pt", "home"),
            ("unet --data home --out w.pt --steps 0", "steps"),
            ("unet --data home --out w.pt --steps -5", "steps"),
            ("unet --data home --out w.pt --seed -1", "seed"),
            ("unet --data home --out w.pt --device abacus", "device"),
            ("unet --data home --out w.pt --set nonsense=1", "nonsense"),
            ("unet --data home --out w.pt --set learning_rate=nan", "learning_rate"),
            ("unet --data home --out w.pt --batch 0", "batch"),
            ("unet --data home --out w.pt --views 0", "views"),
            ("unet --data home --out w.pt --size 0", "size"),
            ("unet --data home --out w.pt --window 1 0", "window"),
            ("unet --data home --out w.pt --preset huge", "huge"),
            ("unet --data home --out w.pt --target mine", "mine"),
        )
    ),
    *(
        refused(f"calibrate {words}", (lambda text: lambda r: ["calibrate", str(r.scan()), *text.split()])(words), says)
        for words, says in (
            ("--fit magic", "magic"),
            ("--search-px 0", "search"),
            ("--search-px -1", "search"),
            ("--search-px nan", "search"),
            ("--search-px 1e9", "search"),
            ("--views 1", "view"),
            ("--views 2", "view"),
            ("--out a.jpg", "a.jpg"),
        )
    ),
    *(
        refused(f"info {words}", (lambda text: lambda r: ["info", str(r.scan()), *text.split()])(words), says)
        for words, says in (("--views 0", "--views"), ("--read-as direction=XX", "direction"), ("--draw a.png", "a.png"))
    ),
    *(
        command(f"bench {words}", f"bench {words}", refused, says)
        for words, says in (
            ("speed --rounds 0", "--rounds"),
            ("speed --size Z", "Z"),
            ("classical --data home --out out", "home"),
            ("classical --data nowhere --out out", "nowhere"),
            ("classical --data home --out out --views 0", "views"),
            ("classical --data home --out out --methods magic", "magic"),
            ("table2 --data nowhere --out out", "nowhere"),
            ("table2 --data home --out out", "home"),
            ("views --data nowhere --out out", "nowhere"),
            ("intervals --data nowhere", "nowhere"),
            ("intervals --data home --level 2", "level"),
            ("magic", "magic"),
        )
    ),
    *(
        command(f"data {words}", f"data {words}", refused, says)
        for words, says in (
            ("list magic", "magic"),
            ("fetch magic", "magic"),
            ("verify magic", "magic"),
            ("fetch fid-inception --mirror nowhere --to got", "nowhere"),
        )
    ),
    *(
        command(f"front {words!r}", words, refused, says)
        for words, says in (("recn", "recon"), ("--frobnicate", "--frobnicate"), ("recon --out", "--out"), ("doctor extra", "extra"))
    ),
    refused("front: an empty word", lambda r: [""], "command"),
    refused("front: a word with a line break", lambda r: ["re\ncon"], "command"),
]

CASES: list[Case] = [*SIMULATE, *OTHERS]
