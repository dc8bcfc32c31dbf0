"""Windows of a long text, and the one from which every word is taken."""

from types import SimpleNamespace

import tokenizers
import torch
import transformers
from matplotlib.figure import Figure

from mmdisentangle.nn import TextEncoder

WORDS = 26
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


class WindowNumber(torch.nn.Module):
    """In the place of a language model: every token's vector is the number of its window."""

    config = SimpleNamespace(hidden_size=1)

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))
        self.read = torch.empty(0)

    def forward(self, input_ids: torch.Tensor, **others: torch.Tensor) -> SimpleNamespace:
        self.read = input_ids
        number = torch.arange(len(input_ids)).reshape(-1, 1, 1) * self.scale
        return SimpleNamespace(last_hidden_state=number.expand(-1, input_ids.shape[1], 1))


def draw(figure: Figure) -> None:
    text = [f"word{number}" for number in range(WORDS)]
    vocabulary = {word: number for number, word in enumerate((*SPECIAL, *text))}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
    model = WindowNumber()
    encoder = TextEncoder(model, fast, max_tokens=14, overlap=5)
    taken = encoder([text]).words[0, :, 0].long()
    axes = figure.subplots()
    for row, ids in enumerate(model.read):
        for word in (ids[ids >= len(SPECIAL)] - len(SPECIAL)).tolist():
            chosen = taken[word] == row
            axes.barh(row, 0.9, left=word - 0.45, height=0.62, color="#1f5f99" if chosen else "#9dc3e6")
            colour = "white" if chosen else "#1f5f99"
            axes.text(word, row, str(word), ha="center", va="center", color=colour, fontsize=9)
    rows = range(len(model.read))
    axes.set(xlabel="word (here one sub-word each)", yticks=rows, xlim=(-0.7, WORDS - 0.3), xticks=())
    axes.set_yticklabels([f"window {row + 1}" for row in rows])
    axes.invert_yaxis()
    axes.grid(visible=False)
