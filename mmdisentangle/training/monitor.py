"""Say in words when an adversary does nothing."""

import math
import warnings
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from torch import nn

from mmdisentangle._core.errors import AdversaryWarning, DtypeError
from mmdisentangle.training.adversary import Epoch, Watch, find_watches
from mmdisentangle.training.trouble import find_trouble, in_words, values_of

# A healthy adversary may be nearly always right, or at chance, for a while; not for so many steps and epochs in a row.
_STEPS, _EPOCHS = 100, 2
_PASSING = ("saturated", "not learning")


class DiscriminatorMonitor(Callback):
    """Watch every discriminator in training, log how it fares, and warn once where the adversary does nothing.

    At the end of every epoch it logs, over all processes and as ``adversary/<name>/...``,

    ==========================  ========================================================================================
    ``accuracy``                share of the codes whose modality is told, mean over modalities; chance is 1/M
    ``above_chance``            the same with 0 for chance and 1 for always
    ``loss``                    cross-entropy in nats, mean over modalities
    ``loss_share``              the same in units of ln M, the loss of guessing
    ``gradient``                norm of the gradient that reaches the codes through the reversal, mean over steps
    ``rest``                    the same of all else that reaches the tensors which the discriminator was given
    ``parameter_gradient``      norm of the gradient of the discriminator's own parameters
    ``strength``                of the reversal
    ``probe``                   balanced accuracy of a fresh linear probe on codes of the last steps
    ==========================  ========================================================================================

    as far as each can be known: of a discriminator that is not of this library, gradients and strength. Under
    ``16-mixed`` gradients of codes are those of the scaled loss.

    It warns where an adversary was never connected (never called, or on codes that take no gradient), is dead (its
    parameters get no gradient, or it answers the same to everything), saturated (always right, so that hardly any
    gradient is left), without strength, or at chance although a fresh probe reads the modality. It is silent where
    the discriminator is at chance and the probe is, too: the codes hide their modality.

    Args:
        discriminators: modules to watch by name. None: every `nn.ModalityDiscriminator` and `nn.DoubleDiscriminator`,
            every ``nn.Sequential`` with an `nn.GradientReversal` in it, and every other reversal.

    Raises:
        DtypeError: discriminators is not a mapping of modules.

    Numerics:
        Weights, gradients and random numbers of the training are the same, bit for bit, with and without it. Inside a
        compiled graph it sees parameters only.

    Example:
        >>> trainer = pl.Trainer(callbacks=[DiscriminatorMonitor()], logger=False, enable_checkpointing=False)
    """

    def __init__(self, discriminators: Mapping[str, nn.Module] | None = None) -> None:
        modules = {} if discriminators is None else discriminators
        if not isinstance(modules, Mapping) or not all(isinstance(module, nn.Module) for module in modules.values()):
            raise DtypeError(
                f"DiscriminatorMonitor: discriminators must map names to modules, got {type(discriminators).__name__}."
            )
        self.discriminators = discriminators
        self.watches: dict[str, Watch] = {}
        # What a resumed run goes on with.
        self.warned: list[str] = []
        # Trouble, and the epochs and steps that it has lasted.
        self.lasting: dict[str, tuple[str | None, int, int]] = {}
        self.had_strength: list[str] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Attach the hooks."""
        if self.discriminators is None:
            self.watches = {name.removeprefix("model."): watch for name, watch in find_watches(pl_module).items()}
        else:
            self.watches = {name: Watch(module) for name, module in self.discriminators.items()}
        for watch in self.watches.values():
            watch.attach()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget the epoch before."""
        for watch in self.watches.values():
            watch.reset()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Look from here."""
        for watch in self.watches.values():
            watch.active = True

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any) -> None:
        """Note the gradients."""
        for watch in self.watches.values():
            watch.end_step()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look until here; validation is not training."""
        for watch in self.watches.values():
            watch.active = False

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log what was seen, and warn."""
        done = trainer.current_epoch + 1
        epochs = trainer.max_epochs if trainer.max_epochs is not None and trainer.max_epochs > 0 else math.inf
        for name, watch in self.watches.items():
            seen = watch.epoch()
            for key, value in values_of(seen, len(watch.modalities)).items():
                pl_module.log(f"adversary/{name}/{key}", value, sync_dist=trainer.world_size > 1)
            self._judge(trainer, name, seen, watch, over_half=2 * done >= epochs)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remove the hooks."""
        self._detach()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Remove the hooks."""
        self._detach()

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {"warned": self.warned, "lasting": self.lasting, "had_strength": self.had_strength}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what an interrupted run has seen."""
        self.warned, self.lasting = list(state_dict["warned"]), dict(state_dict["lasting"])
        self.had_strength = list(state_dict["had_strength"])

    def _detach(self) -> None:
        for watch in self.watches.values():
            watch.detach()

    def _judge(self, trainer: pl.Trainer, name: str, seen: Epoch, watch: Watch, *, over_half: bool) -> None:
        if seen.strength and name not in self.had_strength:
            self.had_strength.append(name)
        without_strength = over_half and name not in self.had_strength
        trouble = find_trouble(seen, len(watch.modalities), has_parameters=bool(watch.parameters))
        if trouble is None and without_strength and seen.calls and watch.reversals:
            trouble = "strength"
        before, epochs, steps = self.lasting.get(name, (None, 0, 0))
        epochs, steps = (epochs + 1, steps + seen.steps) if trouble == before else (1, seen.steps)
        self.lasting[name] = (trouble, epochs, steps)
        if trouble is None or f"{name}: {trouble}" in self.warned:
            return
        if trouble in _PASSING and (epochs < _EPOCHS or steps < _STEPS):
            return
        self.warned.append(f"{name}: {trouble}")
        if trainer.is_global_zero:
            warnings.warn(in_words(name, trouble, seen, len(watch.modalities)), AdversaryWarning, stacklevel=2)
