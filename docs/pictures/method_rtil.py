"""RTIL from inputs to prediction, and what its objective reads."""

from diagram import Diagram
from matplotlib.figure import Figure


def draw(figure: Figure) -> None:
    d = Diagram(figure, 7.8, 7.3)
    d.frame((4.05, 4.3), (2.85, 5.82), "every other modality m")
    d.box((1.3, 6.85), (1.9, 0.5), "query modality", "$[B, T_q, d_q]$", "tensor")
    d.box((3.9, 6.72), (1.9, 0.5), "$x_m$", "$[B, T_m, d_m]$", "tensor")
    for x, top, name in ((1.3, 6.6, "q"), (3.9, 6.47, "m")):
        d.box((x, 6.0), (1.9, 0.36), "TemporalConvEncoder")
        d.arrow((x, top), (x, 6.18))
        d.arrow((x, 5.82), (x, 5.43))
        d.label((x + 0.08, 5.63), f"$e_{name}$  $[B, T_{name}, D]$")
    d.box(
        (2.75, 5.1),
        (4.9, 0.66),
        "SharedPrivateEncoder",
        "$z_m = \\mathrm{LayerNorm}(\\mathrm{ReLU}(W_m e_m))$\n"
        "private$_m = \\sigma(P_m z_m)$,  shared$_m = \\sigma(S z_m)$",
    )
    # shared q, private q, shared m, private m
    d.arrow((0.75, 4.77), (0.75, 2.85), (2.8, 2.85))
    d.label((0.68, 4.5), "shared$_q$", align="right")
    d.arrow((1.75, 4.77), (1.75, 2.04))
    d.arrow((1.75, 3.85), (2.8, 3.85))
    d.label((1.82, 4.5), "private$_q$")
    d.label((1.82, 4.27), "+ positions")
    d.label((1.82, 3.68), "$q$  $[B, T_q, D]$")
    d.arrow((3.2, 4.77), (3.2, 4.14))
    d.label((3.26, 4.5), "shared$_m$")
    d.arrow((4.55, 4.77), (4.55, 4.14))
    d.label((4.49, 4.5), "private$_m$", align="right")
    d.label((4.49, 4.27), "+ positions", align="right")
    d.box((4.05, 3.85), (2.5, 0.58), "CrossModalAttention", "$T_q$ frames attend to $T_m$")
    d.arrow((3.2, 3.56), (3.2, 3.12))
    d.label((3.26, 3.34), "attended shared$_m$")
    d.arrow((4.85, 3.56), (4.85, 2.04))
    d.label((4.92, 2.6), "$A_m$")
    d.box((3.7, 2.85), (1.8, 0.54), "BilinearGate", "agree? 0 or 1 per frame")
    d.arrow((3.7, 2.58), (3.7, 2.04))
    d.label((3.77, 2.31), "$g_m$  $[B, T_q]$")
    d.box((3.35, 1.76), (3.7, 0.54), "TextDrivenFusion", "$X_m = \\mathrm{LayerNorm}(g_m A_m + q)$")
    d.arrow((3.35, 1.49), (3.35, 1.27))
    d.box((3.35, 1.08), (3.7, 0.36), "TransformerBlock")
    d.arrow((3.35, 0.9), (3.35, 0.62))
    d.label((3.42, 0.77), "$[B, T_q, (M - 1) D]$")
    d.box((3.35, 0.36), (3.7, 0.5), "masked_mean, head", "fused $[B, (M-1)D]$, prediction $[B, \\mathrm{outputs}]$")
    d.terms(
        6.72,
        2.06,
        (
            (6.3, "ModalityDiscriminator", "shared (reversed)\nand private: whose?"),
            (5.1, "CentralMomentDiscrepancy", "shared, mean over\ntime, all pairs"),
            (3.95, "ReconstructionLoss", "$R_m$(private + shared)\nagainst $z_m$"),
            (2.95, "TemporalInvariantLoss", "[private; shared] of\nframes t and t + 1"),
        ),
        (5.2, 5.1),
    )
    d.box((6.72, 0.36), (2.06, 0.5), "task loss", "prediction, target", "loss")
    d.arrow((5.2, 0.36), (5.695, 0.36), colour="#d9822b")
