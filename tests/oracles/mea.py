"""Layers of MEA written out as loops; ``w`` holds the state dict of a layer, ``mask`` True = real."""

import math

import numpy as np

from tests.oracles.layers import attend, convolve, layer_norm, sinusoid, softmax, temporal_conv


def gelu(v) -> np.ndarray:
    return np.array([u * (1 + math.erf(u / math.sqrt(2))) / 2 for u in np.ravel(v)]).reshape(np.shape(v))


def part(w, name) -> dict[str, np.ndarray]:
    """The entries of a state dict below a name, without it."""
    return {key.removeprefix(f"{name}."): value for key, value in w.items() if key.startswith(f"{name}.")}


def linear(v, w, name) -> np.ndarray:
    return w[f"{name}.weight"] @ v + w.get(f"{name}.bias", 0.0)


def feedforward(v, w) -> np.ndarray:
    """Two-layer network on the norm of ``v``, added to ``v``."""
    normed = layer_norm(v, w["norm_feedforward.weight"], w["norm_feedforward.bias"])
    return linear(gelu(linear(normed, w, "feedforward.0")), w, "feedforward.2") + v


def predicted_map(previous, weight, bias, real, window) -> np.ndarray:
    """One sample: ``previous [H, T, T]``; what is not of two ``real`` frames, or outside the window, counts as 0."""
    heads, frames = previous.shape[:2]
    result = np.zeros(previous.shape)
    for h in range(heads):
        for i in range(frames):
            for j in range(frames):
                total = bias[h]
                for g in range(heads):
                    for di in (-1, 0, 1):
                        for dj in (-1, 0, 1):
                            a, b = i + di, j + dj
                            if a in real and b in real and abs(a - b) <= window:
                                total += weight[h, g, di + 1, dj + 1] * previous[g, a, b]
                result[h, i, j] = gelu(total)
    return result


def predictive_attention(q, k, v, previous, weight, bias, mu, mode, mask, divisor=None, window=math.inf):
    """Output and logits of one layer of heads ``[B, H, T, d_head]``; ``previous`` None in the first.

    Maps are ``[B, H, T, T]`` also for frames that see no further than ``window``; what they do not see is 0.
    """
    batch, heads, frames, width = q.shape
    divisor = math.sqrt(width) if divisor is None else divisor
    output, logits = np.zeros(v.shape), np.zeros((batch, heads, frames, frames))
    for b in range(batch):
        real = [t for t in range(frames) if mask[b, t]]
        for h in range(heads):
            for i in real:
                for j in [j for j in real if abs(i - j) <= window]:
                    logits[b, h, i, j] = sum(q[b, h, i, d] * k[b, h, j, d] for d in range(width)) / divisor
        predicted = None if previous is None else predicted_map(previous[b], weight, bias, real, window)
        for h in range(heads):
            for i in real:
                seen = [j for j in real if abs(i - j) <= window]
                own = softmax(logits[b, h, i, seen])
                if predicted is not None:
                    guess = predicted[h, i, seen]
                    if mode == "paper":
                        own = softmax(mu * guess + (1 - mu) * own)
                    elif mode == "logit":
                        own = softmax(mu * guess + (1 - mu) * logits[b, h, i, seen])
                    else:
                        assert mode == "convex"
                        own = mu * softmax(guess) + (1 - mu) * own
                for share, j in zip(own, seen, strict=True):
                    output[b, h, i] += share * v[b, h, j]
    return output, logits


def predictive_self_attention(x, previous, mask, w, heads, mu, mode, scale="head"):
    """Sequence ``[B, T, d]`` and logits ``[B, H, T, T]`` of a layer."""
    batch, frames, width = x.shape
    share = width // heads
    normed = np.zeros(x.shape)
    q, k, v = (np.zeros((batch, heads, frames, share)) for _ in range(3))
    for b in range(batch):
        for t in range(frames):
            if mask[b, t]:
                normed[b, t] = layer_norm(x[b, t], w["norm.weight"], w["norm.bias"])
                for split, name in ((q, "query"), (k, "key"), (v, "value")):
                    split[b, :, t] = linear(normed[b, t], w, name).reshape(heads, share)
    attended, logits = predictive_attention(
        q, k, v, previous, w.get("prediction.weight"), w.get("prediction.bias"), mu, mode, mask,
        math.sqrt(share if scale == "head" else width),
    )  # fmt: skip
    result = np.zeros(x.shape)
    for b in range(batch):
        for t in range(frames):
            if mask[b, t]:
                moved = attended[b, :, t].reshape(width)
                moved = linear(moved, w, "output") if "output.weight" in w else moved
                result[b, t] = feedforward(normed[b, t] + moved, w)
    return result, logits


