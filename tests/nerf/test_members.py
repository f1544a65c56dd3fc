"""Networks of several members: their mean, joined checkpoints, and weights in 8 bits."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from fewview.base import InputError
from fewview.nerf.merging.joined import joined, main
from fewview.nerf.patchwise.learner import LEARNER, Network
from fewview.nerf.patchwise.members import Members
from fewview.nerf.patchwise.network import FACTS
from fewview.nerf.patchwise.scales import Scales
from fewview.nerf.training.checkpoint import FORMAT, Checkpoint, module_of, read_checkpoint, save_checkpoint
from fewview.nerf.training.packing import SCALE, packed, unpacked
from fewview.nerf.weights import deflated, shrink

SMALL = Scales(fine=4, middle=4, coarse=4)


def network(seed: int, architecture: Scales | Members = SMALL) -> Network:
    """A network with weights drawn from a seed, in all of its layers."""
    module = LEARNER.build(architecture, torch.Generator().manual_seed(seed)).eval()
    generator = torch.Generator().manual_seed(seed + 100)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        module.known.copy_(torch.tensor([[-1.0 - seed], [1.0]]).expand(2, FACTS))
    return module


def checkpoint(module: Network, preset: str = "scales") -> Checkpoint:
    told = asdict(module.architecture)
    return Checkpoint("tvnet", preset, told, {}, {}, {}, ({"step": 1},), module.state_dict())


def answer(module: Network) -> torch.Tensor:
    region = torch.from_numpy(np.random.default_rng(0).random((2, 8, 12, 12), dtype=np.float32))
    with torch.no_grad():
        return module.net(region, torch.linspace(-1, 1, FACTS))


def test_what_is_joined_answers_with_the_mean_and_knows_what_any_member_knows(tmp_path: Path) -> None:
    parts = [network(k) for k in range(3)]
    paths = [tmp_path / f"{k}.pt" for k in range(3)]
    for module, path in zip(parts, paths, strict=True):
        save_checkpoint(path, checkpoint(module))
    main(tuple(paths[:2]), tmp_path / "two.pt")
    main((tmp_path / "two.pt", paths[2]), tmp_path / "three.pt")
    made = read_checkpoint(tmp_path / "three.pt")
    module = module_of(made, LEARNER)
    assert (made.preset, module.architecture) == ("members", Members(4, 4, 4, members=3))
    assert torch.allclose(answer(module), sum(answer(part) for part in parts) / 3, atol=1e-6)  # type: ignore[arg-type, operator]
    assert module.known.tolist() == [[-3.0] * FACTS, [1.0] * FACTS]  # type: ignore[union-attr, operator]
    with pytest.raises(FileExistsError):
        main(tuple(paths[:2]), tmp_path / "two.pt")


def test_only_networks_of_one_size_are_joined() -> None:
    with pytest.raises(InputError, match="1 checkpoints"):
        joined([checkpoint(network(0))])
    with pytest.raises(InputError, match=r"cannot be members.*'fine': 6"):
        joined([checkpoint(network(0)), checkpoint(network(1, Scales(6, 4, 4)))])
    small = LEARNER.build(LEARNER.presets["small"], torch.Generator().manual_seed(0))
    with pytest.raises(InputError, match="presets scales or members"):
        joined([checkpoint(small), checkpoint(small)])


def test_the_members_of_a_new_network_are_drawn_as_one_network_is() -> None:
    """Nothing is added at the start; each layer begins as large as that of a single network, and no two members are alike."""
    module = LEARNER.build(Members(16, 16, 16, members=2), torch.Generator().manual_seed(0))
    single = LEARNER.build(Scales(16, 16, 16), torch.Generator().manual_seed(0))
    assert torch.all(answer(module) == 0)
    first, second = module.net.members  # type: ignore[misc, union-attr]
    for (name, own), (_, other), (_, alone) in zip(
        first.named_parameters(), second.named_parameters(), single.net.named_parameters(), strict=True
    ):
        sizes = [float(tensor.detach().norm()) for tensor in (own, alone)]
        assert sizes[0] == pytest.approx(sizes[1], rel=0.15), name
        assert sizes[1] == 0 or not torch.equal(own, other), name


def test_weights_in_8_bits_answer_nearly_as_they_did(tmp_path: Path) -> None:
    module = network(1, Members(8, 12, 12, members=2))
    shrink(checkpoint(module, "members"), tmp_path / "small.pt")
    again = module_of(read_checkpoint(tmp_path / "small.pt"), LEARNER)
    error, size = answer(module) - answer(again), answer(module)  # type: ignore[arg-type]
    assert 0 < float(error.norm()) < 0.05 * float(size.norm())
    whole = sum(tensor.numel() for tensor in module.state_dict().values())
    assert sum(t.numel() * t.element_size() for t in packed(module.state_dict()).values()) < 1.3 * whole


def test_packing_loses_half_a_step_and_leaves_small_tensors_alone() -> None:
    rng = torch.Generator().manual_seed(0)
    state = {
        "filter": torch.randn(5, 3, 3, 3, 3, generator=rng),
        "row": torch.randn(4, 10, generator=rng),
        "bias": torch.randn(7, generator=rng),
    }
    state["filter"][2] = 0  # a filter of zeros stays one
    small = packed(state)
    back = unpacked(small)
    assert set(back) == set(state)
    assert small["filter"].dtype == torch.int8
    steps = state["filter"].flatten(1).abs().amax(1) / 127
    assert torch.all((back["filter"] - state["filter"]).flatten(1).abs() <= 0.5001 * steps[:, None])
    assert torch.all(back["filter"][2] == 0)
    assert torch.allclose(back["row"].float(), state["row"], rtol=1e-3)
    assert unpacked(state).keys() == state.keys()  # what is not packed stays as it is
    assert all(torch.equal(a, b) for a, b in zip(unpacked(state).values(), state.values(), strict=True))


@pytest.mark.parametrize("state", [[1, 2], {"a": 1.0, f"a{SCALE}": torch.ones(2)}, {"a": torch.ones(3, 4), f"a{SCALE}": torch.ones(2)}])
def test_a_file_whose_weights_are_no_tensors_is_refused(state: object, tmp_path: Path) -> None:
    save = {**{key: {} for key in ("architecture", "settings", "geometry", "data", "code")}, "method": "tvnet", "preset": "x", "losses": []}
    torch.save({"format": FORMAT, **save, "state": state}, tmp_path / "odd.pt")
    with pytest.raises(InputError, match=r"the weights in .*odd\.pt cannot be read"):
        read_checkpoint(tmp_path / "odd.pt")


def test_the_file_is_deflated_and_the_same_each_time(tmp_path: Path) -> None:
    module = network(1, Members(8, 12, 12, members=2))
    with torch.no_grad():
        module.net.members[0].enter.weight.zero_()  # type: ignore[index, union-attr, operator]
    hashes = [shrink(checkpoint(module, "members"), tmp_path / f"{k}.pt") for k in range(2)]
    save_checkpoint(tmp_path / "whole.pt", checkpoint(module, "members"))
    assert hashes[0] == hashes[1]
    assert (tmp_path / "0.pt").stat().st_size < 0.5 * (tmp_path / "whole.pt").stat().st_size
    assert deflated((tmp_path / "0.pt").read_bytes()) == (tmp_path / "0.pt").read_bytes()
