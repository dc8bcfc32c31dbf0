"""Settings of every model of the zoo that make it small, and exact: the same numbers in training as in evaluation."""

SMALL = {
    "rtil": {
        "hidden_features": 8,
        "num_heads": 2,
        "encoder_blocks": 1,
        "encoder_kernel_size": 3,
        "feedforward_features": 8,
    },
    "mea": {
        "features": 8,
        "hidden_features": 6,
        "num_heads": 2,
        "encoder_blocks": 1,
        "kernel_size": 3,
        "feedforward_features": 8,
        "psa_layers": 2,
        "hca_layers": 1,
    },
    "late_fusion": {"hidden_features": 8, "head_features": 6, "encoder_blocks": 1, "encoder_kernel_size": 3},
    "early_fusion": {"hidden_features": 8, "head_features": 6, "encoder_blocks": 1, "encoder_kernel_size": 3},
    "mult": {"features": 4, "num_heads": 2, "cross_layers": 1, "memory_layers": 1},
    "misa": {"hidden_features": 8, "encoder_blocks": 1, "encoder_kernel_size": 3, "feedforward_features": 8},
}
NO_DROPOUT = {
    "rtil": dict.fromkeys(
        (
            "encoder_dropout",
            "fusion_dropout",
            "gate_dropout",
            "block_dropout",
            "block_attention_dropout",
            "head_dropout",
            "discriminator_dropout",
        ),
        0.0,
    ),
    "mea": dict.fromkeys(("encoder_dropout", "dropout", "head_dropout", "discriminator_dropout"), 0.0),
    "late_fusion": dict.fromkeys(("encoder_dropout", "head_dropout"), 0.0),
    "early_fusion": dict.fromkeys(("encoder_dropout", "head_dropout"), 0.0),
    "mult": dict.fromkeys(
        ("dropout", "feedforward_dropout", "attention_dropout", "embedding_dropout", "head_dropout"), 0.0
    ),
    "misa": dict.fromkeys(
        ("encoder_dropout", "fusion_dropout", "fusion_attention_dropout", "head_dropout", "discriminator_dropout"), 0.0
    ),
}
EXACT = {name: {**SMALL[name], **NO_DROPOUT[name]} for name in SMALL}
