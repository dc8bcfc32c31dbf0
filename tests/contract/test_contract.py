"""Every public layer, loss and model passes the contract."""

import pytest

from mmdisentangle import functional, kernels, models, nn
from mmdisentangle.testing import CHECKS, check_contract, contract_parameters
from tests.contract import (
    cases_agreement,
    cases_distances,
    cases_functional,
    cases_graph,
    cases_information,
    cases_mea,
    cases_models,
    cases_nn,
    cases_zoo,
)

FILES = (
    cases_functional,
    cases_distances,
    cases_agreement,
    cases_information,
    cases_graph,
    cases_nn,
    cases_mea,
    cases_models,
    cases_zoo,
)
CASES = [case for file in FILES for case in file.CASES]
NO_CASE = {name: reason for file in FILES for name, reason in file.NO_CASE.items()}
ROOMS = {"functional": functional, "kernels": kernels, "nn": nn, "models": models}


# Compiling a fusion or a model takes many seconds; these variants share the graph of another but for a line or two.
COMPILED_AS_ANOTHER = {
    "nn.DecoupledGraphFusion[utterance-self-loops-mean]",
    "nn.DecoupledGraphFusion[frame-paper]",
    "nn.DecoupledGraphFusion[frame-attention]",
    "nn.TextDrivenFusion[soft]",
    "nn.TextDrivenFusion[off]",
    "nn.TextDrivenFusion[rates]",
    "nn.TextDrivenFusion[dropout]",
    "models.RTIL[soft]",
    "models.RTIL[hard]",
    "models.RTIL[checkpoint]",
    "models.RTIL[objective-classification]",
    "models.RTIL[published]",
    "nn.DoubleDiscriminator[input]",
    "nn.DoubleDiscriminator[literal]",
    "nn.DoubleDiscriminator[unweighted]",
    "nn.HierarchicalCrossModalAttention[updated-sources]",
    "nn.PredictiveSelfAttention[logit]",
    "nn.PredictiveSelfAttention[paper]",
    "nn.PredictiveSelfAttention[dropout]",
    "models.MEA[default]",
    "models.MEA[objective-classification]",
    "models.MEA[window]",
    "models.MEA[checkpoint]",
    "models.MEA[no-psa]",
    "models.MEA[no-hca]",
    "models.MEA[concat]",
    "nn.CrossModalTransformer[self]",
    "models.LateFusion[concat]",
    "models.LateFusion[weighted]",
    "models.EarlyFusion[default]",
    "models.MulT[default]",
    "models.MulT[causal-last]",
    "models.MISA[default]",
    "models.MISA[objective-adversarial]",
}


def _parameters():
    parameters = []
    for parameter in contract_parameters(CASES, marks={"compiles": pytest.mark.compile}):
        case, check = parameter.values
        if not CHECKS[check].compiles:
            parameters.append(parameter)
        elif str(case) not in COMPILED_AS_ANOTHER:
            # A whole model takes a minute of a processor's undivided time.
            patient = pytest.mark.timeout(900)
            parameters.append(pytest.param(case, check, id=parameter.id, marks=[*parameter.marks, patient]))
    return parameters


@pytest.mark.parametrize(("case", "check"), _parameters())
def test_contract(case, check):
    check_contract(case, only=[check])


@pytest.mark.parametrize("name", [f"{room}.{name}" for room, module in ROOMS.items() for name in module.__all__])
def test_every_public_name_has_a_case(name):
    assert (name in {case.name for case in CASES}) != (name in NO_CASE), (
        f"{name} needs a Case in tests/contract, or an entry in NO_CASE with the reason why it has none; not both"
    )


@pytest.mark.parametrize("name", models.list_models())
def test_every_model_of_the_zoo_has_a_case(name):
    model = models.create_model(name, modalities={"text": 3, "audio": 2, "vision": 2})
    assert f"models.{type(model).__name__}" in {case.name for case in CASES}


def test_no_case_is_for_a_name_that_is_not_public():
    public = {f"{room}.{name}" for room, module in ROOMS.items() for name in module.__all__}
    assert {case.name for case in CASES} | set(NO_CASE) <= public


def test_cases_have_different_names():
    assert len({str(case) for case in CASES}) == len(CASES)


def test_every_name_is_compiled_in_some_variant():
    names = {str(case): case.name for case in CASES}
    assert set(names) >= COMPILED_AS_ANOTHER
    assert {names[case] for case in set(names) - COMPILED_AS_ANOTHER} == set(names.values())
