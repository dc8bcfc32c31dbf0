"""The released RTIL program, run in float64: every number of two whole training steps, to 1e-6 relative."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mmdisentangle.models import RTIL

FOLDER = Path(__file__).parents[1] / "conformance"
STREAMS = {"text": "text", "audio": "audio", "vision": "video"}
TERMS = {
    "total": "total",
    "task": "task",
    "adversarial": "domain",
    "similarity": "cmd",
    "reconstruction": "recon",
    "temporal": "jsd",
}
# Gradients below this are rounding noise of the released program: those of the dead gates.
NOISE = 1e-9


class Step:
    """One forward and backward pass of our model beside the stored numbers."""

    def __init__(self, name):
        with np.load(FOLDER / f"{name}.npz") as arrays:
            self.released = {key: torch.from_numpy(arrays[key]).double() for key in arrays.files}
        weights = {key.removeprefix("param."): v for key, v in self.released.items() if key.startswith("param.")}
        with pytest.warns(UserWarning, match="needs equal lengths and ignores masks"):
            self.model = RTIL.from_released_state_dict(weights).double()
        self.inputs = {own: self.released[f"in.{other}"].requires_grad_() for own, other in STREAMS.items()}
        self.output = self.model(self.inputs)
        self.objective = self.model.objective(self.output, self.released["in.target"])
        self.objective.total.backward()


@pytest.fixture(scope="module", params=["rtil_model", "rtil_model_gates"])
def step(request):
    return Step(request.param)


def assert_parity(actual, expected, tolerance=1e-6):
    error = (actual.detach() - expected).norm() / expected.norm()
    assert error < tolerance, f"relative error {error:.1e}"


def test_the_model_is_in_published_mode(step):
    assert step.model.is_published
    assert not step.model.training
    assert step.model.widths["text"] == 768
    assert step.model.num_outputs == 1


@pytest.mark.parametrize("term", TERMS)
def test_every_term(step, term):
    assert_parity(getattr(step.objective, term), step.released[f"loss.{TERMS[term]}"])


def test_prediction(step):
    assert_parity(step.output.prediction, step.released["out.prediction"])


@pytest.mark.parametrize("name", STREAMS)
def test_codes_and_reconstructions(step, name):
    other = STREAMS[name]
    assert_parity(step.output.private[name], step.released[f"out.private.{other}"])
    assert_parity(step.output.shared[name], step.released[f"out.shared.{other}"])
    assert_parity(step.output.reconstruction[name], step.released[f"out.recon.{other}"])


@pytest.mark.parametrize("name", STREAMS)
def test_gradients_of_the_inputs(step, name):
    assert_parity(step.inputs[name].grad, step.released[f"grad_in.{STREAMS[name]}"])


def test_gradients_of_every_parameter(step):
    parameters, names = dict(step.model.named_parameters()), step.model.released_names()
    assert set(names) == set(parameters)
    assert {f"grad.{name}" for name in names.values()} == {k for k in step.released if k.startswith("grad.")}
    dead = []
    for own, released in names.items():
        gradient, expected = parameters[own].grad, step.released[f"grad.{released}"]
        if expected.abs().max() < NOISE:
            dead.append(released)
            assert gradient is None or gradient.abs().max() < NOISE, released
        else:
            assert_parity(gradient, expected)
    assert {name.partition(".")[0] for name in dead} == {"fbp_at", "fbp_vt", "fc_gate_at"}


def test_gates_are_open_or_mixed(step):
    opened = torch.cat([gate.flatten() for gate in step.output.gates.values()])
    assert set(opened.tolist()) == ({1.0} if step.released["in.text"].shape[0] == 4 else {0.0, 1.0})
