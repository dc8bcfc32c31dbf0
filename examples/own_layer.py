"""A layer of your own inside RTIL: any module with ``out_features`` that is called with frames and their mask.

pip install 'mmdisentangle[train]'
python examples/own_layer.py
"""

# swap: begin
import torch

from mmdisentangle.data import load_splits
from mmdisentangle.models import RTIL
from mmdisentangle.training import fit, load_config


class Smoothed(torch.nn.Linear):  # [B, T, in_features], mask [B, T] -> [B, T, out_features]
    def forward(self, x, mask):
        padded = torch.nn.functional.pad(super().forward(x) * mask.unsqueeze(-1), (0, 0, 4, 0))
        return padded.unfold(1, 5, 1).mean(-1)


def model(modalities, **settings):
    return RTIL(modalities, encoders={"gyroscope": Smoothed(modalities["gyroscope"], 32)}, **settings)


# swap: end


def main() -> dict[str, float]:
    """Train on the bundled recordings, print and return the test scores."""
    data = load_splits("basic-motions")
    config = load_config(
        overrides=["training.max_epochs=20", "optim.lr=3e-3", "training.accelerator=cpu", "model.hidden_features=32"]
    )
    scores = fit(config, model=model, **data).scores["test"]
    print(scores)
    return scores


if __name__ == "__main__":
    main()
