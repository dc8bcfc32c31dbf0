"""A noisy drift with a step, smoothed by the loss of either order."""

import torch
from matplotlib.figure import Figure

from mmdisentangle.functional import total_variation


def draw(figure: Figure) -> None:
    """Draw the frames and the codes that minimise squared error plus the loss."""
    time = torch.arange(100) / 100
    clean = torch.where(time < 0.5, 2 * time, 2.6 - 2 * (time - 0.5))
    noisy = clean + 0.15 * torch.randn(100)
    for axis, order, weight in zip(figure.subplots(1, 2, sharey=True), (1, 2), (0.7, 2.5), strict=True):
        code = noisy.clone().requires_grad_()
        optimizer = torch.optim.Adam([code], lr=0.02)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 1500)
        for _ in range(1500):
            optimizer.zero_grad()
            ((code - noisy).square().mean() + weight * total_variation(code[None, :, None], order=order)).backward()
            optimizer.step()
            schedule.step()
        axis.plot(noisy, ".", color="#7a7a7a", markersize=3, label="frames", rasterized=True)
        axis.plot(clean, color="#9dc3e6", linewidth=1, label="without noise")
        axis.plot(code.detach(), color="#1f5f99", label="smoothed")
        axis.set(title=f"order={order}", xlabel="frame")
        axis.legend(loc="lower right")
