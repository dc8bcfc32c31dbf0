"""A small BERT with random weights and a tokenizer made here: nothing is downloaded."""

import copy
import pickle

import pytest
import torch

from mmdisentangle.data import MultimodalDataset, with_text
from mmdisentangle.errors import DataError, DtypeError, MissingExtraError, SettingError
from mmdisentangle.nn import TextEncoder, encode_texts

transformers = pytest.importorskip("transformers", reason="needs mmdisentangle[text]")
tokenizers = pytest.importorskip("tokenizers")

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "un", "##believ", "##able", "a", "film", "##s", "good", "not", "!"]


def word_pieces(**settings):
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordPiece({word: n for n, word in enumerate(VOCABULARY)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=64, **{**names, **settings}
    )


def bert(**settings):
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
        **settings,
    )
    # Not the usual 0.02: differences of positions and neighbours shall show.
    model = transformers.BertModel(config, add_pooling_layer=False)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


def make(**settings):
    return TextEncoder(bert(), word_pieces(), **settings).eval()


def hidden(encoder, *pieces):
    """The model's own vectors of one text, special tokens included."""
    ids = torch.tensor([[2, *(VOCABULARY.index(piece) for piece in pieces), 3]])
    return encoder.model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]


@pytest.mark.parametrize("pooling", ["mean", "first", "last"])
def test_sub_words_are_pooled_to_their_words(pooling):
    encoder = make(pooling=pooling)
    with torch.no_grad():
        found = encoder(["not unbelievable films"])
        all_tokens = hidden(encoder, "not", "un", "##believ", "##able", "film", "##s")
    pick = {"mean": lambda x: x.mean(0), "first": lambda x: x[0], "last": lambda x: x[-1]}[pooling]
    expected = torch.stack([all_tokens[1], pick(all_tokens[2:5]), pick(all_tokens[5:7])])
    torch.testing.assert_close(found.words[0], expected)
    assert found.mask.tolist() == [[True] * 3]
    torch.testing.assert_close(found.sentence[0], all_tokens.mean(0))


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_text_does_not_depend_on_its_neighbours_in_the_batch(side):
    # Absolute positions would move with padding on the left; relative ones, as of models that pad there, do not.
    encoder = TextEncoder(bert(), word_pieces(padding_side=side)).eval()
    if side == "left":
        torch.nn.init.zeros_(encoder.model.embeddings.position_embeddings.weight)
    texts = ["a film", "not unbelievable films a good film !", "", ["good"]]
    with torch.no_grad():
        together, alone = encoder(texts), [encoder([text]) for text in texts]
    assert together.mask.sum(-1).tolist() == [2, 7, 0, 1]
    for row, one in enumerate(alone):
        count = int(one.mask.sum())
        torch.testing.assert_close(together.words[row, :count], one.words[0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(together.sentence[row], one.sentence[0], atol=1e-5, rtol=1e-5)
        assert (together.words[row, count:] == 0).all()
    assert (together.sentence[2] == 0).all()


def test_words_stay_in_their_places():
    encoder = make()
    with torch.no_grad():
        found = encoder([["good", "", "film", "\x00", "a film"]])
        expected = hidden(encoder, "good", "[UNK]", "film", "[UNK]", "a", "film")
    assert found.mask.tolist() == [[True] * 5]
    torch.testing.assert_close(found.words[0, :4], expected[1:5])
    torch.testing.assert_close(found.words[0, 4], expected[5:7].mean(0))


def test_every_word_of_a_long_text_is_read_where_it_stands_farthest_from_the_ends():
    encoder = make(max_tokens=8, overlap=3)
    pieces = ["a", "film", "good", "not", "!", "good", "a", "not", "film", "good", "!"]
    with torch.no_grad():
        found = encoder([" ".join(pieces), "a film"])
        # Six pieces a window, of which three are shared.
        windows = {start: hidden(encoder, *pieces[start : start + 6]) for start in (0, 3, 6)}
        expected = []
        for word in range(len(pieces)):
            inside = [start for start in windows if start <= word < start + 6]
            length = {start: len(windows[start]) for start in inside}
            best = max(inside, key=lambda s: min(word - s + 1, length[s] - 1 - (word - s + 1)))
            expected.append(windows[best][word - best + 1])
        short = hidden(encoder, "a", "film")
    torch.testing.assert_close(found.words[0], torch.stack(expected))
    torch.testing.assert_close(found.words[1, :2], short[1:3])
    assert found.mask.sum(-1).tolist() == [11, 2]
    torch.testing.assert_close(found.sentence[0], torch.cat(list(windows.values())).mean(0))


def test_truncation_masks_the_rest():
    encoder = make(max_tokens=6, long_texts="truncate")
    with torch.no_grad():
        found = encoder(["good film not unbelievable a"])
        expected = hidden(encoder, "good", "film", "not", "un")
    assert found.mask.tolist() == [[True, True, True, True, False]]
    torch.testing.assert_close(found.words[0, :4], expected[1:5])
    assert [len(x) for x in encode_texts(["good film not a a a", "a"], encoder)] == [4, 1]


def test_nothing_at_all():
    encoder = make()
    assert encoder([]).words.shape == (0, 0, 8)
    empty = encoder(["", []])
    assert empty.words.shape == (2, 0, 8)
    assert empty.mask.shape == (2, 0)
    assert empty.sentence.tolist() == [[0.0] * 8] * 2


def test_fine_tuning_and_freezing():
    texts = ["not good", "a film"]
    tuned = TextEncoder(bert(), word_pieces()).train()
    tuned(texts).words.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in tuned.parameters())
    assert tuned.model.training

    frozen = TextEncoder(bert(), word_pieces(), frozen=True).train()
    found = frozen(texts)
    assert not found.words.requires_grad
    assert not frozen.model.training
    assert not any(p.requires_grad for p in frozen.parameters())
    # Dropout is off: twice the same.
    assert torch.equal(frozen(texts).words, found.words)


def test_encode_texts_is_forward_in_any_order():
    encoder = TextEncoder(bert(), word_pieces()).train()
    texts = ["a film", "", "not unbelievable films", ["good"], "a good film !"]
    found = encode_texts(texts, encoder, batch_size=2)
    assert encoder.training
    encoder.eval()
    for text, words in zip(texts, found, strict=True):
        torch.testing.assert_close(words, encoder([text]).words[0], atol=1e-5, rtol=1e-5)
        assert not words.requires_grad


def test_data_set_with_text():
    data = MultimodalDataset.from_arrays(
        {"audio": torch.randn(3, 4, 2), "text": torch.zeros(3, 1, 1)}, torch.zeros(3), groups=list("ppq"), name="n"
    )
    found = with_text(data, ["a film", "", "good"], make())
    assert found.modalities == {"text": 8, "audio": 2}
    assert (found.groups, found.name) == (data.groups, "n")
    assert [len(sample.inputs["text"]) for sample in found] == [2, 0, 1]
    batch = found.collate(list(found))
    assert batch.present["text"].tolist() == [True, False, True]
    with pytest.raises(DataError, match="one text per sample, got 1 for 3 samples"):
        with_text(data, ["a"], make())


def test_text_is_added_before_shards_are_written(tmp_path):
    from mmdisentangle.data import load_shards, write_shards

    data = MultimodalDataset.from_arrays({"audio": torch.randn(2, 4, 2)}, torch.zeros(2))
    write_shards(tmp_path / "own", {"train": with_text(data, ["a film", "good"], make())})
    found = load_shards(tmp_path / "own")
    assert [len(sample.inputs["text"]) for sample in found] == [2, 1]
    with pytest.raises(DataError, match="lies on disk; add the text before shards are written"):
        with_text(found, ["a", "b"], make())


def test_saved_and_loaded(tmp_path):
    encoder = make()
    encoder.model.save_pretrained(tmp_path)
    encoder.tokenizer.save_pretrained(tmp_path)
    loaded = TextEncoder.from_pretrained(str(tmp_path), pooling="first", frozen=True)
    again = make(pooling="first")
    texts = ["not unbelievable films"]
    torch.testing.assert_close(loaded(texts).words, again(texts).words)
    for other in (copy.deepcopy(again), pickle.loads(pickle.dumps(again))):
        assert torch.equal(other(texts).words, again(texts).words)
    again.load_state_dict(TextEncoder(bert(), word_pieces()).state_dict())


def test_byte_pairs_get_a_space_before_every_word(tmp_path):
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<pad>"], initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(["a good film is not a good film"] * 5, trainer)
    fast = transformers.GPT2TokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", model_max_length=32)
    config = transformers.GPT2Config(vocab_size=len(fast), n_embd=8, n_layer=1, n_head=2, n_positions=32)
    transformers.GPT2Model(config).save_pretrained(tmp_path)
    fast.save_pretrained(tmp_path)
    encoder = TextEncoder.from_pretrained(str(tmp_path), frozen=True)
    found = encoder(["a good film", "not"])
    assert found.mask.sum(-1).tolist() == [3, 1]
    ids = encoder.tokenizer([["a", "good"]], is_split_into_words=True)["input_ids"][0]
    assert encoder.tokenizer.decode(ids) == " a good"


def test_nothing_left_of_a_word_and_no_unknown_token():
    tokenizer = word_pieces()
    tokenizer.unk_token = None
    encoder = TextEncoder(bert(), tokenizer)
    with pytest.raises(DataError, match="leaves nothing of the word '' of text 1, and has no unknown token"):
        encoder(["a", ["good", ""]])


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: make(pooling="max"), SettingError, "pooling must be one of"),
        (lambda: make(long_texts="drop"), SettingError, "long_texts must be one of"),
        (lambda: make(max_tokens=2), SettingError, "max_tokens must be an integer of at least 3, got 2"),
        (lambda: make(max_tokens=6, overlap=4), SettingError, "less than the 4 sub-words of a window, got 4"),
        (lambda: TextEncoder(bert(), object()), DtypeError, "tokenizer must be a fast one.*got object"),
        (lambda: make()("a film"), DtypeError, "list of texts, got a single string"),
        (lambda: make()([["a", 3]]), DtypeError, "text 0 must be a string or a list of words, got a int in it"),
        (lambda: encode_texts(["a"], make(), batch_size=0), SettingError, "batch_size"),
    ],
)
def test_wrong_input(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_without_transformers(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mmdisentangle\[text\]'"):
        TextEncoder.from_pretrained("any")
