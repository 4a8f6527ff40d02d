"""What is measured on the base and on the adapted model; part of the recipe (see tune.config.recipe)."""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from tune.config.code import CodeConfig
from tune.config.judge import JudgeConfig
from tune.config.sampling import SamplingConfig

EMBEDDED = "embedded"
"""Names what this project brings itself."""


class GeneralKnowledge(StrEnum):
    """What shows forgetting."""

    none = "none"
    probe = "probe"
    """Embedded questions of this project in the form of MMLU."""

    mmlu = "mmlu"
    """Measuring Massive Multitask Language Understanding, Hendrycks et al. 2021."""


class ChoiceForm(StrEnum):
    """How a multiple-choice question is put to the model."""

    letter = "letter"
    """The four choices are listed and the letters A to D are compared."""

    continuation = "continuation"
    """The texts of the four choices are compared as answers."""


@dataclass(kw_only=True, slots=True)
class EvaluateConfig:
    """What is measured on the base and on the adapted model, with the same questions."""

    general: GeneralKnowledge = GeneralKnowledge.probe
    """Knowledge questions that show forgetting: probe, mmlu or none."""

    mmlu_dir: str | None = None
    """Folder with dev/SUBJECT_dev.csv and test/SUBJECT_test.csv; without it the hub's cais/mmlu."""

    limit: int | None = None
    """Questions a subject, a fixed choice; null for all, or for evaluate.items. At least 1."""

    items: int | None = None
    """Questions in all, drawn from every subject in proportion to its size; not together with evaluate.limit. At least
    the number of subjects (57 of MMLU), at most all questions."""

    items_seed: int = 0
    """Draws which questions; the base and every trial are asked the same. At least 0."""

    finalists: int = 2
    """Best trials of a study that are scored once on the untouched test split, for its verdict; 0 for none."""

    finalists_full: bool = True
    """Ask the finalists everything: all questions, all items of evaluate.tasks, and the embedded prompts where
    evaluate.prompts names none. The corpus stays as it is."""

    n_shot: int = 0
    """Solved questions shown before each one. From 0 to 5 (the probe has 3)."""

    form: ChoiceForm = ChoiceForm.letter
    """How the choices are compared."""

    tasks: list[str] = field(default_factory=list)
    """Tasks, groups or tags of lm-eval that are scored too, each by its main metric: hellaswag, arc_easy, gsm8k …"""

    tasks_dir: str | None = None
    """Folder with lm-eval task files of one's own. They may name Python functions, and their templates compute, so it
    is code that runs here with your rights: it counts on the command line alone."""

    tasks_limit: int | None = 100
    """Items of each task, drawn by evaluate.items_seed; null, or more than there are, for all. At least 2."""

    perplexity: bool = True
    """Measure perplexity/domain on the held-out texts of the task."""

    corpus: str | None = None
    """Texts that perplexity/general is measured on: embedded (40 short ones of this project), a UTF-8 text file whose
    documents are divided by blank lines, the id of a hub data set, or null for none."""

    corpus_limit: int | None = 200
    """Most documents, drawn by evaluate.items_seed; null for all. At least 2."""

    corpus_tokens: int = 256
    """Tokens of a document that are read, from its beginning. At least 16."""

    corpus_subset: str | None = None
    """Configuration of a hub data set, for example wikitext-2-raw-v1."""

    corpus_split: str = "test"
    """Split of a hub data set."""

    corpus_column: str = "text"
    """Column of a hub data set that has the texts."""

    batch_size: int = 8
    """Sequences scored at once; fixed, because it changes scores slightly. At least 1."""

    generation_batch_size: int = 16
    """Replies generated at once. At least 1."""

    confidence: float = 0.95
    """Probability that an interval is meant to cover. Between 0.5 and 1."""

    code: CodeConfig = field(default_factory=CodeConfig)
    """Limits of the programs that the metric code runs."""

    judge: JudgeConfig = field(default_factory=JudgeConfig)
    """A language model that judges replies, for the command judge."""

    prompts: str | None = None
    """Fixed prompts that are answered before and after training: embedded, a file of one's own, or null for none.

    A file has a JSON object a line: id, kind, prompt and, where wanted, system. A refusal is wanted of the kind
    jailbreak and of no other. Prompts without a system message of their own get data.system.
    """

    prompts_max_new_tokens: int = 64
    """Longest reply to a prompt, in tokens. At least 1."""

    prompts_max_tokens: int = 960
    """Longest prompt with its chat template, in tokens; a longer one loses the middle of its text. At least 16."""

    metric: str | None = None
    """A metric of your own, FILE.py:FUNCTION; it is then `task/score`, before those of data.metrics.

    function(example: dict, reply: str) -> float or bool is called once a reply, in the trial's process and with your
    rights: only the command line may name it. The dictionary has id, messages (each with role and content), answer,
    label and extra. The file stands alone: it imports installed packages and nothing beside it.
    """

    sampling: SamplingConfig = field(default_factory=SamplingConfig)

    def for_finalists(self) -> "EvaluateConfig":
        """Return what a finalist is asked: with evaluate.finalists_full everything, else what trials are."""
        if not self.finalists_full:
            return self
        return replace(self, limit=None, items=None, tasks_limit=None, prompts=self.prompts or "embedded")
