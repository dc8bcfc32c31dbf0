"""MEA from inputs to prediction, and what its objective reads."""

from diagram import Diagram
from matplotlib.figure import Figure


def draw(figure: Figure) -> None:
    d = Diagram(figure, 7.8, 6.6)
    d.box((2.7, 6.25), (2.4, 0.5), "$x_m$ of every modality m", "$[B, T_m, d_m]$", "tensor")
    d.arrow((2.7, 6.0), (2.7, 5.78))
    d.box((2.7, 5.5), (2.4, 0.54), "TemporalConvEncoder", "+ positions")
    d.arrow((2.7, 5.23), (2.7, 4.93), (1.35, 4.93), (1.35, 4.66))
    d.arrow((2.7, 4.93), (4.1, 4.93), (4.1, 4.66))
    d.label((2.77, 5.09), "$z_m$  $[B, T_m, d]$")
    d.label((1.27, 4.79), "exclusive", align="right", colour="#7a7a7a")
    d.label((4.18, 4.79), "agnostic", colour="#7a7a7a")
    d.box((1.35, 4.32), (2.35, 0.68), "PredictiveSelfAttention x 3", "each reads the logits of\nthe layer before")
    d.arrow((1.35, 3.98), (1.35, 3.7))
    d.label((1.42, 3.84), "$[B, T_m, d]$")
    d.box((1.35, 3.4), (2.35, 0.6), "ModalityWeighting", "$Z_m \\leftarrow \\psi_m Z_m$, softmax over m")
    d.arrow((1.35, 3.1), (1.35, 2.86))
    d.box(
        (4.1, 3.86),
        (2.75, 1.6),
        "HierarchicalCrossModalAttention",
        "mixed: from all together\ncoarse: from the others together\nfine: from each other one\n"
        "each step a\nModalityReinforcementUnit",
    )
    d.arrow((4.1, 3.06), (4.1, 2.86))
    d.box((1.35, 2.58), (2.35, 0.54), "masked_mean, perceptron $S_m$", "one per modality")
    d.box((4.1, 2.58), (2.55, 0.54), "masked_mean, perceptron A", "one for all")
    d.arrow((1.35, 2.31), (1.35, 1.82))
    d.label((1.42, 2.19), "$h^e_m$  $[B, d_h]$")
    d.arrow((4.1, 2.31), (4.1, 1.82))
    d.label((4.03, 2.19), "$h^a_m$  $[B, d_h]$", align="right")
    d.box(
        (2.75, 1.47),
        (4.9, 0.68),
        "DecoupledGraphFusion",
        "one graph of exclusive, one of agnostic codes; nodes are modalities\n"
        "messages $\\xi_{ij} W h_j$ are summed over j, nodes i are read out",
    )
    d.arrow((2.75, 1.13), (2.75, 0.66))
    d.label((2.82, 0.9), "fused $[B, 2 d_h]$")
    d.box((2.75, 0.4), (4.0, 0.5), "head", "one linear map: prediction $[B, \\mathrm{outputs}]$")
    d.terms(
        6.72,
        2.06,
        (
            (5.35, "HSICLoss", "disparity: $h^e_m$ and $h^a_m$\nare independent"),
            (4.15, "DoubleDiscriminator", "agnostic (reversed):\nthe modality cannot be\nread from $h^a_m$"),
            (3.0, "DoubleDiscriminator", "exclusive: it can\nbe read from $h^e_m$"),
            (1.9, "DoubleDiscriminator", "importance: weights\nof the agnostic term"),
        ),
        (1.35, 1.98),
    )
    d.box((6.72, 0.4), (2.06, 0.5), "task loss", "prediction, target", "loss")
    d.arrow((4.75, 0.4), (5.695, 0.4), colour="#d9822b")
