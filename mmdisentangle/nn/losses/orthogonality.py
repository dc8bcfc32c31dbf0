"""Orthogonality loss as a module."""

from torch import Tensor, nn

from mmdisentangle._core.checks import check_choice
from mmdisentangle._core.distributed import gather_pairs
from mmdisentangle.functional.orthogonality import ORTHOGONALITY_FORMS, OrthogonalityForm, orthogonality


class OrthogonalityLoss(nn.Module):
    r"""Linear dependence between paired codes: `mmdisentangle.functional.orthogonality` with its settings.

    .. math:: L = \frac{1}{D_1 D_2} \| \tilde X^\top \tilde Y \|_F^2

    Args:
        form: ``"rows"`` as in MISA, grows with the batch; ``"correlation"``, mean squared correlation, does not.
        gather: take the batch over all processes.

    Shape:
        x ``[N, D1]``, y ``[N, D2]``, mask ``[N]``; result ``[]``.

    Raises:
        SettingError: an unknown form.
        ShapeError, DtypeError: an argument does not fit.

    Example:
        >>> loss = OrthogonalityLoss(form="correlation")
        >>> x = torch.tensor([[1.0], [-1.0]])
        >>> loss(x, 3 * x)
        tensor(1.)

    References:
        Hazarika et al., "MISA: Modality-Invariant and -Specific Representations for Multimodal Sentiment Analysis",
        2020, arXiv:2005.03545.
    """

    def __init__(self, *, form: OrthogonalityForm = "rows", gather: bool = False) -> None:
        super().__init__()
        check_choice("OrthogonalityLoss", "form", form, ORTHOGONALITY_FORMS)
        self.form: OrthogonalityForm = form
        self.gather = gather

    def forward(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the loss; ``mask [N]`` is True where the sample has both codes."""
        if self.gather:
            x, y, mask = gather_pairs(x, y, mask)
        return orthogonality(x, y, form=self.form, mask=mask)

    def extra_repr(self) -> str:
        """Settings in the repr."""
        return f"form={self.form!r}"
