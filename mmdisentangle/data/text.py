"""Give a data set a text modality, encoded once."""

from collections.abc import Sequence

from mmdisentangle._core.errors import DataError
from mmdisentangle.data.batch import MultimodalSample
from mmdisentangle.data.dataset import MultimodalDataset
from mmdisentangle.data.lazy import LazySamples
from mmdisentangle.nn.layers.text_encoder import Text, TextEncoder, encode_texts


def with_text(
    dataset: MultimodalDataset, texts: Sequence[Text], encoder: TextEncoder, *, name: str = "text", batch_size: int = 32
) -> MultimodalDataset:
    """Return the data set with the words of a text as a modality, the first one.

    The encoder runs once, here, and is not trained with the model. A sample with an empty text lacks the modality.

    Args:
        dataset: samples in memory; a modality of that name is replaced.
        texts: one for each sample, in their order: sentences, or lists of words.
        encoder: gives one vector per word.
        name: of the modality.
        batch_size: texts at a time.

    Returns:
        A new data set; the one given stays as it is.

    Raises:
        DataError: there is not one text per sample; the samples lie on disk (add the text before shards are written).

    Example:
        >>> encoder = TextEncoder.from_pretrained("sentence-transformers/all-MiniLM-L6-v2")  # doctest: +SKIP
        >>> films = MultimodalDataset.from_arrays(
        ...     {"audio": torch.randn(2, 50, 4)}, torch.tensor([0.8, -0.9])
        ... )
        >>> with_text(films, ["not bad at all", "awful"], encoder).modalities  # doctest: +SKIP
        {'text': 384, 'audio': 4}
    """
    if isinstance(dataset.samples, LazySamples):
        raise DataError(f"with_text: data set {dataset.name!r} lies on disk; add the text before shards are written.")
    if len(texts) != len(dataset):
        raise DataError(f"with_text: texts must have one text per sample, got {len(texts)} for {len(dataset)} samples.")
    encoded = encode_texts(texts, encoder, batch_size=batch_size)
    samples = [
        MultimodalSample({**sample.inputs, name: words}, sample.target, sample.id)
        for sample, words in zip(dataset, encoded, strict=True)
    ]
    rest = {modality: width for modality, width in dataset.modalities.items() if modality != name}
    return MultimodalDataset(
        samples,
        modalities={name: encoder.out_features, **rest},
        task=dataset.task,
        num_outputs=dataset.num_outputs,
        class_names=dataset.class_names,
        groups=dataset.groups,
        name=dataset.name,
    )
