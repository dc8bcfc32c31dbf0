import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.data import AddNoise, DropModalities, MultimodalSample
from mmdisentangle.data.degradation import check_modalities, compose
from mmdisentangle.errors import DtypeError, ModalityError, SettingError


def sample(**lengths):
    return MultimodalSample({name: torch.ones(length, 2) for name, length in lengths.items()}, torch.tensor(1), "s")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_modalities_go_missing_as_often_as_their_rates_say():
    drop, state, count = DropModalities({"a": 0.3, "*": 0.1}), generator(), 4000
    left = [drop(sample(a=2, b=3, c=1), state).inputs for _ in range(count)]
    for name, rate in (("a", 0.3), ("b", 0.1), ("c", 0.1)):
        missing = sum(name not in inputs for inputs in left) / count
        assert missing == pytest.approx(rate, abs=4 * (rate * (1 - rate) / count) ** 0.5 + 0.3 * 0.1 * 0.1)


@given(
    seed=st.integers(0, 2**32),
    rate=st.floats(0, 1),
    higher=st.floats(0, 1),
    lengths=st.lists(st.integers(0, 3), min_size=1, max_size=4),
)
def test_one_stays_and_higher_rates_only_take_more(seed, rate, higher, lengths):
    rate, higher = sorted((rate, higher))
    given_sample = sample(**{f"m{index}": length for index, length in enumerate(lengths)})
    less, more = (DropModalities({"*": r})(given_sample, generator(seed)) for r in (rate, higher))
    assert set(more.inputs) <= set(less.inputs) <= set(given_sample.inputs)
    if any(lengths):
        assert any(len(x) for x in more.inputs.values())
    assert (more.id, int(more.target)) == ("s", 1)


def test_certain_rates():
    whole = sample(a=2, b=3)
    assert set(DropModalities({"a": 1.0})(whole, generator()).inputs) == {"b"}
    assert set(DropModalities({"a": 0.0})(whole, generator()).inputs) == {"a", "b"}
    # The only modality with frames stays, whatever its rate.
    assert "a" in DropModalities({"a": 1.0})(sample(a=2, b=0), generator()).inputs
    chosen = {next(iter(DropModalities({"*": 1.0})(whole, generator(seed)).inputs)) for seed in range(20)}
    assert chosen == {"a", "b"}


def test_draws_of_a_modality_do_not_depend_on_the_rates_of_others():
    for seed in range(20):
        alone = DropModalities({"a": 0.5})(sample(a=1, b=1, c=1), generator(seed)).inputs
        beside = DropModalities({"a": 0.5, "b": 0.9})(sample(a=1, b=1, c=1), generator(seed)).inputs
        assert ("a" in alone) == ("a" in beside)


def test_noise_has_the_deviation_asked_for_and_is_the_same_at_every_level():
    x = MultimodalSample({"a": torch.zeros(4000, 3), "b": torch.zeros(5, 1)})
    noisy, louder = (AddNoise({"a": level})(x, generator()).inputs for level in (0.5, 1.5))
    assert float(noisy["a"].std()) == pytest.approx(0.5, rel=0.03)
    assert float(noisy["a"].mean()) == pytest.approx(0, abs=0.02)
    torch.testing.assert_close(3 * noisy["a"], louder["a"])
    assert torch.equal(noisy["b"], x.inputs["b"])
    assert not x.inputs["a"].any()
    assert AddNoise({"*": 1.0})(x, generator()).inputs["b"].all()
    half = MultimodalSample({"a": torch.zeros(2, 1, dtype=torch.bfloat16)})
    assert AddNoise({"a": 1.0})(half, generator()).inputs["a"].dtype == torch.bfloat16


def test_compose_applies_in_turn():
    double = lambda s, g: MultimodalSample({m: 2 * x for m, x in s.inputs.items()}, s.target, s.id)  # noqa: E731
    increase = lambda s, g: MultimodalSample({m: x + 1 for m, x in s.inputs.items()}, s.target, s.id)  # noqa: E731
    assert compose([]) is None
    assert compose([double]) is double
    assert float(compose([increase, double])(sample(a=1), generator()).inputs["a"][0, 0]) == 4


def test_wrong_settings():
    with pytest.raises(DtypeError, match="DropModalities: rates must map modality names to numbers"):
        DropModalities(0.3)
    with pytest.raises(DtypeError, match="AddNoise: deviations must map modality names to numbers, got 1"):
        AddNoise(1)
    with pytest.raises(SettingError, match=r"DropModalities: rates\['a'\] must be"):
        DropModalities({"a": 1.2})
    with pytest.raises(SettingError, match=r"AddNoise: deviations\['a'\] must be"):
        AddNoise({"a": -1.0})
    with pytest.raises(ModalityError, match="names the modality 'txt'; did you mean 'text'"):
        check_modalities("fit", "rates", {"txt": 0.1}, {"text": 3})
    with pytest.raises(SettingError, match=r"nothing is left for '\*'"):
        check_modalities("fit", "rates", {"text": 0.1, "*": 0.2}, {"text": 3})
