"""Whether all that a trial reads has a place in a model with learned positions, before anything is trained."""

from collections.abc import Iterator

from tune.config.method import Method
from tune.config.schema import Config
from tune.data.tokens import TokenTable
from tune.errors import ConfigError
from tune.evaluate.harness import longest_request
from tune.evaluate.lm_scores import longest_asked
from tune.model.load import Base
from tune.model.positions import n_places
from tune.trial.general import corpus_tokens
from tune.trial.measure import validation_tokens
from tune.trial.prompts import prompt_tokens
from tune.trial.task import Task


def check_positions(config: Config, base: Base, task: Task, tokens: TokenTable) -> None:
    """Refuse a trial that would read beyond the model's last place, where torch ends with an index error.

    Args:
        config: The trial.
        base: Its model.
        task: What is scored.
        tokens: What is trained on.

    Raises:
        ConfigError: A text, with the virtual tokens before it, is longer than the model's positions.
    """
    limit = n_places(base.model)
    if limit is None:
        return
    n_virtual = config.lora.virtual_tokens if config.lora.method in {Method.prompt, Method.prefix} else 0
    for what, longest, way_out in _lengths(config, base, task, tokens, limit):
        if longest + n_virtual > limit:
            before = f", with lora.virtual_tokens={n_virtual} before it {longest + n_virtual}" if n_virtual else ""
            fewer = f"lora.virtual_tokens={limit - longest} or less, or " if limit - longest > 0 and n_virtual else ""
            msg = (
                f"{type(base.model).__name__} has learned positions for {limit} tokens and none beyond: {what} has "
                f"{longest} tokens{before}. Take {fewer}{way_out}, or a model without such a limit."
            )
            raise ConfigError(msg)


def _lengths(config: Config, base: Base, task: Task, tokens: TokenTable, limit: int) -> Iterator[tuple[str, int, str]]:
    """Yield what is read, how long the longest of it is in tokens, and how to make it shorter."""
    kept = tokens.lengths[tokens.lengths <= tokens.max_length]
    yield "the longest training example", int(kept.max()), f"a smaller train.max_length than {config.train.max_length}"
    asked = validation_tokens(base.tokenizer, task)
    yield "the longest validation example", max(len(one.ids) for one in asked), "shorter rows (data.clean.max_words)"
    # The last token of a reply is not read again.
    reply = max(one.n_prompt for one in asked) + config.data.max_new_tokens - 1
    yield "the longest validation question with its reply", reply, "a smaller data.max_new_tokens"
    evaluate = config.evaluate
    if task.prompts:
        prompt = max(len(one.ids) for one in prompt_tokens(base.tokenizer, config, task.prompts))
        reply = prompt + evaluate.prompts_max_new_tokens - 1
        yield "the longest of the fixed prompts with its reply", reply, "a smaller evaluate.prompts_max_tokens"
    if task.bank is not None:
        question = longest_request(base.tokenizer, task.bank, form=evaluate.form, n_shot=evaluate.n_shot)
        # lm-eval cuts what is longer than the model's context on the left, and knows nothing of virtual tokens.
        yield (
            "the longest knowledge question",
            min(question, limit),
            "a smaller evaluate.n_shot, or evaluate.general=none",
        )
    if task.lm_tasks:
        item = min(longest_asked(base.tokenizer, task.lm_tasks), limit)
        yield "the longest item of evaluate.tasks", item, "a task of shorter items"
    if task.corpus is not None:
        _, documents = corpus_tokens(base.tokenizer, task.corpus, most=evaluate.corpus_tokens)
        yield "the longest document of the corpus", max(map(len, documents)), "a smaller evaluate.corpus_tokens"
