"""The optimizers, by the names that users know them by."""

from enum import StrEnum


class Optimizer(StrEnum):
    """What turns gradients into steps."""

    adamw = "adamw"
    """Two moments of 32 bits. Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101."""

    adamw_8bit = "adamw_8bit"
    """AdamW with moments of eight bits and a constant a block of 256; tensors below 4096 numbers keep 32 bits.

    Dettmers et al. 2022, https://arxiv.org/abs/2110.02861.
    """

    paged_adamw_32bit = "paged_adamw_32bit"
    """AdamW whose moments move to the processor's memory while the GPU's is short.

    Dettmers et al. 2023, https://arxiv.org/abs/2305.14314, section 3.
    """

    paged_adamw_8bit = "paged_adamw_8bit"
    """Both."""

    adafactor = "adafactor"
    """The second moment as one row and one column a matrix, no first moment; the rate is the trial's.

    Shazeer and Stern 2018, https://arxiv.org/abs/1804.04235.
    """

    sgd = "sgd"
    """Plain gradient descent, with `train.momentum`; it wants rates a hundred times those of AdamW."""

    galore = "galore"
    """AdamW on each linear layer's gradient as its largest singular directions, `train.galore_rank` of them, see it.

    Zhao et al. 2024, https://arxiv.org/abs/2403.03507.
    """

    @property
    def is_paged(self) -> bool:
        """Return whether its moments move between a GPU and the processor, so that it needs a GPU."""
        return self in {Optimizer.paged_adamw_32bit, Optimizer.paged_adamw_8bit}
