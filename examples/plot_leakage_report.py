"""
Reading a leakage report
========================

You will see what :py:func:`~mmdisentangle.evaluation.leakage` and :py:func:`~mmdisentangle.evaluation.verdicts` say
of three models: one that has disentangled, one whose shared codes give the modality away without any difference of
means, and one that has collapsed, which a discriminator alone would have praised.
"""

import matplotlib.pyplot as plt
import torch

from mmdisentangle.evaluation import leakage, verdicts

LIGHT, BLUE = "#9dc3e6", "#1f5f99"
STATUS = {"good": "#1f5f99", "mixed": "#f0c48f", "bad": "#d9822b", "unknown": "#d0d0d0", "not asked": "#f2f2f2"}
_ = torch.manual_seed(0)

# %%
# Codes made by hand, so that the truth is known: 400 samples of text and audio. The content is what both modalities
# say, and the target is made of it and, in part, of the style of the text; style is what one of them says alone.
SAMPLES = 400
content, style = torch.randn(SAMPLES, 4), {"text": torch.randn(SAMPLES, 4), "audio": torch.randn(SAMPLES, 4)}
target = content[:, 0] + 0.6 * style["text"][:, 0] + 0.2 * torch.randn(SAMPLES)


def noise():
    return 0.2 * torch.randn(SAMPLES, 4)


private = {"text": style["text"] + noise(), "audio": style["audio"] + 4 + noise()}
models = {
    "good": ({name: content + noise() for name in private}, private),
    # The audio is twice as loud: equal means, unequal spread.
    "leaking": ({"text": content + noise(), "audio": 2 * content + noise()}, private),
    # Shared codes say nothing, so the private ones have to say everything.
    "collapsed": (
        {name: torch.full((SAMPLES, 4), 0.5) for name in private},
        {name: torch.cat([code, content + noise()], 1) for name, code in private.items()},
    ),
}
reports = {name: leakage(*codes, targets=target, permutations=59) for name, codes in models.items()}

# %%
# What can be read from which part, on a scale where 0 is chance and 1 perfect, by a linear and a nonlinear probe,
# with 95 % intervals. The modality should not be read from shared codes, and should be from private ones; the target
# is wanted where it belongs, here in both.
ASKED = [("modality", "shared"), ("modality", "private"), ("target", "shared"), ("target", "private")]
figure, axes = plt.subplots(1, 3, figsize=(8.2, 3.2), sharey=True, layout="constrained")
for each, (name, report) in zip(axes, reports.items(), strict=True):
    for row, question in enumerate(ASKED):
        pair = report.probe(*question)
        for shift, score, colour in ((-0.18, pair.linear, LIGHT), (0.18, pair.nonlinear, BLUE)):
            label = f"{score.probe} probe" if row == 0 else None
            each.barh(row + shift, score.normalized, 0.34, color=colour, label=label)
            each.plot(score.normalized_interval, [row + shift] * 2, color="black", linewidth=1.2)
    each.axvline(0, color="black", linewidth=1)
    each.set_title(name)
    each.set_xlim(-0.25, 1.05)
    each.set_xlabel("0 chance, 1 perfect")
axes[0].set_yticks(range(len(ASKED)), [f"{what} from {part}" for what, part in ASKED])
axes[0].invert_yaxis()
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
plt.show()

# %%
# The verdicts: one answer to each question, and a status. The figure shows every status, the text below what is not
# good.
answers = {name: {verdict.question: verdict for verdict in verdicts(report)} for name, report in reports.items()}
questions = list(dict.fromkeys(question for found in answers.values() for question in found))
figure, axes = plt.subplots(figsize=(8.2, 0.4 * len(questions) + 0.6), layout="constrained")
for row, question in enumerate(questions):
    for column, found in enumerate(answers.values()):
        status = found[question].status if question in found else "not asked"
        axes.add_patch(plt.Rectangle((column - 0.47, row - 0.42), 0.94, 0.84, color=STATUS[status]))
        axes.text(column, row, status, ha="center", va="center", color="white" if status == "good" else "black")
axes.set_yticks(range(len(questions)), questions)
axes.set_xticks(range(len(answers)), list(answers))
axes.xaxis.tick_top()
axes.set(xlim=(-0.5, len(answers) - 0.5), ylim=(len(questions) - 0.5, -0.5))
axes.tick_params(length=0)
axes.spines[:].set_visible(False)
plt.show()

for name, found in answers.items():
    for verdict in found.values():
        if verdict.status != "good":
            print(f"{name}, {verdict.status}: {verdict.question}\n    {verdict.answer}\n    {verdict.advice}\n")

# %%
# **To take away.** Of the codes that leak a linear probe sees nothing, nor would a discriminator that compares means:
# the nonlinear probe does, and the verdict says which. The collapsed codes are at chance, too: that alone is no
# success, so read "Do the codes say anything at all?" first. Then look where the task is, and whether both parts are
# used: a shared part that hides everything costs the model nothing if the private part takes over. "Good" means that
# nothing was found in 400 samples by these probes; the intervals say how much may have been missed. For a trained
# model, pass it with its data set in place of the codes; :py:func:`~mmdisentangle.evaluation.write_report` makes a
# page of the report, and the guide "Did it disentangle?" explains every number.