def modality_weighting(sequences, masks, w, form="pooled"):
    """Weighted sequences, a list in the order of the modalities, and the weights ``[B, M]``."""
    batch = len(next(iter(sequences.values())))
    weights = np.zeros((batch, len(sequences)))
    result = [np.zeros(x.shape) for x in sequences.values()]
    for b in range(batch):
        scores, here = [], []
        for number, (name, x) in enumerate(sequences.items()):
            real = [t for t in range(x.shape[1]) if masks[name][b, t]]
            if not real:
                continue
            if form == "pooled":
                z = sum(x[b, t] for t in real) / len(real)
            else:
                z = np.concatenate([x[b, t] * (t in real) for t in range(x.shape[1])])
            scores.append((w[f"scores.{name}.weight"] @ np.tanh(linear(z, w, f"maps.{name}")))[0])
            here.append(number)
        if not here:
            continue
        weights[b, here] = softmax(np.array(scores))
        for number, (name, x) in enumerate(sequences.items()):
            for t in range(x.shape[1]):
                if masks[name][b, t]:
                    result[number][b, t] = weights[b, number] * x[b, t]
    return result, weights


def reinforcement(source, target, w, heads, scale="head") -> np.ndarray:
    """One sample, real frames alone: rows of ``source`` and of ``target``."""
    width = target.shape[1]
    normed = [layer_norm(row, w["norm_source.weight"], w["norm_source.bias"]) for row in source]
    keys = np.array([linear(row, w, "key") for row in normed]).reshape(-1, width)
    values = np.array([linear(row, w, "value") for row in normed]).reshape(-1, width)
    result = []
    for row in target:
        row = layer_norm(row, w["norm_target.weight"], w["norm_target.bias"])
        y = row
        if len(keys):
            query = linear(row, w, "query") * (1.0 if scale == "head" else 1 / math.sqrt(heads))
            moved = attend(query, keys, values, heads)
            y = row + (linear(moved, w, "output") if "output.weight" in w else moved)
        result.append(feedforward(y, w))
    return np.array(result).reshape(-1, width)


def modality_reinforcement(source, target, source_mask, target_mask, w, heads, scale="head") -> np.ndarray:
    result = np.zeros(target.shape)
    for b in range(len(target)):
        result[b, target_mask[b]] = reinforcement(source[b, source_mask[b]], target[b, target_mask[b]], w, heads, scale)
    return result


def hierarchical_attention(
    sequences, masks, w, heads, num_layers, update_sources=False, mixed=True, coarse=True, fine=True, scale="head"
):
    """A sequence per modality."""
    results = {name: np.zeros(x.shape) for name, x in sequences.items()}
    for b in range(len(next(iter(sequences.values())))):
        original = {name: x[b, masks[name][b]] for name, x in sequences.items()}
        targets = original
        for layer in range(num_layers):
            sources = targets if update_sources else original
            after = {}
            for name, rows in targets.items():
                own = part(w, f"layers.{layer}.{name}")
                others = [other for other in sources if other != name]
                if mixed:
                    everything = np.concatenate(list(sources.values()))
                    rows = reinforcement(everything, rows, part(own, "mixed"), heads, scale)
                if coarse:
                    rest = np.concatenate([sources[o] for o in others])
                    rows = reinforcement(rest, rows, part(own, "coarse"), heads, scale)
                there = [o for o in others if len(sources[o])]
                if fine and there:
                    rows = sum(reinforcement(sources[o], rows, part(own, f"fine.{o}"), heads, scale) for o in there)
                after[name] = rows
            targets = after
        for name, rows in targets.items():
            results[name][b, masks[name][b]] = rows
    return results


def double_discriminator(
    agnostic, exclusive, here, w, weight_on="loss", importance_weights=True, own_loss=True, weights=None
):
    """Losses, weights ``[B, M]`` and accuracies of pooled codes: lists of ``[B, D]`` and ``here [B, M]``.

    ``weights`` takes the place of the importance weights, where they must not move with the codes.
    """
    batch, modalities = here.shape
    found = np.zeros((batch, modalities))
    totals, samples = {"agnostic": 0.0, "exclusive": 0.0, "importance": 0.0}, 0
    hits = {"agnostic": 0, "exclusive": 0}

    def discriminate(code):
        return linear(gelu(linear(code, w, "discriminator.0")), w, "discriminator.3")

    for b in range(batch):
        samples += bool(here[b].any())
        for m in range(modalities):
            if not here[b, m]:
                continue
            if importance_weights:
                p = softmax(linear(agnostic[m][b], w, "importance"))
                found[b, m] = 1 - p[m]
                totals["importance"] += -math.log(p[m]) * own_loss
            else:
                found[b, m] = 1.0
            weight = found[b, m] if weights is None else weights[b, m]
            logits = discriminate(agnostic[m][b] * (weight if weight_on == "input" else 1.0))
            totals["agnostic"] += -math.log(softmax(logits)[m]) * (weight if weight_on == "loss" else 1.0)
            hits["agnostic"] += logits.argmax() == m
            logits = discriminate(exclusive[m][b])
            totals["exclusive"] += -math.log(softmax(logits)[m])
            hits["exclusive"] += logits.argmax() == m
    counts = here.sum(0)
    return {
        **{name: total / max(samples, 1) for name, total in totals.items()},
        "weights": found,
        **{f"{name}_accuracy": number / max(counts.sum(), 1) for name, number in hits.items()},
        "chance": counts.max(initial=0) / max(counts.sum(), 1),
    }


