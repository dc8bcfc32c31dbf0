"""A gate opened by the agreement of two codes, through factorised bilinear pooling."""

from typing import Literal, TypeAlias

from torch import Tensor, nn

from mmdisentangle._core.checks import check_choice, check_count, check_number
from mmdisentangle._core.errors import SettingError
from mmdisentangle.functional import factorized_bilinear

GateMode: TypeAlias = Literal["hard", "soft", "released"]
GATE_MODES = ("hard", "soft", "released")


class BilinearGate(nn.Module):
    r"""One number in 0..1 for every pair of code vectors.

    .. math:: y = \mathrm{FBP}(x_1, x_2), \qquad v = w \cdot y + c

    ``"soft"`` returns :math:`\sigma(v)`. ``"hard"`` returns 1 where v > 0, else 0, and has the gradient of the soft
    gate (straight-through). ``"released"`` is the hard gate of the released RTIL code, whose gradient is exactly zero:
    neither the gate nor what is before it learns through it.

    Args:
        features: width of both codes.
        gate_features: outputs of the bilinear pooling.
        num_factors: rank of the bilinear pooling.
        mode: ``"hard"``, ``"soft"`` or ``"released"``.
        dropout: inside the bilinear pooling.
        head: whether the gate has a head ``w, c`` of its own; without, `forward` is given that of another gate.

    Shape:
        x, y ``[..., features]``; result ``[...]``.

    Raises:
        ShapeError: widths or leading axes differ.
        SettingError: a setting is out of range.

    Deviations:
        The released code computes ``(v/|v| + 1)/2``, NaN at v = 0; here ``"released"`` gives 1/2 there and ``"hard"``
        0.

    Example:
        >>> gate = BilinearGate(4, mode="hard")
        >>> gate(torch.randn(2, 5, 4), torch.randn(2, 5, 4)).unique().tolist() in ([0.0], [1.0], [0.0, 1.0])
        True

    References:
        Bengio et al., "Estimating or Propagating Gradients Through Stochastic Neurons", 2013, arXiv:1308.3432.
    """

    def __init__(
        self,
        features: int,
        *,
        gate_features: int = 32,
        num_factors: int = 2,
        mode: GateMode = "hard",
        dropout: float = 0.4,
        head: bool = True,
    ) -> None:
        super().__init__()
        where = "BilinearGate"
        for name, value in (("features", features), ("gate_features", gate_features), ("num_factors", num_factors)):
            check_count(where, name, value)
        check_choice(where, "mode", mode, GATE_MODES)
        check_number(where, "dropout", dropout, low=0, high=1)
        self.num_factors, self.mode, self.dropout = num_factors, mode, dropout
        self.first = nn.Linear(features, gate_features * num_factors, bias=False)
        self.second = nn.Linear(features, gate_features * num_factors, bias=False)
        self.head = nn.Linear(gate_features, 1) if head else None

    def forward(self, x: Tensor, y: Tensor, head: nn.Module | None = None) -> Tensor:
        """Compare ``x`` with ``y``."""
        pooled = factorized_bilinear(
            x,
            y,
            self.first.weight,
            self.second.weight,
            num_factors=self.num_factors,
            dropout=self.dropout,
            training=self.training,
        )
        head = self.head if head is None else head
        if head is None:
            raise SettingError("BilinearGate: head must be given to forward, since the gate was built with head=False.")
        logit: Tensor = head(pooled).squeeze(-1)
        if self.mode == "released":
            return (logit.tanh().sign() + 1) / 2
        soft = logit.sigmoid()
        if self.mode == "soft":
            return soft
        # Exactly 0 or 1 forward: the difference is zero. Backward only `soft` has a gradient.
        return (logit > 0).to(soft.dtype) + (soft - soft.detach())

    def extra_repr(self) -> str:
        """Mode in the repr."""
        return f"mode={self.mode!r}, num_factors={self.num_factors}"
