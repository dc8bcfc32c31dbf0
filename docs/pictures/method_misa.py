"""MISA from inputs to prediction, and what its objective reads."""

from diagram import GREY, Diagram
from matplotlib.figure import Figure


def draw(figure: Figure) -> None:
    d = Diagram(figure, 7.8, 6.2)
    d.box((2.6, 5.85), (2.6, 0.5), "$x_m$ of every modality m", "$[B, T_m, d_m]$", "tensor")
    d.arrow((2.6, 5.6), (2.6, 5.34))
    d.box((2.6, 5.15), (2.6, 0.38), "TemporalConvEncoder")
    d.arrow((2.6, 4.96), (2.6, 4.68))
    d.label((2.67, 4.83), "$[B, T_m, D]$")
    d.box((2.6, 4.49), (2.6, 0.38), "masked_mean, masked_max")
    d.arrow((2.6, 4.3), (2.6, 4.0))
    d.label((2.67, 4.16), "$u_m$  $[B, 2 D]$")
    d.box(
        (2.6, 3.67),
        (4.7, 0.66),
        "SharedPrivateEncoder",
        "$z_m = \\mathrm{LayerNorm}(\\mathrm{ReLU}(W_m u_m))$\n"
        "private$_m = \\sigma(P_m z_m)$,  shared$_m = \\sigma(S z_m)$",
    )
    d.arrow((1.4, 3.34), (1.4, 2.66))
    d.label((1.47, 3.0), "private$_m$  $[B, D]$")
    d.arrow((3.8, 3.34), (3.8, 2.66))
    d.label((3.73, 3.0), "shared$_m$  $[B, D]$", align="right")
    d.box((2.6, 2.47), (4.7, 0.38), "2 M codes as tokens of one sequence", kind="tensor")
    d.arrow((2.6, 2.28), (2.6, 1.92))
    d.label((2.67, 2.1), "$[B, 2M, D]$")
    d.box((2.6, 1.63), (4.7, 0.54), "TransformerBlock", "two heads; tokens of missing modalities are masked")
    d.arrow((2.6, 1.36), (2.6, 1.02))
    d.label((2.67, 1.19), "side by side, fused $[B, 2 M D]$")
    d.box(
        (2.6, 0.7),
        (4.7, 0.6),
        "head",
        "linear, dropout, ReLU, linear: prediction $[B, \\mathrm{outputs}]$",
    )
    d.terms(
        6.72,
        2.06,
        (
            (5.2, "OrthogonalityLoss", "private$_m$ and shared$_m$,\nprivate$_m$ and private$_n$"),
            (3.9, "CentralMomentDiscrepancy", "shared$_m$ and shared$_n$"),
            (2.7, "ReconstructionLoss", "$R_m$(private + shared)\nagainst $z_m$"),
        ),
        (4.95, 3.67),
    )
    d.label(
        (6.72, 1.7),
        "Default: these terms train the\nmaps P, S, R; encoders and W\nlearn from the task alone.",
        align="center",
        colour=GREY,
    )
    d.box((6.72, 0.7), (2.06, 0.5), "task loss", "prediction, target", "loss")
    d.arrow((4.95, 0.7), (5.65, 0.7), colour="#d9822b")
