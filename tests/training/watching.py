"""Small trainings with an adversary that is well, or ill on purpose, for test_monitor.py."""

import warnings

import lightning.pytorch as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from mmdisentangle._core.distributed import world_size
from mmdisentangle.errors import AdversaryWarning
from mmdisentangle.nn import DoubleDiscriminator, GradientReversal, ModalityDiscriminator
from mmdisentangle.training import DiscriminatorMonitor
from mmdisentangle.training.adversary import Watch

MODALITIES = ("text", "audio")
SAMPLES = 64


class SoftmaxOverOneLogit(nn.Module):
    """The classical mistake: always 1, whatever comes."""

    def __init__(self):
        super().__init__()
        self.discriminator = nn.Sequential(GradientReversal(), nn.Linear(4, 1), nn.Softmax(-1))

    def forward(self, codes):
        told = self.discriminator(torch.cat(list(codes.values())))
        return (told - torch.tensor([[1.0]] * len(codes["text"]) + [[0.0]] * len(codes["audio"]))).square().mean()


class Training(pl.LightningModule):
    """Two encoders, a task on one factor, an adversary on codes that start out different."""

    def __init__(self, kind, lr=0.02, strength=1.0):
        super().__init__()
        self.kind, self.lr = kind, lr
        self.encoders = nn.ModuleDict({name: nn.Linear(6, 4) for name in MODALITIES})
        self.head = nn.Linear(4, 1)
        gather = world_size() > 1
        settings = {"dropout": 0.0, "strength": strength, "gather": gather}
        if kind == "softmax":
            self.adversary = SoftmaxOverOneLogit()
        elif kind == "double":
            self.adversary = DoubleDiscriminator(MODALITIES, 4, 8, **settings)
        else:
            self.adversary = ModalityDiscriminator(MODALITIES, 4, 8, loss="cross_entropy", **settings)
        with torch.no_grad():
            if kind == "frozen":
                self.adversary.requires_grad_(False)
            if kind == "zero":
                # Zeros everywhere learn nothing but the last bias, which balanced codes leave at zero.
                for parameter in self.adversary.parameters():
                    parameter.zero_()
            if kind in ("saturated", "lazy"):
                self.encoders["text"].bias.fill_(10.0)
                self.encoders["audio"].bias.fill_(-10.0)

    def forward(self, x):
        return {name: encoder(part) for (name, encoder), part in zip(self.encoders.items(), x, strict=True)}

    def training_step(self, batch, index):
        codes = self(batch[:2])
        task = (self.head(sum(codes.values())) - batch[2]).square().mean()
        return task + self.adversarial(codes)

    def adversarial(self, codes):
        if self.kind == "detached":
            codes = {name: code.detach() for name, code in codes.items()}
        if self.kind == "never":
            return 0.0
        if self.kind == "forward":
            return self.adversary(codes, reverse=False).loss
        if self.kind == "softmax":
            return self.adversary(codes)
        if self.kind == "double":
            told = self.adversary(codes, codes)
            return told.agnostic + told.importance
        return (0.0 if self.kind == "unweighted" else 1.0) * self.adversary(codes).loss

    def configure_optimizers(self):
        if self.kind == "lazy":
            # Turned round, so that it tells the wrong one, and too slow to turn back.
            self.adversary.classifier.bias.data.copy_(torch.tensor([-50.0, 50.0]))
        rates = [
            {"params": self.adversary.parameters(), "lr": 1e-9 if self.kind == "lazy" else self.lr},
            {"params": [*self.encoders.parameters(), *self.head.parameters()], "lr": self.rate_of_encoders()},
        ]
        return torch.optim.Adam(rates)

    def rate_of_encoders(self):
        return 1e-9 if self.kind in ("lazy", "saturated") else 0.01


def samples():
    generator = torch.Generator().manual_seed(0)
    factor = torch.randn(SAMPLES, 1, generator=generator)
    views = [torch.cat([factor, torch.randn(SAMPLES, 5, generator=generator)], 1) for _ in MODALITIES]
    return TensorDataset(*views, factor)


def train(kind, epochs=30, monitor=True, batch_size=16, **settings):
    """Train, and return the weights, what was logged last and what was warned of."""
    torch.manual_seed(0)
    module = Training(kind, **settings)
    watch = DiscriminatorMonitor() if monitor is True else monitor
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", AdversaryWarning)
        trainer = pl.Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=epochs,
            callbacks=[watch] if watch else [],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, DataLoader(samples(), batch_size=batch_size))
    said = [str(one.message) for one in caught if issubclass(one.category, AdversaryWarning)]
    logged = {name: float(value) for name, value in trainer.callback_metrics.items() if "adversary/" in name}
    return module, logged, said


def watched_step(first, last, gather):
    """What a watch sees in one step on samples ``first..last-1`` of 8, with frames and missing modalities."""
    generator = torch.Generator().manual_seed(0)
    widths = {"text": 5, "audio": 3}
    x = {name: torch.randn(8, frames, 4, generator=generator, dtype=torch.float64) for name, frames in widths.items()}
    masks = {name: torch.rand(8, frames, generator=generator) < 0.7 for name, frames in widths.items()}
    masks["audio"][3] = False
    x["audio"][3] = torch.nan
    torch.manual_seed(0)
    module = ModalityDiscriminator(MODALITIES, 4, 8, loss="cross_entropy", dropout=0.0, strength=0.5, gather=gather)
    module = module.double()
    watch = Watch(module)
    watch.attach()
    watch.active = True
    codes = {name: part[first:last].clone().requires_grad_() for name, part in x.items()}
    masks = {name: mask[first:last] for name, mask in masks.items()}
    total = module(codes, masks).loss
    # The rest: something of each code, over all samples.
    share = 8 if gather else last - first
    rest = sum(torch.where(masks[n][..., None], c, 0.0).square().sum() for n, c in codes.items()) / share
    (total + world_size() * rest).backward()
    if world_size() > 1:
        for parameter in module.parameters():
            torch.distributed.all_reduce(parameter.grad)
            parameter.grad /= world_size()
    watch.end_step()
    return watch.epoch(), module, codes, masks
