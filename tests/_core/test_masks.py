import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle import functional
from mmdisentangle.errors import DtypeError, ShapeError
from tests.oracles import expect
from tests.oracles.draws import coin, seeds

LENGTHS = st.lists(st.integers(0, 7), max_size=5)


@st.composite
def masks(draw):
    return coin(draw(seeds), draw(st.integers(0, 4)), draw(st.integers(0, 6)))


@given(LENGTHS, st.integers(0, 9))
def test_lengths_to_mask_is_a_comparison(lengths, columns):
    mask = functional.lengths_to_mask(torch.tensor(lengths, dtype=torch.int64), columns)
    assert mask.dtype == torch.bool
    assert mask.tolist() == [[t < length for t in range(columns)] for length in lengths]


@given(LENGTHS)
def test_lengths_return(lengths):
    lengths = torch.tensor(lengths, dtype=torch.int32)
    mask = functional.lengths_to_mask(lengths)
    assert mask.shape == (len(lengths), max(lengths.tolist(), default=0))
    assert functional.mask_to_lengths(mask).tolist() == lengths.tolist()


@given(masks())
def test_lengths_count_whichever_side_is_padded(mask):
    assert (
        functional.mask_to_lengths(mask).tolist()
        == functional.mask_to_lengths(mask.flip(1)).tolist()
        == mask.sum(1).tolist()
    )


@given(masks())
def test_other_forms_return(mask):
    assert torch.equal(functional.key_padding_mask_to_mask(functional.mask_to_key_padding_mask(mask)), mask)
    assert torch.equal(functional.attention_mask_to_mask(functional.mask_to_attention_mask(mask)), mask)
    assert functional.mask_to_attention_mask(mask).dtype == torch.int64
    assert torch.equal(functional.mask_to_attention_mask(mask).bool(), mask)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int32, torch.float16])
def test_attention_masks_of_any_number_type(dtype):
    mask = functional.attention_mask_to_mask(torch.tensor([[1, 0]]).to(dtype))
    assert mask.dtype == torch.bool
    assert mask.tolist() == [[True, False]]


def test_key_padding_mask_is_the_one_torch_understands():
    layer = torch.nn.MultiheadAttention(4, 1, batch_first=True).eval()
    x = torch.randn(2, 5, 4)
    mask = functional.lengths_to_mask(torch.tensor([5, 3]))
    poisoned = torch.where(mask.unsqueeze(-1), x, 1e6)
    padding = functional.mask_to_key_padding_mask(mask)
    results = [layer(x, k, k, key_padding_mask=padding)[0] for k in (x, poisoned)]
    torch.testing.assert_close(*results)


@given(masks())
def test_positions_number_the_real_frames(mask):
    for row, positions in zip(mask.tolist(), functional.frame_positions(mask).tolist(), strict=True):
        expected, number = [], 0
        for real in row:
            expected.append(number if real else 0)
            number += real
        assert positions == expected


@pytest.mark.parametrize(
    "function",
    [
        functional.mask_to_lengths,
        functional.mask_to_attention_mask,
        functional.mask_to_key_padding_mask,
        functional.key_padding_mask_to_mask,
        functional.frame_positions,
    ],
)
@pytest.mark.bad_input
def test_only_boolean_matrices_are_masks(function):
    name = "key_padding_mask" if function is functional.key_padding_mask_to_mask else "mask"
    with expect.error(DtypeError, f"{function.__name__}: {name} must be", "torch.int64"):
        function(torch.ones(2, 3, dtype=torch.int64))
    with expect.error(ShapeError, f"{function.__name__}: {name} must have", "[B, T]", "[3]"):
        function(torch.ones(3, dtype=torch.bool))
    with expect.error(DtypeError, f"{function.__name__}: {name} must be", "list"):
        function([[True]])


@pytest.mark.bad_input
def test_lengths_are_a_row_of_integers():
    with expect.error(DtypeError, "lengths_to_mask: lengths", "integer", "torch.float32"):
        functional.lengths_to_mask(torch.tensor([1.0]))
    with expect.error(DtypeError, "lengths_to_mask: lengths", "integer", "torch.bool"):
        functional.lengths_to_mask(torch.tensor([True]))
    with expect.error(ShapeError, "lengths_to_mask: lengths", "[B]", "[1, 1]"):
        functional.lengths_to_mask(torch.tensor([[1]]))
    with expect.error(DtypeError, "lengths_to_mask: lengths", "torch.Tensor", "list"):
        functional.lengths_to_mask([1, 2])
    with expect.error(ShapeError, "attention_mask_to_mask: attention_mask", "[B, T]", "[2]"):
        functional.attention_mask_to_mask(torch.ones(2))
