"""The task: where its rows come from, what is taken out of them, how they are divided and written for the model.

Part of the recipe (see tune.config.recipe); ranges are checked in `tune.config.rules`.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from tune.config.metric import Metric
from tune.config.scoring import ScoringConfig


class DataFormat(StrEnum):
    """Where the rows come from."""

    text_to_sql = "text_to_sql"
    """Generated here, needs no file."""

    gsm8k = "gsm8k"
    """The published train.jsonl and test.jsonl of a folder."""

    banking77 = "banking77"
    """The published train.csv and test.csv of a folder."""

    files = "files"
    """Rows of your own: a file of JSON lines, JSON, CSV or Parquet, or a folder of them."""

    hub = "hub"
    """A data set of the Hugging Face hub, through `datasets`."""


class Layout(StrEnum):
    """What a row looks like."""

    auto = "auto"
    """Seen from the keys of the rows; one file has one layout."""

    messages = "messages"
    """ChatML: `messages`, a list of objects with role (system, user, assistant) and content."""

    alpaca = "alpaca"
    """`instruction`, `input` (may be missing or empty), `output`."""

    sharegpt = "sharegpt"
    """`conversations`, a list of objects with from (system, human, gpt) and value."""

    prompt_completion = "prompt_completion"
    """`prompt` and `completion`, each a text or a list of messages."""

    question_answer = "question_answer"
    """`question` and `answer`."""

    humaneval = "humaneval"
    """`prompt`, `entry_point`, `test` and `canonical_solution`: a function to complete, with its tests."""

    mbpp = "mbpp"
    """`text` or `prompt`, `test_list` and `code`: a function that is described, with its tests."""

    columns = "columns"
    """The columns that data.columns.question and data.columns.answer name."""


class Learn(StrEnum):
    """Which turns of the assistant the loss is taken on."""

    all = "all"
    last = "last"


class Script(StrEnum):
    """A writing system, by the first word of its letters' Unicode names."""

    latin = "latin"
    cyrillic = "cyrillic"
    greek = "greek"
    arabic = "arabic"
    hebrew = "hebrew"
    devanagari = "devanagari"
    cjk = "cjk"
    hiragana = "hiragana"
    hangul = "hangul"


@dataclass(kw_only=True, slots=True)
class ColumnsConfig:
    """Names of columns (keys of a row)."""

    question: str | None = None
    """What is asked, where the layout is `columns`."""

    answer: str | None = None
    """What should be said, where the layout is `columns`."""

    system: str | None = None
    """A system message, where the layout is `columns`; may be empty in a row."""

    label: str | None = None
    """A class: validation and test get their share of each, and data.balance may even them out."""

    group: str | None = None
    """Rows with the same value here are never divided between splits."""


@dataclass(kw_only=True, slots=True)
class CleanRowsConfig:
    """What is taken out of the rows before they are divided; each is counted and shown with examples.

    Not used by data=text_to_sql, whose rows are generated clean. A published test file is never cleaned.
    """

    exact_duplicates: bool = True
    """Rows that say the same after white space, case and Unicode form are folded: one stays."""

    near_duplicates: bool = True
    """Rows that say nearly the same: one stays. Where they are kept, they are never divided between splits."""

    similarity: float = 0.9
    """Least share of words that two texts of 12 words or more have in common, in their order, to be near-duplicates;
    two words may always differ. Shorter texts are near only where their words are equal. Above 0, at most 1."""

    ngram: int = 2
    """Length, in words, of the n-grams that MinHash looks for candidates with. At least 1."""

    empty_answers: bool = True
    """Rows whose answer is white space alone."""

    repeated_prompts: bool = True
    """Rows whose answer says the question again."""

    broken_text: bool = True
    """Rows with control characters, U+FFFD or half of a surrogate pair."""

    chat_marks: bool = True
    """Rows whose text holds marks of a chat template (<|im_start|>, [INST]), as those have that were written by one
    before: the model would take them for turns."""

    min_words: int | None = None
    """Rows with fewer words in question and answer; null: no limit. At least 1."""

    max_words: int | None = None
    """Rows with more words in question and answer; null: no limit. At least 1."""

    script: Script | None = None
    """Rows with fewer than half of their letters in this script; null: any script."""


class Balance(StrEnum):
    """What is done about classes of unequal size."""

    none = "none"
    cap = "cap"
    """No class has more than data.balance.cap training rows."""

    resample = "resample"
    """Every class has as many training rows as the largest, some of them several times."""


@dataclass(kw_only=True, slots=True)
class BalanceConfig:
    """Evening out the classes of the training rows; validation and test stay as they are."""

    how: Balance = Balance.none
    """none, cap or resample."""

    column: str | None = None
    """The classes' column; null: data.columns.label."""

    cap: int | None = None
    """Most training rows of a class. At least 1."""


@dataclass(kw_only=True, slots=True)
class MixConfig:
    """General rows added to the training rows against forgetting; published advice is a share of 0.1 to 0.2."""

    path: str | None = None
    """A file or folder of rows, read as data.format=files reads them."""

    layout: Layout = Layout.auto
    """What a row of it looks like."""

    share: float = 0.0
    """Share of the training rows that is of the mix, from 0 to 1."""


@dataclass(kw_only=True, slots=True)
class DataConfig:
    """What is trained on and what is asked."""

    format: DataFormat = DataFormat.text_to_sql
    """Where the rows come from."""

    path: str | None = None
    """File or folder of the rows, or the id of a hub data set; not used by text_to_sql."""

    subset: str | None = None
    """Configuration of a hub data set."""

    split: str = "train"
    """Split of a hub data set that the rows are taken from."""

    revision: str | None = None
    """Commit or tag of a hub data set; without it the newest."""

    layout: Layout = Layout.auto
    """What a row looks like."""

    columns: ColumnsConfig = field(default_factory=ColumnsConfig)
    clean: CleanRowsConfig = field(default_factory=CleanRowsConfig)
    balance: BalanceConfig = field(default_factory=BalanceConfig)
    mix: MixConfig = field(default_factory=MixConfig)

    validation: float | None = None
    """Share (below 1) or number of the rows held out for the search; null: 0.2 of up to 1,000 rows, 0.1 of up to
    10,000, 0.05 of more."""

    test: float | None = None
    """Share (below 1) or number of the rows never seen by the search; null: as for validation. Not used where the
    data set has a test file of its own."""

    n_train: int | None = 160
    """Most examples to train on; null for all. At least 1."""

    n_validation: int | None = 64
    """Most examples of the validation split that trials are scored on; null for all. At least 2."""

    n_test: int | None = 64
    """Most examples of the test split; null for all. At least 0."""

    leaks: bool = True
    """Take training rows out that stand, word for word or nearly, in validation, test or the knowledge questions."""

    leak_ngram: int = 13
    """So many words in a row that two texts share make a leak. At least 4."""

    seed: int = 0
    """Draws the examples and the split; the trial's own seed is `seed`, so that trials share their data."""

    system: str | None = None
    """System message put before every chat that has none."""

    template: str | None = None
    """Chat template: chatml, llama3, alpaca, plain, or a file; null: the model's own."""

    learn: Learn = Learn.all
    """Which turns of the assistant are learned: all or last."""

    metrics: list[Metric] = field(default_factory=lambda: [Metric.exact_match])
    """Scores of an answer; the first one is `task/score`."""

    scoring: ScoringConfig = field(default_factory=ScoringConfig)

    max_new_tokens: int = 64
    """Longest reply that is generated, in tokens. At least 1."""

    stop: list[str] = field(default_factory=list)
    """A reply ends before the first of these texts, wherever it stands in it."""
