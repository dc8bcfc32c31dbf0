"""Words to sub-words, in windows that a language model can read, with the word of each sub-word."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mmdisentangle._core.errors import DataError


@dataclass(frozen=True)
class Windows:
    """Windows of several texts.

    Args:
        inputs: arguments of the model, ``[N, L]`` each, ``attention_mask`` among them.
        words: ``[N, L]``, the number of the word that a token counts for, -1 for special tokens, for padding and for
            words that another window is nearer to.
        texts: ``[N]``, the number of the text of each window.
    """

    inputs: dict[str, Tensor]
    words: Tensor
    texts: Tensor

    def to(self, device: torch.device) -> "Windows":
        """Return the windows on a device."""
        inputs = {name: x.to(device) for name, x in self.inputs.items()}
        return Windows(inputs, self.words.to(device), self.texts.to(device))


def split_into_windows(
    tokenizer: Any, texts: Sequence[list[str]], *, max_tokens: int, overlap: int, first_only: bool
) -> Windows:
    """Tokenize the words of texts; windows that overlap where a text is too long for one."""
    encoding, words = _tokenize(tokenizer, texts, max_tokens, overlap)
    covered = [_covered(words, rows) for rows in _by_text(encoding)]
    if any(len(known) < len(text) for text, known in zip(texts, covered, strict=True)):
        texts = _name_unknown(tokenizer, texts, covered)
        encoding, words = _tokenize(tokenizer, texts, max_tokens, overlap)
    windows = [rows[:1] if first_only else rows for rows in _by_text(encoding)]
    kept = [own for rows in windows for own in _nearest(words, rows)]
    rows = [row for own in windows for row in own]
    left = tokenizer.padding_side == "left"
    names = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in encoding]
    filling = {"input_ids": tokenizer.pad_token_id or 0}
    return Windows(
        {name: _pad([encoding[name][row] for row in rows], filling.get(name, 0), left) for name in names},
        _pad(kept, -1, left),
        torch.tensor([text for text, own in enumerate(windows) for _ in own]),
    )


def _tokenize(tokenizer: Any, texts: Sequence[list[str]], max_tokens: int, overlap: int) -> tuple[Any, list[list[int]]]:
    encoding = tokenizer(
        list(texts),
        is_split_into_words=True,
        truncation=True,
        max_length=max_tokens,
        stride=overlap,
        return_overflowing_tokens=True,
        return_attention_mask=True,
    )
    rows = range(len(encoding["input_ids"]))
    return encoding, [[-1 if word is None else word for word in encoding.word_ids(row)] for row in rows]


def _by_text(encoding: Any) -> list[list[int]]:
    """Return the numbers of the windows of each text."""
    owners = encoding["overflow_to_sample_mapping"]
    found: list[list[int]] = [[] for _ in range(max(owners) + 1)]
    for row, text in enumerate(owners):
        found[text].append(row)
    return found


def _covered(words: list[list[int]], rows: list[int]) -> set[int]:
    return {word for row in rows for word in words[row] if word >= 0}


def _name_unknown(tokenizer: Any, texts: Sequence[list[str]], covered: Sequence[set[int]]) -> list[list[str]]:
    """Return the texts with the unknown token in place of words without sub-words."""
    for number, (text, known) in enumerate(zip(texts, covered, strict=True)):
        nothing = next((word for index, word in enumerate(text) if index not in known), None)
        if nothing is not None and tokenizer.unk_token is None:
            raise DataError(
                f"TextEncoder: the tokenizer leaves nothing of the word {nothing!r} of text {number}, and has no "
                "unknown token to read instead; remove the word."
            )
    return [
        [word if index in known else tokenizer.unk_token for index, word in enumerate(text)]
        for text, known in zip(texts, covered, strict=True)
    ]


def _nearest(words: list[list[int]], rows: list[int]) -> list[list[int]]:
    """Keep every word in one window of its text: where its first sub-word is farthest from both ends."""
    best: dict[int, tuple[int, int]] = {}
    for row in rows:
        last = len(words[row]) - 1
        seen = set()
        for position, word in enumerate(words[row]):
            if word >= 0 and word not in seen:
                seen.add(word)
                distance = min(position, last - position)
                if word not in best or distance > best[word][0]:
                    best[word] = (distance, row)
    return [[word if word >= 0 and best[word][1] == row else -1 for word in words[row]] for row in rows]


def _pad(rows: Sequence[Sequence[int]], filling: int, left: bool) -> Tensor:
    length = max(len(row) for row in rows)
    padding = [[filling] * (length - len(row)) for row in rows]
    return torch.tensor([[*pad, *row] if left else [*row, *pad] for row, pad in zip(rows, padding, strict=True)])
