"""The scores of an answer by name; how each is worked out stands in tune.evaluate.task."""

from enum import StrEnum


class Metric(StrEnum):
    """How an answer is scored, 0 to 1 for each example."""

    execution = "execution"
    """The query's result equals the right query's result."""

    exact_match = "exact_match"
    """The text equals the right answer after data.scoring.normalise is applied to both."""

    numeric = "numeric"
    """The last number of the reply equals the right one (the rule of GSM8K)."""

    token_f1 = "token_f1"  # noqa: S105 - tokens of a text
    """Words shared with the right answer: 2PR / (P + R), as SQuAD counts them."""

    rouge1 = "rouge1"
    rouge2 = "rouge2"
    rougeL = "rougeL"  # noqa: N815 - the field's name of it
    """F-measure of single words, of word pairs and of the longest common subsequence, from rouge-score, unstemmed."""

    bleu = "bleu"
    """BLEU of all replies together, as it is published (sacrebleu)."""

    sentence_bleu = "sentence_bleu"
    """Mean of each reply's own BLEU, smoothed; not comparable with published BLEU."""

    chrf = "chrf"
    """Mean of each reply's chrF2: character n-grams up to 6 (sacrebleu)."""

    accuracy = "accuracy"
    """The reply's label, of data.scoring.labels, is the right one."""

    macro_f1 = "macro_f1"
    """Mean over the labels that are right somewhere of their F1, so that rare labels count as much as frequent ones."""

    json_valid = "json_valid"
    """The reply, or its first fenced block, is JSON."""

    json_schema = "json_schema"
    """So it is, and fits data.scoring.json_schema."""

    regex = "regex"
    """data.scoring.regex is found in the reply."""

    code = "code"
    """The program passes its tests, which are run (rows of the layouts humaneval and mbpp)."""


OF_LABELS = (Metric.accuracy, Metric.macro_f1)
OF_ROUGE = (Metric.rouge1, Metric.rouge2, Metric.rougeL)
