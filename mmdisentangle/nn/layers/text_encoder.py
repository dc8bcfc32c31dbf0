"""A language model that gives one vector per word, ready to stand beside other modalities."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mmdisentangle._core.checks import check_choice, check_count
from mmdisentangle._core.errors import DtypeError, SettingError, require_extra
from mmdisentangle.functional.segment_pooling import PooledSegments, SegmentPooling, pool_segments
from mmdisentangle.nn.layers._sub_words import Windows, split_into_windows

# A sentence, split at white space, or its words.
Text = str | Sequence[str]


class TextFeatures(NamedTuple):
    """What `TextEncoder` returns.

    Attributes:
        words: one vector per word, padding 0: ``inputs["text"]`` of a model.
        mask: True = a word: ``masks["text"]`` of a model.
        sentence: mean over all sub-words and special tokens of a text, as sentence embeddings are made; 0 for an empty
            text.

    Example:
        >>> encoder = TextEncoder.from_pretrained("sentence-transformers/all-MiniLM-L6-v2").eval()  # doctest: +SKIP
        >>> features = encoder(["a fine film", "a good movie", "rain in April"])  # doctest: +SKIP
        >>> features.words.shape, features.mask.sum(1)  # doctest: +SKIP
        (torch.Size([3, 3, 384]), tensor([3, 3, 3]))
        >>> torch.cosine_similarity(features.sentence[0], features.sentence[1:])  # doctest: +SKIP
        tensor([0.6223, 0.0827], grad_fn=<SumBackward1>)
    """

    words: Float[Tensor, "B W D"]
    mask: Bool[Tensor, "B W"]
    sentence: Float[Tensor, "B D"]


class TextEncoder(nn.Module):
    r"""Encode words by a model of the transformers package, sub-words pooled to words.

    .. math:: y_w = \frac{1}{|S_w|} \sum_{s \in S_w} h_s, \qquad h = \mathrm{LanguageModel}(\text{the window of } w)

    with :math:`S_w` the sub-words of word w (``pooling="mean"``).

    Word ``w`` of a text is row ``w`` of the result, whatever the tokenizer makes of it, so that audio or video pooled
    to the same words stays aligned. A text that is longer than the model allows is read in overlapping windows; every
    word is taken from the window in which it stands farthest from both ends. A word of which the tokenizer leaves
    nothing (an empty string, a control character) is read as the unknown token.

    Args:
        model: called with ``input_ids`` and ``attention_mask``, returns ``last_hidden_state``; ``config.hidden_size``
            is the width.
        tokenizer: a fast tokenizer of the same package.
        pooling: ``"mean"`` over the sub-words of a word, or its ``"first"`` or ``"last"`` one.
        frozen: keep the model as it is: in evaluation mode, without gradient. Else it is fine-tuned with the rest, for
            which a learning rate of about 2e-5 is usual.
        max_tokens: sub-words and special tokens of a window; what tokenizer and model allow where None.
        overlap: sub-words that two windows share; a quarter of a window where None.
        long_texts: ``"windows"``, or ``"truncate"``: words beyond the first window are masked.

    Shape:
        ``forward`` takes B texts; words ``[B, W, D]`` with W the largest number of words, mask ``[B, W]``, sentence
        ``[B, D]``.

    Raises:
        DtypeError: texts that are no strings or lists of strings; a tokenizer that cannot align words.
        SettingError: a setting is out of range.
        DataError: a word without sub-words, and a tokenizer without an unknown token.

    Deviations:
        The mean over a text of several windows counts what the windows share twice.

    Example:
        >>> encoder = TextEncoder.from_pretrained("sentence-transformers/all-MiniLM-L6-v2")  # doctest: +SKIP
        >>> encoder(["not bad at all", ""]).words.shape  # doctest: +SKIP
        torch.Size([2, 4, 384])
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        *,
        pooling: SegmentPooling = "mean",
        frozen: bool = False,
        max_tokens: int | None = None,
        overlap: int | None = None,
        long_texts: str = "windows",
    ) -> None:
        super().__init__()
        where = "TextEncoder"
        check_choice(where, "pooling", pooling, ("mean", "first", "last"))
        check_choice(where, "long_texts", long_texts, ("windows", "truncate"))
        if not getattr(tokenizer, "is_fast", False):
            raise DtypeError(
                f"{where}: tokenizer must be a fast one, which knows the word of each sub-word, "
                f"got {type(tokenizer).__name__}; load it with AutoTokenizer."
            )
        config: Any = model.config
        special = tokenizer.num_special_tokens_to_add()
        if max_tokens is None:
            # A tokenizer without a limit says a huge number.
            max_tokens = min(tokenizer.model_max_length, getattr(config, "max_position_embeddings", 512))
        check_count(where, "max_tokens", max_tokens, low=special + 1)
        if overlap is None:
            overlap = (max_tokens - special) // 4
        check_count(where, "overlap", overlap, low=0)
        if overlap >= max_tokens - special:
            raise SettingError(
                f"{where}: overlap must be less than the {max_tokens - special} sub-words of a window, got {overlap}."
            )
        self.model, self.tokenizer = model, tokenizer
        self.out_features: int = config.hidden_size
        self.pooling: SegmentPooling = pooling
        self.frozen, self.max_tokens, self.overlap, self.long_texts = frozen, max_tokens, overlap, long_texts
        if frozen:
            model.requires_grad_(False)
        self.train(self.training)

    @classmethod
    def from_pretrained(cls, name_or_path: str, **settings: Any) -> Self:
        """Load model and tokenizer from the Hugging Face Hub or a folder; needs ``mmdisentangle[text]``.

        Args:
            name_or_path: of the model.
            **settings: of `TextEncoder`.
        """
        transformers: Any = require_extra("transformers", "text")
        tokenizer = transformers.AutoTokenizer.from_pretrained(name_or_path)
        if getattr(tokenizer, "add_prefix_space", None) is False:
            # Byte-pair tokenizers take a word for the continuation of another unless a space is put before it.
            tokenizer = transformers.AutoTokenizer.from_pretrained(name_or_path, add_prefix_space=True)
        return cls(transformers.AutoModel.from_pretrained(name_or_path), tokenizer, **settings)

    def train(self, mode: bool = True) -> Self:
        """Set the mode; a frozen model stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.model.eval()
        return self

    def forward(self, texts: Sequence[Text]) -> TextFeatures:
        """Encode texts."""
        if isinstance(texts, str):
            raise DtypeError("TextEncoder: texts must be a list of texts, got a single string.")
        split = [_words(index, text) for index, text in enumerate(texts)]
        parameter = next(self.model.parameters())
        count = max((len(words) for words in split), default=0)
        if not split:
            empty = parameter.new_zeros(0, 0, self.out_features)
            return TextFeatures(empty, empty.new_zeros(0, 0, dtype=torch.bool), empty.new_zeros(0, self.out_features))
        windows = split_into_windows(
            self.tokenizer,
            split,
            max_tokens=self.max_tokens,
            overlap=self.overlap,
            first_only=self.long_texts == "truncate",
        ).to(parameter.device)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            hidden = self.model(**windows.inputs).last_hidden_state
        words = self._pool(hidden, windows, windows.words, len(split), count, self.pooling)
        whole = torch.where(windows.inputs["attention_mask"] != 0, 0, -1)
        sentence = self._pool(hidden, windows, whole, len(split), 1, "mean").values.squeeze(1)
        some = torch.tensor([[bool(words)] for words in split], device=sentence.device)
        return TextFeatures(words.values, words.mask, torch.where(some, sentence, torch.zeros_like(sentence)))

    def extra_repr(self) -> str:
        """Return the settings."""
        return (
            f"pooling={self.pooling!r}, frozen={self.frozen}, max_tokens={self.max_tokens}, overlap={self.overlap}, "
            f"long_texts={self.long_texts!r}"
        )

    @staticmethod
    def _pool(
        hidden: Tensor, windows: Windows, segments: Tensor, texts: int, count: int, pooling: SegmentPooling
    ) -> PooledSegments:
        # All tokens as one sequence, with the words of all texts as its segments: windows of one text then pool alike.
        flat = torch.where(segments >= 0, windows.texts.unsqueeze(-1) * count + segments, -1)
        pooled = pool_segments(
            hidden.reshape(1, -1, hidden.shape[-1]), flat.reshape(1, -1), texts * count, pooling=pooling
        )
        return PooledSegments(pooled.values.reshape(texts, count, hidden.shape[-1]), pooled.mask.reshape(texts, count))


def encode_texts(texts: Sequence[Text], encoder: TextEncoder, *, batch_size: int = 32) -> list[Float[Tensor, "W D"]]:
    """Encode texts once, for a data set: one ``[W, D]`` tensor per text, in evaluation mode and without gradient.

    Args:
        texts: sentences, or lists of words.
        encoder: its mode is restored; it computes where its parameters are.
        batch_size: texts at a time; those of similar lengths together.

    Returns:
        Vectors of the words of each text, on the CPU; those that ``long_texts="truncate"`` cut off are missing.

    Raises:
        SettingError: ``batch_size`` is not a positive integer.
        DtypeError: a text is no string or list of strings.

    Example:
        >>> encoder = TextEncoder.from_pretrained("sentence-transformers/all-MiniLM-L6-v2")  # doctest: +SKIP
        >>> [words.shape for words in encode_texts(["not bad at all", ["unbelievable"], ""], encoder)]  # doctest: +SKIP
        [torch.Size([4, 384]), torch.Size([1, 384]), torch.Size([0, 384])]
    """
    check_count("encode_texts", "batch_size", batch_size)
    training = encoder.training
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    found: list[Tensor] = [torch.empty(0)] * len(texts)
    encoder.eval()
    try:
        with torch.no_grad():
            for start in range(0, len(order), batch_size):
                chosen = order[start : start + batch_size]
                features = encoder([texts[index] for index in chosen])
                for index, words, mask in zip(chosen, features.words, features.mask, strict=True):
                    found[index] = words[mask].cpu()
    finally:
        encoder.train(training)
    return found


def _words(index: int, text: Text) -> list[str]:
    words = text.split() if isinstance(text, str) else list(text)
    for word in words:
        if not isinstance(word, str):
            raise DtypeError(
                f"TextEncoder: text {index} must be a string or a list of words, got a {type(word).__name__} in it."
            )
    return words
