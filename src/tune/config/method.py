"""The ways to train a low-rank update, by the names that their papers gave them."""

from enum import StrEnum

RATE_FACTOR = "rate_factor"
"""Attribute that a method may set on a parameter: by how much its learning rate is above the trial's."""


class Method(StrEnum):
    """How the update is begun, scaled or trained."""

    lora = "lora"
    """A random, B zero, scale alpha / rank. Hu et al. 2021, https://arxiv.org/abs/2106.09685."""

    rslora = "rslora"
    """Scale alpha / sqrt(rank), so that a larger rank does not learn more slowly.

    Kalajdzievski 2023, https://arxiv.org/abs/2312.03732.
    """

    dora = "dora"
    """Norm and direction of each output's weights are learned apart; the norm is a vector of its own.

    Liu et al. 2024, https://arxiv.org/abs/2402.09353.
    """

    pissa = "pissa"
    """A and B begin as the principal singular directions of the weights, and what is left is frozen.

    Meng et al. 2024, https://arxiv.org/abs/2404.02948.
    """

    olora = "olora"
    """A and B begin as the first rows of R and columns of Q of the weights' QR decomposition.

    Buyukakyuz 2024, https://arxiv.org/abs/2406.01775.
    """

    lora_plus = "lora_plus"
    """B learns at a rate `lora.plus_ratio` times A's.

    Hayou et al. 2024, https://arxiv.org/abs/2402.12354.
    """

    spectrum = "spectrum"
    """Plain LoRA on the layers whose weights have the highest signal-to-noise ratio, `lora.spectrum_share` of them.

    Hartford et al. 2024, https://arxiv.org/abs/2406.06623.
    """

    prompt = "prompt"
    """Embeddings of `lora.virtual_tokens` virtual tokens before every text are trained.

    Lester et al. 2021, https://arxiv.org/abs/2104.08691.
    """

    prefix = "prefix"
    """Keys and values of virtual tokens, in every block, are trained.

    Li and Liang 2021, https://arxiv.org/abs/2101.00190.
    """

    full = "full"
    """No adapter: all the model's own weights are trained, in float32."""

    adalora = "adalora"
    """Layers begin with `lora.initial_rank` directions and keep the most important ones, `lora.rank` on average.

    Zhang et al. 2023, https://arxiv.org/abs/2303.10512.
    """

    vera = "vera"
    """A and B are random, frozen and shared by all layers; two vectors a layer are learned.

    Kopiczko et al. 2023, https://arxiv.org/abs/2310.11454.
    """

    loftq = "loftq"
    """A and B begin as the best correction of what four bits did to the weights.

    Li et al. 2023, https://arxiv.org/abs/2310.08659.
    """

    eva = "eva"
    """A begins as the principal directions of the layers' inputs, and layers share the ranks by what those explain.

    Paischer et al. 2024, https://arxiv.org/abs/2410.07170.
    """


class Bias(StrEnum):
    """Which of the base's biases are trained beside an adapter."""

    none = "none"
    all = "all"
    """Every one in the model, those of norms too."""

    lora_only = "lora_only"
    """Those of the adapted layers."""


BEGUN_FROM_WEIGHTS = frozenset({Method.pissa, Method.olora})
"""Methods whose A and B are a part of the base's weights, which is taken out of them."""

WITHOUT_LAYERS = frozenset({Method.full, Method.prompt, Method.prefix})
"""Methods that put nothing around chosen layers, so that nothing has a rank."""

ONE_RANK = BEGUN_FROM_WEIGHTS | {Method.adalora, Method.vera, Method.eva}
"""Methods for which single layers cannot be given ranks of their own."""
