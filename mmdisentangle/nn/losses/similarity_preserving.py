"""Similarity-preserving consistency as a module."""

from torch import Tensor, nn

from mmdisentangle._core.checks import check_flag
from mmdisentangle._core.distributed import gather_pairs
from mmdisentangle.functional.similarity_preserving import similarity_preserving


class SimilarityPreservingLoss(nn.Module):
    r"""Samples alike in one set are alike in the other: `functional.similarity_preserving` with its settings.

    .. math:: L = \frac{1}{n} \sum_i \Bigl\| \frac{g^x_i}{|g^x_i|} - \frac{g^y_i}{|g^y_i|} \Bigr\|^2,
              \qquad G^x = X X^\top, \quad G^y = Y Y^\top

    Args:
        published: divide by n once more, as in the paper.
        gather: compare with the samples of all processes.

    Shape:
        x ``[N, D1]``, y ``[N, D2]``, mask ``[N]``; result ``[]``.

    Raises:
        SettingError: published is not True or False.
        ShapeError, DtypeError: an argument does not fit.

    Example:
        >>> loss = SimilarityPreservingLoss()
        >>> x = torch.eye(2)
        >>> loss(x, 3 * x), loss(x, x[:, :1])
        (tensor(0.), tensor(0.5000))

    References:
        Tung and Mori, "Similarity-Preserving Knowledge Distillation", 2019, arXiv:1907.09682.
    """

    def __init__(self, *, published: bool = False, gather: bool = False) -> None:
        super().__init__()
        check_flag("SimilarityPreservingLoss", "published", published)
        self.published, self.gather = published, gather

    def forward(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the loss; ``mask [N]`` is True where the sample has both codes."""
        if self.gather:
            x, y, mask = gather_pairs(x, y, mask)
        return similarity_preserving(x, y, published=self.published, mask=mask)

    def extra_repr(self) -> str:
        """Settings in the repr."""
        return f"published={self.published}, gather={self.gather}"
