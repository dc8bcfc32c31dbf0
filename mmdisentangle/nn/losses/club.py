"""CLUB as modules: upper bounds of mutual information that train their own q(y|x)."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from mmdisentangle._core.checks import check_count, check_flag, check_number, check_width
from mmdisentangle._core.distributed import gather_samples, mean_over_processes
from mmdisentangle._core.numerics import at_least_float32, zero_where_invalid
from mmdisentangle._core.reduction import reduce_terms
from mmdisentangle.functional._paired_codes import check_pair, count_samples
from mmdisentangle.functional.club import class_weights, club, club_categorical, gaussian_log_likelihood
from mmdisentangle.nn.losses._estimator import Estimator
from mmdisentangle.nn.losses._perceptron import Perceptron, View, as_they_are


class _CLUB(Estimator, ABC):
    """What both forms share: one value, whose gradient is the bound's for the codes and the likelihood's for q."""

    def __init__(
        self,
        x_features: int,
        outputs: int,
        hidden_features: int | None,
        num_layers: int,
        unbiased: bool,
        learning_weight: float,
        gather: bool,
    ) -> None:
        super().__init__()
        where = type(self).__name__
        check_count(where, "x_features", x_features)
        hidden_features = 2 * max(x_features, outputs) if hidden_features is None else hidden_features
        check_count(where, "hidden_features", hidden_features)
        check_count(where, "num_layers", num_layers)
        check_flag(where, "unbiased", unbiased)
        check_number(where, "learning_weight", learning_weight, low=0)
        self.x_features, self.unbiased, self.learning_weight, self.gather = (
            x_features,
            unbiased,
            learning_weight,
            gather,
        )
        self.network = Perceptron((x_features, *[hidden_features] * (num_layers - 1), outputs))

    def forward(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the bound, to be minimised; ``mask [N]`` is True where the sample has both codes.

        Its gradient to the codes is that of the bound, q held fixed; its gradient to q, in training mode, is that of
        `learning_loss`, the codes held fixed.
        """
        bound = self._bound(x, y, mask, torch.Tensor.detach)
        if not self.training:
            return bound
        self.watch()
        learning = self.learning_weight * self.learning_loss(x, y, mask)
        return bound + (learning - learning.detach())

    def estimate(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """The bound with its ordinary derivatives, in nats."""
        return self._bound(x, y, mask, as_they_are)

    @abstractmethod
    def learning_loss(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mean negative log-likelihood of y given x in nats, both detached.

        ``forward`` has its gradient already; call it to report the fit, or for more steps of an optimizer of its own.
        """

    @abstractmethod
    def _bound(self, x: Tensor, y: Tensor, mask: Tensor | None, view: View) -> Tensor:
        """Return the bound; ``view`` is what the codes' gradient sees of what the network made."""

    def _gathered(self, parts: list[Tensor], mask: Tensor | None) -> tuple[list[Tensor], Tensor | None]:
        """Rows of all processes: what the network made of them, not the network's work."""
        if not self.gather:
            return parts, mask
        widths = [part.shape[1] for part in parts]
        together, mask = gather_samples(torch.cat(parts, 1), mask)
        return list(together.split(widths, 1)), mask

    def _averaged(self, loss: Tensor, mask: Tensor | None, samples: int) -> Tensor:
        """Mean over processes of a mean over samples."""
        if not self.gather:
            return loss
        return mean_over_processes(loss, count_samples(loss.new_empty(samples), mask))

    def extra_repr(self) -> str:
        """Settings in the repr."""
        return f"unbiased={self.unbiased}, learning_weight={self.learning_weight}, gather={self.gather}"


class CLUB(_CLUB):
    r"""Upper bound of the mutual information of two sets of codes, to be driven down.

    .. math:: I(x; y) \le \mathbb{E}_{p(x, y)} \log q(y|x) - \mathbb{E}_{p(x) p(y)} \log q(y|x), \qquad
              q(y|x) = \mathcal{N}(\mu(x), \mathrm{diag}\, \sigma^2(x))

    Add it to the loss and train it with the model, in one optimizer: its value is the bound, its gradient to the codes
    is the bound's with q held fixed, and its gradient to q is that of the likelihood with the codes held fixed. There
    is no second step, so none can be forgotten; where the parameters are in no optimizer, a warning says so.

    Args:
        x_features: width of x, the codes q reads.
        y_features: width of y, the codes q predicts.
        hidden_features: width of the hidden layers of q; twice the wider of both where None.
        num_layers: linear layers of q; 1 is linear regression.
        log_variance_limit: largest size of the log-variances, reached smoothly (tanh).
        unbiased: leave a sample's own y out of its negatives.
        learning_weight: multiplies the gradient to q. With Adam it plays no part; with plain SGD it makes up for the
            weight of this loss, which the gradient to q has, too.
        gather: take the negatives from all processes.

    Shape:
        x ``[N, D1]``, y ``[N, D2]``, mask ``[N]``; result ``[]``.

    Returns:
        Nats; 0 with fewer than two samples. An upper bound as far as q fits: below the truth while q is untrained.

    Raises:
        SettingError: a setting is out of range.
        ShapeError, DtypeError: an argument does not fit.

    Numerics:
        q is computed in float32 at least, also under autocast. The cost is that of q on N rows, see `functional.club`.

    Deviations:
        The released code has a separate optimizer and ``learning_loss`` for q, which the user must call in every step;
        where the call is left out nothing complains, and the bound bounds nothing. `learning_loss` is there for those
        who want more steps.

    Example:
        >>> club = CLUB(4, 3)
        >>> x, y = torch.randn(8, 4, requires_grad=True), torch.randn(8, 3, requires_grad=True)
        >>> club(x, y).backward()  # codes and estimator: one loss, one optimizer
        >>> x.grad is not None and all(p.grad is not None for p in club.parameters())
        True

    References:
        Cheng et al., "CLUB: A Contrastive Log-ratio Upper Bound of Mutual Information", 2020, arXiv:2006.12013.
    """

    def __init__(
        self,
        x_features: int,
        y_features: int,
        *,
        hidden_features: int | None = None,
        num_layers: int = 2,
        log_variance_limit: float = 8.0,
        unbiased: bool = True,
        learning_weight: float = 1.0,
        gather: bool = False,
    ) -> None:
        check_count("CLUB", "y_features", y_features)
        super().__init__(x_features, 2 * y_features, hidden_features, num_layers, unbiased, learning_weight, gather)
        check_number("CLUB", "log_variance_limit", log_variance_limit, low=0, open_low=True)
        self.y_features, self.log_variance_limit = y_features, log_variance_limit

    def conditional(self, x: Tensor, view: View = as_they_are) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(y|x), ``[N, D2]`` each."""
        mean, raw = self.network(x, view).chunk(2, -1)
        return mean, self.log_variance_limit * torch.tanh(raw / self.log_variance_limit)

    def learning_loss(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mean negative log-likelihood of y given x in nats, both detached; ``forward`` has its gradient already."""
        x, y = self._checked(x.detach(), y.detach(), mask)
        return self._averaged(-gaussian_log_likelihood(*self.conditional(x), y, mask=mask), mask, x.shape[0])

    def _bound(self, x: Tensor, y: Tensor, mask: Tensor | None, view: View) -> Tensor:
        x, y = self._checked(x, y, mask)
        (mean, log_variance, y), mask = self._gathered([*self.conditional(x, view), y], mask)
        return club(mean, log_variance, y, unbiased=self.unbiased, mask=mask)

    def _checked(self, x: Tensor, y: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        check_pair("CLUB", x, y, mask)
        check_width("CLUB", "x", x, self.x_features)
        check_width("CLUB", "y", y, self.y_features)
        return zero_where_invalid(x, mask), at_least_float32(zero_where_invalid(y, mask))


class CLUBCategorical(_CLUB):
    r"""`CLUB` with a categorical q(y|x): takes what tells labels or discrete codes out of x.

    .. math:: I(x; y) \le \mathbb{E}_{p(x, y)} \log q(y|x) - \mathbb{E}_{p(x) p(y)} \log q(y|x), \qquad
              q(y|x) = \mathrm{softmax}(\mathrm{logits}(x))_y

    Args:
        x_features: width of x.
        num_classes: C.
        hidden_features: width of the hidden layers of q; twice the larger of both where None.
        num_layers: linear layers of q.
        unbiased: leave a sample's own y out of its negatives.
        learning_weight: multiplies the gradient to q, see `CLUB`.
        gather: take the negatives from all processes.

    Shape:
        x ``[N, D]``, y ``[N]`` classes or ``[N, C]`` weights of classes, mask ``[N]``; result ``[]``.

    Numerics:
        A class outside of 0..C-1 counts as none, without a word: values are not looked at.

    Returns:
        Nats; 0 with fewer than two samples.

    Raises:
        SettingError: a setting is out of range.
        ShapeError, DtypeError: an argument does not fit.

    Example:
        >>> club = CLUBCategorical(4, 3)
        >>> club(torch.randn(8, 4), torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])).shape
        torch.Size([])

    References:
        Cheng et al., "CLUB: A Contrastive Log-ratio Upper Bound of Mutual Information", 2020, arXiv:2006.12013.
    """

    def __init__(
        self,
        x_features: int,
        num_classes: int,
        *,
        hidden_features: int | None = None,
        num_layers: int = 2,
        unbiased: bool = True,
        learning_weight: float = 1.0,
        gather: bool = False,
    ) -> None:
        check_count("CLUBCategorical", "num_classes", num_classes, low=2)
        super().__init__(x_features, num_classes, hidden_features, num_layers, unbiased, learning_weight, gather)
        self.num_classes = num_classes

    def learning_loss(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mean cross-entropy of y given x in nats, both detached; ``forward`` has its gradient already."""
        x, classes = self._checked(x.detach(), y.detach(), mask)
        terms = -(classes * self.network(x).log_softmax(-1)).sum(-1)
        loss = reduce_terms(zero_where_invalid(terms, mask), mask, "mean")
        return self._averaged(loss, mask, x.shape[0])

    def _bound(self, x: Tensor, y: Tensor, mask: Tensor | None, view: View) -> Tensor:
        x, classes = self._checked(x, y, mask)
        (logits, classes), mask = self._gathered([self.network(x, view), classes], mask)
        return club_categorical(logits, classes, unbiased=self.unbiased, mask=mask)

    def _checked(self, x: Tensor, y: Tensor, mask: Tensor | None) -> tuple[Tensor, Any]:
        classes = class_weights("CLUBCategorical", y, self.num_classes)
        classes = at_least_float32(classes if classes.is_floating_point() else classes.to(x.dtype))
        check_pair("CLUBCategorical", x, classes, mask)
        check_width("CLUBCategorical", "x", x, self.x_features)
        return zero_where_invalid(x, mask), zero_where_invalid(classes, mask)
