"""
A missing modality
==================

You will see two copies of one model, the first trained on complete samples, the second on samples that randomly lack
modalities, and how their accuracy falls when modalities go missing in the test. Without the modality that leads its
fusion the first falls to guessing, though the other two could have told the answer.
"""

import matplotlib.pyplot as plt
import torch

from mmdisentangle import create_model
from mmdisentangle.data import DropModalities, SharedPrivateGenerator
from mmdisentangle.evaluation import robustness_curve

COLOURS = {"complete samples": "#d9822b", "samples that lack modalities": "#1f5f99"}

# %%
# Three sensors of different width and rate see one process, each with noise and a process of its own. The target is
# one of three classes of the shared process, so that each sensor can tell it, if not equally well.
world = SharedPrivateGenerator(
    modalities={"lidar": 8, "radar": 6, "camera": 5},
    lengths={"lidar": 8, "radar": 4, "camera": 4},
    noise=1.0,
    shared_factors=3,
    task="classification",
    num_outputs=3,
)
train, test = world.draw(500, seed=0).dataset, world.draw(250, seed=1).dataset

# %%
# :py:class:`~mmdisentangle.data.DropModalities` takes each modality from a sample with the given chance, but never
# the last one. The batch says with its masks, and with ``present``, what is there: a missing modality is not a
# modality of zeros.


def fit(transform):
    torch.manual_seed(1)
    model = create_model("rtil", modalities=train.modalities, num_outputs=3, task="classification", hidden_features=16)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    generator = torch.Generator().manual_seed(2)
    for _ in range(10):
        for chosen in torch.randperm(len(train), generator=generator).split(64):
            batch = train.collate([transform(train[int(index)], generator) for index in chosen])
            output = model(batch.inputs, batch.masks, present=batch.present)
            optimizer.zero_grad()
            model.objective(output, batch.target).total.backward()
            optimizer.step()
    return model.eval()


models = {
    "complete samples": fit(lambda sample, generator: sample),
    "samples that lack modalities": fit(DropModalities({"*": 0.3})),
}
print("the fusion is led by", models["complete samples"].query)

# %%
# :py:func:`~mmdisentangle.evaluation.robustness_curve` removes each modality alone, then any of them (``"*"``), with
# rising probability. Both models see the same damage; of ``"*"`` one modality always stays.
curves = {
    name: robustness_curve(model, test, drop_rates=(0, 0.5, 1), noise_levels=(), repeats=2)
    for name, model in models.items()
}
figure, axes = plt.subplots(1, 4, figsize=(8.2, 3.3), sharey=True, layout="constrained")
for each, modality in zip(axes, (*train.modalities, "*"), strict=True):
    for name, curve in curves.items():
        points = curve.curve("drop", modality)
        accuracy = [point.mean["accuracy"] for point in points]
        each.plot([point.level for point in points], accuracy, color=COLOURS[name], marker="o", label=name)
    each.axhline(curve.constant["accuracy"], color="#7a7a7a", linestyle=":", label="best constant answer")
    each.set_title("any, one stays" if modality == "*" else f"without {modality}")
    each.set_xlabel("probability")
axes[0].set_ylabel("accuracy")
axes[0].set_ylim(0.2, 1)
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
plt.show()

# %%
# The same in numbers: accuracy on complete samples, without each modality, and with a single random one; the mean
# over the levels of the last curve is one number for the whole of it.
numbers = {}
for name, curve in curves.items():
    numbers[name] = {m: curve.curve("drop", m)[-1].mean["accuracy"] for m in (*train.modalities, "*")}
    numbers[name]["complete"] = curve.points[0].mean["accuracy"]
    numbers[name]["mean of *"] = curve.area("drop", "*", "accuracy")
    print(f"{name:<29}" + "".join(f"  {key} {value:.2f}" for key, value in numbers[name].items()))

# %%
# **To take away.** That a model accepts a missing modality, without an error or NaN, does not mean that it has
# learned to do without. A model that leans on one modality has to be shown samples without it, and pays little for
# that on complete ones (the left ends of the curves). Random dropping is the remedy for modalities that go missing at
# random. Where they go missing for a reason (the camera fails at night, and nights are different), train and test on
# gaps that look like those. A modality that is never missing where the model will run needs none of this.