def lstm(rows, w, width) -> list[np.ndarray]:
    """torch's gates: input, forget, cell, output."""
    hidden = cell = np.zeros(width)
    states = []
    for row in rows:
        gates = w["weight_ih_l0"] @ row + w["bias_ih_l0"] + w["weight_hh_l0"] @ hidden + w["bias_hh_l0"]
        i, f, g, o = (gates[n * width : (n + 1) * width] for n in range(4))
        cell = cell / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        hidden = np.tanh(cell) / (1 + np.exp(-o))
        states.append(hidden)
    return states


def recurrent_encoder(x, mask, w, position_scale=1.0) -> np.ndarray:
    """The real frames of a sample, one after the other, there and back."""
    features = len(w["convolution.bias"])
    half = features // 2
    result = np.zeros((*x.shape[:2], features))
    for b in range(len(x)):
        frames = np.where(mask[b][:, None], x[b], 0.0)
        moved = convolve(frames, w["convolution.weight"], w["convolution.bias"], 1)
        real = [t for t in range(x.shape[1]) if mask[b, t]]
        rows = [moved[t] + position_scale * sinusoid(number, features) for number, t in enumerate(real)]
        there = lstm(rows, part(w, "forwards"), features - half)
        back = lstm(rows[::-1], part(w, "backwards"), half)[::-1]
        for t, first, second in zip(real, there, back, strict=True):
            result[b, t] = np.concatenate((first, second))
    return result


def modality_graph(nodes, here, w, self_loops=False, readout="paper") -> np.ndarray:
    """One sample: rows of ``nodes``, the numbers of those that are ``here``; weights ``message`` and ``score``."""
    assert readout in ("paper", "mean")
    messages = {i: linear(nodes[i], w, "message") for i in here}
    fused = np.zeros(len(w["message.weight"]))
    for i in here:
        neighbours = [j for j in here if j != i or self_loops] or [i]
        scores = [gelu(linear(np.concatenate((messages[i], messages[j])), w, "score"))[0] for j in neighbours]
        received = sum(xi * messages[j] for xi, j in zip(softmax(np.array(scores)), neighbours, strict=True))
        fused += 1 / (1 + np.exp(-received)) if readout == "paper" else received / len(here)
    return fused


def perceptron(v, w, name) -> np.ndarray:
    return linear(gelu(linear(v, w, f"{name}.0")), w, f"{name}.2")


def mea(inputs, masks, w, settings):
    """Prediction, agnostic and exclusive codes ``[B, M, d_h]`` and which modalities exist, ``[B, M]``.

    ``settings`` are those of the model; its fusion is by graphs, its encoders are its own.
    """
    s, names, encoded = settings, list(inputs), {}
    for name, x in inputs.items():
        own = part(w, f"encoders.{name}")
        if s.temporal_encoder == "lstm":
            encoded[name] = recurrent_encoder(x, masks[name], own, s.position_scale)
        else:
            encoded[name] = temporal_conv(x, masks[name], own, s.encoder_blocks)
            for b, real in enumerate(masks[name]):
                for number, t in enumerate(np.flatnonzero(real)):
                    encoded[name][b, t] += s.position_scale * sinusoid(number, s.features)
    exclusive, maps = encoded, dict.fromkeys(names)
    for layer in range(s.psa_layers):
        outputs = {
            name: predictive_self_attention(
                exclusive[name], maps[name], masks[name], part(w, f"self_attention.{layer}.{name}"), s.num_heads, s.mu,
                s.attention_mode, s.attention_scale,
            )
            for name in names
        }  # fmt: skip
        exclusive = {name: output[0] for name, output in outputs.items()}
        maps = {name: output[1] for name, output in outputs.items()}
        last = layer == s.psa_layers - 1
        if s.weighting_after == "each" or (last if s.weighting_after == "last" else not last):
            weighted, _ = modality_weighting(exclusive, masks, part(w, f"weightings.{layer}"))
            exclusive = dict(zip(names, weighted, strict=True))
    agnostic = hierarchical_attention(
        encoded, masks, part(w, "cross_attention"), s.num_heads, s.hca_layers, s.update_sources, scale=s.attention_scale
    )
    batch = len(inputs[names[0]])
    here = np.array([[masks[name][b].any() for name in names] for b in range(batch)])
    private, shared = np.zeros((2, batch, len(names), s.hidden_features))
    prediction = []
    for b in range(batch):
        for m, name in enumerate(names):
            if here[b, m]:
                real = masks[name][b]
                private[b, m] = perceptron(exclusive[name][b, real].mean(0), w, f"exclusive_maps.{name}")
                shared[b, m] = perceptron(agnostic[name][b, real].mean(0), w, "agnostic_map")
        there = [m for m in range(len(names)) if here[b, m]]
        fused = [
            modality_graph(codes[b], there, part(w, f"fusion.graphs.{kind}"), s.self_loops, s.readout)
            for kind, codes in (("exclusive", private), ("agnostic", shared))
        ]
        prediction.append(linear(np.concatenate(fused), w, "head.1"))
    return np.array(prediction), shared, private, here
