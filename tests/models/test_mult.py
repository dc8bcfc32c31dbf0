import pytest
import torch

from mmdisentangle.errors import SettingError
from mmdisentangle.functional import masked_mean
from mmdisentangle.models import MulT
from tests.oracles import expect
from tests.oracles.draws import coin, normal

WIDTHS = {"text": 4, "audio": 2, "vision": 3}
SMALL = {"features": 4, "num_heads": 2, "cross_layers": 1, "memory_layers": 1}


def build(widths=WIDTHS, **settings):
    torch.manual_seed(0)
    return MulT(widths, **{**SMALL, **settings}).double().eval()


def batch(widths=WIDTHS, lengths=(6, 9, 4, 5)):
    return {name: normal(i, 5, lengths[i], width) for i, (name, width) in enumerate(widths.items())}


def masks_of(inputs):
    return {name: coin(i, *x.shape[:2], heads=0.7) for i, (name, x) in enumerate(inputs.items())}


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_composition(pooling):
    model, inputs = build(pooling=pooling), batch()
    masks = masks_of(inputs)
    masks["audio"][0] = False
    output = model(inputs, masks)
    own = {n: model.encoders[n](x, masks[n]) * masks[n].unsqueeze(-1) for n, x in inputs.items()}
    codes = []
    for name in WIDTHS:
        others = [other for other in WIDTHS if other != name]
        read = [model.cross[name][other](own[name], own[other], masks[name], masks[other]) for other in others]
        sequence = model.memory[name](torch.cat(read, -1), target_mask=masks[name])
        for b in range(5):
            real = sequence[b, masks[name][b]]
            pooled = torch.zeros(8).double() if not len(real) else real[-1] if pooling == "last" else real.mean(0)
            torch.testing.assert_close(output.shared[name][b], pooled)
        torch.testing.assert_close(output.private[name], masked_mean(own[name], masks[name], 1))
        codes.append(output.shared[name])
    fused = torch.cat(codes, -1)
    torch.testing.assert_close(output.fused, fused)
    first, _, _, last = model.residual
    torch.testing.assert_close(output.prediction, model.head(fused + last(first(fused).relu())))


@pytest.mark.parametrize("count", [2, 3, 4])
def test_a_transformer_for_every_ordered_pair(count):
    widths = dict(zip("abcd"[:count], (4, 2, 3, 5), strict=False))
    model = build(widths)
    assert sum(len(list(model.cross[name])) for name in widths) == count * (count - 1)
    assert model(batch(widths)).fused.shape == (5, count * (count - 1) * 4)


def test_who_hears_of_whom():
    model, inputs = build(), batch()
    output = model(inputs)
    changed = model({**inputs, "audio": inputs["audio"] + 1})
    for name in WIDTHS:
        assert torch.allclose(output.private[name], changed.private[name]) is (name != "audio")
        assert not torch.allclose(output.shared[name], changed.shared[name])


def test_dropout_of_the_input():
    model = build(input_dropout={"text": 1.0}).train()
    with torch.no_grad():
        output = model(batch())
    assert not output.private["text"].any()
    assert output.private["audio"].any()


def test_presets():
    mosi, mosei, iemocap = (MulT(WIDTHS, 4, preset=name).settings for name in ("mosi", "mosei", "iemocap"))
    assert [s.num_heads for s in (mosi, mosei, iemocap)] == [10, 8, 10]
    assert [s.attention_dropout for s in (mosi, mosei, iemocap)] == [0.2, 0.1, 0.25]
    assert [s.input_dropout for s in (mosi, mosei, iemocap)] == [{"text": 0.2}, {"text": 0.3}, {"text": 0.3}]
    assert all((s.features, s.cross_layers, s.pooling, s.head_dropout) == (40, 4, "last", 0.1) for s in (mosi, mosei))
    assert iemocap.kernel_size == {"text": 3, "audio": 5, "vision": 3}
    assert iemocap.task == "classification"
    model = MulT(WIDTHS, 4, preset="iemocap")
    assert MulT.from_config(model.config).settings == iemocap


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"num_heads": 3}, ("num_heads", "features=4", "3")),
        ({"kernel_size": 2}, ("kernel_size must be odd", "2")),
        ({"kernel_size": {"text": 3}}, ("kernel_size lacks 'audio', 'vision'",)),
        ({"pooling": "max"}, ("pooling", "'max'")),
        ({"input_dropout": {"text": 2.0}}, ("input_dropout['text']", "2.0")),
        ({"memory_layers": 0}, ("memory_layers", "0")),
    ],
)
def test_bad_settings(settings, words):
    with expect.error(SettingError, "MulT: ", *words):
        build(**settings)
