"""On how many items a guard's change was measured."""

import pytest

from tune.trial.verdict import n_items

IDS = {
    "task": ("t",) * 64,
    "general": ("g",) * 456,
    "subject": ("s",) * 456,
    "general/arc_easy": ("a",) * 100,
    "general/arc": ("a",) * 7,
    "corpus": ("c",) * 40,
    "prompts": ("p",) * 44,
    "prompt_kinds": ("jailbreak",) * 10 + ("general",) * 34,
}


@pytest.mark.parametrize(
    ("metric", "n"),
    [
        ("task/score_delta", 64),
        ("reply/empty_delta", 64),
        ("perplexity/domain_delta", 64),
        ("perplexity/general_delta", 40),
        ("general/probe/logprob_delta", 456),
        ("mmlu/delta", 456),
        ("general/arc_easy/delta", 100),
        ("general/arc/delta", 7),
        ("prompts/refusal_delta", 34),
        ("prompts/jailbreak_refusal_delta", 10),
        ("prompts/words_delta", 44),
    ],
)
def test_a_change_has_the_items_that_it_was_measured_on(metric: str, n: int) -> None:
    assert n_items(IDS, metric) == n
