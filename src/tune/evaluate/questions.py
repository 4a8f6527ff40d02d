"""The multiple-choice questions that show what a model forgot, from a folder, the package or the hub.

Nothing here needs torch, so a broken folder is refused before a model is loaded.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tune.errors import ConfigError, EvaluationError
from tune.evaluate.question_rows import COLUMNS, LAYOUT, PROBE_COLUMNS, WAYS_OUT, read_rows

PROBE = Path(__file__).with_name("probe.csv")
# The configurations of the hub's cais/mmlu, which is also what the files of a local copy are called.
SUBJECTS = tuple(
    """abstract_algebra anatomy astronomy business_ethics clinical_knowledge college_biology college_chemistry
    college_computer_science college_mathematics college_medicine college_physics computer_security
    conceptual_physics econometrics electrical_engineering elementary_mathematics formal_logic global_facts
    high_school_biology high_school_chemistry high_school_computer_science high_school_european_history
    high_school_geography high_school_government_and_politics high_school_macroeconomics high_school_mathematics
    high_school_microeconomics high_school_physics high_school_psychology high_school_statistics
    high_school_us_history high_school_world_history human_aging human_sexuality international_law jurisprudence
    logical_fallacies machine_learning management marketing medical_genetics miscellaneous moral_disputes
    moral_scenarios nutrition philosophy prehistory professional_accounting professional_law
    professional_medicine professional_psychology public_relations security_studies sociology us_foreign_policy
    virology world_religions""".split()  # noqa: SIM905 - 57 quoted lines would say no more
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A question with four choices, one of them right."""

    id: str
    """Subject and row, counted from 0 in the whole file whatever the limit, for example anatomy/17."""

    subject: str
    """For example high_school_physics; questions of one subject are a cluster."""

    text: str
    choices: tuple[str, str, str, str]

    answer: int
    """Which choice is right, 0 to 3."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QuestionBank:
    """The questions that every model of a study is asked."""

    name: str
    """Prefix of the metrics: mmlu, or general/probe."""

    test: tuple[Question, ...]
    """What is asked, subject by subject."""

    shots: Mapping[str, tuple[Question, ...]]
    """Solved questions of each subject that may be shown first; never asked."""

    digest: str
    """SHA-256 of the questions asked and the solved ones, for fingerprints."""


def read_mmlu(folder: Path, *, limit: int | None) -> QuestionBank:
    """Return the questions of a folder with dev/SUBJECT_dev.csv and test/SUBJECT_test.csv.

    Args:
        folder: Holds `dev` and `test`; any number of subjects, each with both files.
        limit: Questions a subject, chosen by `choose`; None for all.

    Raises:
        ConfigError: The folder or one of its files is missing.
        DataError: A file is not UTF-8, empty, or has a row that is no question.

    Source: Hendrycks et al. 2021, https://arxiv.org/abs/2009.03300 (five solved questions a subject).
    """
    test: list[Question] = []
    shots: dict[str, tuple[Question, ...]] = {}
    for subject in _subjects(folder):
        dev_rows = read_rows(folder / "dev" / f"{subject}_dev.csv", COLUMNS, key="evaluate.mmlu_dir")
        test_rows = read_rows(folder / "test" / f"{subject}_test.csv", COLUMNS, key="evaluate.mmlu_dir")
        shots[subject] = tuple(_question(row, subject, f"dev{i}") for i, row in enumerate(dev_rows))
        test += choose([_question(row, subject, i) for i, row in enumerate(test_rows)], limit)
    return make_bank("mmlu", test, shots)


def read_probe(*, limit: int | None, file: Path = PROBE) -> QuestionBank:
    """Return the embedded questions of this project, which need neither a hub nor a folder.

    Args:
        limit: Questions a subject, chosen by `choose`; None for all.
        file: One CSV file of all subjects, with the columns subject and split before MMLU's.

    Raises:
        DataError: The file has been damaged.
    """
    test: dict[str, list[Question]] = {}
    shots: dict[str, list[Question]] = {}
    for row in read_rows(file, PROBE_COLUMNS, key="evaluate.general=probe"):
        subject, is_shot = row["subject"], row["split"] == "dev"
        kept = (shots if is_shot else test).setdefault(subject, [])
        kept.append(_question(row, subject, f"dev{len(kept)}" if is_shot else len(kept)))
    chosen = [question for subject in sorted(test) for question in choose(test[subject], limit)]
    return make_bank("general/probe", chosen, {subject: tuple(shots.get(subject, ())) for subject in sorted(test)})


def read_hub_mmlu(*, limit: int | None, source: str = "cais/mmlu", subjects: Sequence[str] = SUBJECTS) -> QuestionBank:
    """Return MMLU's questions from the Hugging Face hub, or from its local cache when they are there.

    Args:
        limit: Questions a subject, chosen by `choose`; None for all.
        source: The hub's data set, or a folder laid out like it.
        subjects: Which of its configurations to ask.

    Raises:
        EvaluationError: The hub cannot be reached and the cache does not have the set.
    """
    import datasets

    test: list[Question] = []
    shots: dict[str, tuple[Question, ...]] = {}
    for subject in subjects:
        try:
            splits = datasets.load_dataset(source, subject)
        except Exception as error:  # datasets, its hub client and httpx share no kind of error
            msg = f"evaluate.general=mmlu reads {source} from the hub, which failed for {subject}: {error}. {WAYS_OUT}"
            raise EvaluationError(msg) from error
        shots[subject] = tuple(_question(_flat(row), subject, f"dev{i}") for i, row in enumerate(splits["dev"]))
        test += choose([_question(_flat(row), subject, i) for i, row in enumerate(splits["test"])], limit)
    return make_bank("mmlu", test, shots)


def choose(questions: Sequence[Question], limit: int | None) -> list[Question]:
    """Return a fixed choice of one subject's questions, in the order they came.

    MMLU's files can be sorted by source, so the first rows are no fair sample. Each question draws a
    number from its own text (SHA-256) and the smallest are taken: the choice is the same on every
    machine and for every order of the file, and a larger limit only adds questions to a smaller one.

    Args:
        questions: All questions of a subject.
        limit: How many to keep; None, or more than there are, keeps all.
    """
    if limit is None:
        return list(questions)
    drawn = sorted(range(len(questions)), key=lambda i: (_draw(questions[i]), i))[:limit]
    return [questions[i] for i in sorted(drawn)]


def check_shots(bank: QuestionBank, n_shot: int) -> None:
    """Refuse more solved questions than every asked subject has.

    Raises:
        ConfigError: Some subject has fewer than `n_shot` solved questions.
    """
    for subject in sorted({question.subject for question in bank.test}):
        there = len(bank.shots.get(subject, ()))
        if there < n_shot:
            msg = (
                f"evaluate.n_shot={n_shot} is more than {bank.name} has: {subject} has {there} solved questions. "
                f"Set evaluate.n_shot to {there} or less."
            )
            raise ConfigError(msg)


def _subjects(folder: Path) -> list[str]:
    """Return the subjects of a folder by name, each of which has both files."""
    found = {split: {file.name for file in (folder / split).glob(f"*_{split}.csv")} for split in ("dev", "test")}
    names = {name.removesuffix(f"_{split}.csv") for split, files in found.items() for name in files}
    wanted = [folder / split / f"{subject}_{split}.csv" for subject in sorted(names) for split in ("dev", "test")]
    for file in wanted or [folder / "test" / f"{SUBJECTS[0]}_test.csv"]:
        if not file.is_file():
            msg = (
                f"evaluate.mmlu_dir={folder} has no {file.relative_to(folder)}. "
                f"It must hold {LAYOUT} for each subject. {WAYS_OUT}"
            )
            raise ConfigError(msg)
    return sorted(names)


def _question(row: Mapping[str, Any], subject: str, place: int | str) -> Question:
    choices = (row["choice0"], row["choice1"], row["choice2"], row["choice3"])
    return Question(
        id=f"{subject}/{place}", subject=subject, text=row["question"], choices=choices, answer=int(row["answer"])
    )


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of the hub's under the column names of the files."""
    return dict(zip(COLUMNS, [row["question"], *row["choices"], row["answer"]], strict=True))


def _draw(question: Question) -> bytes:
    content = json.dumps([question.subject, question.text, question.choices])
    return hashlib.sha256(content.encode()).digest()


def make_bank(name: str, test: Iterable[Question], shots: Mapping[str, tuple[Question, ...]]) -> QuestionBank:
    """Return a bank with its digest."""
    asked = tuple(test)
    content = [[asdict(q) for q in asked], {subject: [asdict(q) for q in solved] for subject, solved in shots.items()}]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return QuestionBank(name=name, test=asked, shots=shots, digest=digest)
