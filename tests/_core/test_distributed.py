from pathlib import Path

import pytest
import torch
from torch import distributed, multiprocessing

from mmdisentangle._core.distributed import gather_samples, world_size

# Unequal batches and lengths; the masks have holes.
SIZES = ((3, 2), (1, 4))
LARGEST = (3, 4)


def local(rank):
    generator = torch.Generator().manual_seed(rank)
    x = torch.randn(*SIZES[rank], 2, dtype=torch.float64, generator=generator)
    mask = torch.rand(SIZES[rank], generator=generator) < 0.7
    return x, mask


def gather(rank, folder):
    distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=len(SIZES))
    x, mask = local(rank)
    x.requires_grad_()
    everything, counts = gather_samples(x, mask)
    weight = torch.arange(everything.numel(), dtype=torch.float64).reshape(everything.shape)
    (everything * weight).sum().backward()
    rows, all_rows = gather_samples(x.detach()[:, 0], None)
    torch.save((everything.detach(), counts, x.grad, weight, rows, all_rows), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_one_process_returns_its_arguments():
    x, mask = local(0)
    assert world_size() == 1
    assert gather_samples(x, mask) == (x, mask)
    assert gather_samples(x, None) == (x, None)


@pytest.mark.slow
def test_uneven_batches_and_lengths(tmp_path: Path):
    multiprocessing.spawn(gather, (str(tmp_path),), nprocs=len(SIZES))
    results = [torch.load(tmp_path / f"{rank}.pt") for rank in range(len(SIZES))]
    for everything, counts, _, _, rows, all_rows in results:
        assert everything.shape == (len(SIZES) * LARGEST[0], LARGEST[1], 2)
        assert torch.equal(everything, results[0][0])
        assert rows.shape == (len(SIZES) * LARGEST[0], 2)
        assert all_rows.sum() == sum(batch for batch, _ in SIZES)
        for rank, (batch, length) in enumerate(SIZES):
            x, mask = local(rank)
            part = slice(3 * rank, 3 * rank + batch)
            torch.testing.assert_close(everything[part, :length], torch.where(mask.unsqueeze(-1), x, 0.0))
            assert torch.equal(counts[part, :length], mask)
            assert torch.equal(rows[all_rows][sum(b for b, _ in SIZES[:rank]) :][:batch], x[:, 0])
        assert counts.sum() == sum(local(rank)[1].sum() for rank in range(len(SIZES)))
    # Every process computed the same loss, so each gradient is the sum over processes: as often as there are processes.
    for rank, (batch, length) in enumerate(SIZES):
        _, mask = local(rank)
        gradient, weight = results[rank][2], results[rank][3]
        expected = torch.where(mask.unsqueeze(-1), len(SIZES) * weight[3 * rank : 3 * rank + batch, :length], 0.0)
        torch.testing.assert_close(gradient, expected)
