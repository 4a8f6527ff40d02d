"""Our scores of multiple-choice questions against lm-eval's own, on real MMLU items and a tiny random model."""

import csv
import json
import logging
import math
import subprocess
import sys
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForCausalLM,
    BitsAndBytesConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from tune.config.evaluation import ChoiceForm
from tune.errors import ConfigError, Diverged
from tune.evaluate import harness
from tune.evaluate.harness import ChoiceScores, score_choices
from tune.evaluate.questions import SUBJECTS, Question, QuestionBank, read_mmlu

# PEFT 0.21 asks transformers 5.23 under the old name of activation checkpointing.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

SUBJECTS_ASKED = ("anatomy", "college_computer_science", "world_religions")
BOTH = (ChoiceForm.letter, ChoiceForm.continuation)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE of 384 tokens that puts <s> first, as Llama's does, and has no padding token."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    special = ["<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=384,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    lines = ["The following are multiple choice questions (with answers) about anatomy.", "Answer: A B C D"]
    bpe.train_from_iterator(lines * 20, trainer)
    bpe.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>")


def tiny_llama(tokenizer: PreTrainedTokenizerFast, *, context: int = 8192, hidden: int = 32) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=context,
        initializer_range=0.3,  # spreads the logits, so that the four choices differ
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="module")
def llama(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    return tiny_llama(tokenizer)


@pytest.fixture
def adapted(llama: LlamaForCausalLM) -> Any:
    """A PEFT model around a copy, with an adapter that does something."""
    torch.manual_seed(1)
    model = get_peft_model(deepcopy(llama), LoraConfig(r=4, target_modules="all-linear", lora_dropout=0.5))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    return model


def bank_of(*questions: Question, shots: Sequence[Question] = ()) -> QuestionBank:
    by_subject = {question.subject: tuple(s for s in shots if s.subject == question.subject) for question in questions}
    return QuestionBank(name="mmlu", test=questions, shots=by_subject, digest="")


def question(text: str, *choices: str, answer: int = 0, subject: str = "anatomy", row: int = 0) -> Question:
    first, second, third, fourth = choices
    return Question(
        id=f"{subject}/{row}", subject=subject, text=text, choices=(first, second, third, fourth), answer=answer
    )


SUMS = bank_of(
    question("1 + 1 = ?", "1", "2", "3", "11", answer=1),
    question("Which bone is longest?", "The femur", "The stapes", "The ulna", "The tibia", answer=0, row=1),
    question("2 + 2 = ?", "1", "2", "3", "4", answer=3, subject="elementary_mathematics"),
    shots=[question("0 + 1 = ?", "1", "2", "3", "4"), question("1 + 0 = ?", "1", "2", "3", "4")],
)


@dataclass(frozen=True)
class Reference:
    """What lm-eval's own path made of the questions of each subject."""

    prompts: list[tuple[str, str]]
    logprobs: np.ndarray
    acc: np.ndarray
    acc_norm: np.ndarray | None


def write_rows(folder: Path, shared_data: Path, subject: str, kept: Sequence[int]) -> dict[str, str]:
    """Write real rows under the hub's column names, and return the files, read with nothing of ours."""
    files = {}
    for split in ("dev", "test"):
        with (shared_data / f"mmlu/{split}/{subject}_{split}.csv").open(encoding="utf-8", newline="") as source:
            rows = [
                {
                    "question": row["question"],
                    "subject": subject,
                    "choices": [row[f"choice{i}"] for i in range(4)],
                    "answer": int(row["answer"]),
                }
                for row in csv.DictReader(source)
            ]
        chosen = rows if split == "dev" else [rows[i] for i in kept]
        file = folder / f"{subject}_{split}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in chosen), encoding="utf-8")
        files[split] = str(file)
    return files


def lm_evals_own(model: Any, tokenizer: Any, tasks_dir: Path, *, n_shot: int, batch_size: int) -> Reference:
    """Run lm-eval's TaskManager, tasks, `hf` model and evaluator, as its command line does."""
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=tasks_dir, include_defaults=False)
    loaded = manager.load(manager.all_subtasks)
    for task in loaded["tasks"].values():
        task.set_config(key="num_fewshot", value=n_shot)
        task.set_fewshot_seed(seed=1234)
    reader = HFLM(pretrained=model, tokenizer=deepcopy(tokenizer), batch_size=batch_size)
    samples = evaluate(lm=reader, task_dict=loaded, bootstrap_iters=0, log_samples=True)["samples"]
    rows = [row for name in sorted(samples) for row in sorted(samples[name], key=lambda row: row["doc_id"])]
    answers = [[answer[0][0] for answer in row["resps"]] for row in rows]
    return Reference(
        prompts=[tuple(arguments) for row in rows for arguments in row["arguments"]],
        logprobs=np.array(answers, dtype=np.float64),
        acc=np.array([row["acc"] for row in rows]),
        acc_norm=np.array([row["acc_norm"] for row in rows]) if "acc_norm" in rows[0] else None,
    )


def redirected_tasks(folder: Path, shared_data: Path, bank: QuestionBank, form: ChoiceForm) -> Path:
    """Write one task file a subject: lm-eval's own definition, with the data set redirected to local rows."""
    import lm_eval.tasks

    own = Path(lm_eval.tasks.__file__).parent / "mmlu" / ("default" if form is ChoiceForm.letter else "continuation")
    for subject in SUBJECTS_ASKED:
        kept = [int(asked.id.split("/")[1]) for asked in bank.test if asked.subject == subject]
        files = write_rows(folder, shared_data, subject, kept)
        lines = [
            f"include: {own / f'mmlu_{subject}.yaml'}",
            "dataset_path: json",
            "dataset_name: null",
            f"dataset_kwargs: {json.dumps({'data_files': files})}",
        ]
        (folder / f"{subject}.yaml").write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def real_bank(shared_data: Path) -> QuestionBank:
    whole = read_mmlu(shared_data / "mmlu", limit=5)
    asked = tuple(question for question in whole.test if question.subject in SUBJECTS_ASKED)
    return QuestionBank(name="mmlu", test=asked, shots=whole.shots, digest=whole.digest)


def assert_same(ours: ChoiceScores, theirs: Reference) -> None:
    np.testing.assert_allclose(ours.logprobs, theirs.logprobs, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(ours.correct, theirs.acc)
    if theirs.acc_norm is None:
        assert ours.correct_norm is None
    else:
        assert ours.correct_norm is not None
        np.testing.assert_array_equal(ours.correct_norm, theirs.acc_norm)


@pytest.mark.parametrize("n_shot", [0, 5])
@pytest.mark.parametrize("form", BOTH)
def test_prompts_scores_and_accuracies_are_those_of_lm_eval(  # noqa: PLR0913, PLR0917 - fixtures
    llama: Any,
    tokenizer: Any,
    real_bank: QuestionBank,
    shared_data: Path,
    tmp_path: Path,
    form: ChoiceForm,
    n_shot: int,
) -> None:
    tasks_dir = redirected_tasks(tmp_path, shared_data, real_bank, form)
    theirs = lm_evals_own(llama, tokenizer, tasks_dir, n_shot=n_shot, batch_size=4)

    ours = score_choices(llama, tokenizer, real_bank, form=form, n_shot=n_shot, batch_size=4)

    assert_same(ours, theirs)
    assert len(theirs.acc) == 15
    assert 0 < theirs.acc.sum() < 15, "a model that is always right or always wrong would hide a mix-up"
    tasks = harness._tasks(real_bank, form)
    prompts = [tuple(r.args) for asked in real_bank.test for r in harness._requests(tasks, asked, n_shot)]
    assert prompts == theirs.prompts


def test_an_adapted_model_is_scored_as_lm_eval_scores_it(
    adapted: Any, tokenizer: Any, real_bank: QuestionBank, shared_data: Path, tmp_path: Path
) -> None:
    tasks_dir = redirected_tasks(tmp_path, shared_data, real_bank, ChoiceForm.letter)
    adapted.train()  # dropout of one half would show

    ours = score_choices(adapted, tokenizer, real_bank, form=ChoiceForm.letter, n_shot=0, batch_size=4)

    assert_same(ours, lm_evals_own(adapted, tokenizer, tasks_dir, n_shot=0, batch_size=4))


def test_an_adapter_moves_the_scores_and_without_it_they_are_the_bases(
    llama: Any, adapted: Any, tokenizer: Any
) -> None:
    base = score_choices(llama, tokenizer, SUMS, form=ChoiceForm.letter, n_shot=0, batch_size=4)
    tuned = score_choices(adapted, tokenizer, SUMS, form=ChoiceForm.letter, n_shot=0, batch_size=4)
    with adapted.disable_adapter():
        again = score_choices(adapted, tokenizer, SUMS, form=ChoiceForm.letter, n_shot=0, batch_size=4)

    assert np.abs(tuned.logprobs - base.logprobs).max() > 0.01
    np.testing.assert_allclose(again.logprobs, base.logprobs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("form", BOTH)
def test_a_model_without_preferences_scores_minus_log_vocabulary_a_token(tokenizer: Any, form: ChoiceForm) -> None:
    model = tiny_llama(tokenizer)
    torch.nn.init.zeros_(model.lm_head.weight)  # tied, so all embeddings are zero: every token is equally likely

    scores = score_choices(model, tokenizer, SUMS, form=form, n_shot=0, batch_size=4)

    listed = [list("ABCD")] * 3 if form is ChoiceForm.letter else [asked.choices for asked in SUMS.test]
    tokens = [[len(tokenizer.encode(f" {text}", add_special_tokens=False)) for text in row] for row in listed]
    by_hand = -math.log(len(tokenizer)) * np.array(tokens)  # (3, 4)
    np.testing.assert_allclose(scores.logprobs, by_hand, rtol=1e-6)
    np.testing.assert_allclose(scores.right_logprob, by_hand[[0, 1, 2], [1, 0, 3]], rtol=1e-6)
    assert scores.correct.tolist() == [0.0, 1.0, 0.0], "of equal choices the first one wins, as in lm-eval"


@pytest.mark.parametrize("form", BOTH)
def test_the_most_probable_choice_decides_what_is_correct(llama: Any, tokenizer: Any, form: ChoiceForm) -> None:
    scores = score_choices(llama, tokenizer, SUMS, form=form, n_shot=0, batch_size=2)

    answers = np.array([asked.answer for asked in SUMS.test])
    assert scores.ids == ("anatomy/0", "anatomy/1", "elementary_mathematics/0")
    assert scores.subjects == ("anatomy", "anatomy", "elementary_mathematics")
    np.testing.assert_array_equal(scores.correct, scores.logprobs.argmax(axis=1) == answers)
    np.testing.assert_array_equal(scores.right_logprob, scores.logprobs[[0, 1, 2], answers])
    if form is ChoiceForm.continuation:
        lengths = np.array([[len(choice) for choice in asked.choices] for asked in SUMS.test])
        np.testing.assert_array_equal(scores.correct_norm, (scores.logprobs / lengths).argmax(axis=1) == answers)


def test_questions_come_back_in_the_order_of_the_bank(llama: Any, tokenizer: Any) -> None:
    backwards = QuestionBank(name="mmlu", test=SUMS.test[::-1], shots=SUMS.shots, digest="")

    straight = score_choices(llama, tokenizer, SUMS, form=ChoiceForm.letter, n_shot=0, batch_size=2)
    turned = score_choices(llama, tokenizer, backwards, form=ChoiceForm.letter, n_shot=0, batch_size=2)

    assert turned.ids == straight.ids[::-1]
    np.testing.assert_allclose(turned.logprobs, straight.logprobs[::-1], rtol=0, atol=1e-6)


def test_the_model_and_the_tokenizer_stay_as_they_were(adapted: Any, tokenizer: Any) -> None:
    adapted.train()
    adapted.base_model.model.model.layers[0].eval()
    modes = [module.training for module in adapted.modules()]
    weights = [(name, w.data_ptr(), w.requires_grad, w.clone()) for name, w in adapted.named_parameters()]

    score_choices(adapted, tokenizer, SUMS, form=ChoiceForm.letter, n_shot=0, batch_size=2)

    assert [module.training for module in adapted.modules()] == modes
    for (name, place, has_grad, before), (now_name, now) in zip(weights, adapted.named_parameters(), strict=True):
        assert (name, place, has_grad) == (now_name, now.data_ptr(), now.requires_grad)
        assert torch.equal(before, now)
    assert tokenizer.pad_token_id is None


def test_an_output_layer_that_was_untied_stays_untied(tokenizer: Any) -> None:
    model = tiny_llama(tokenizer)  # its configuration says tied, as it does after an adapted output layer is merged
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().flip(0).clone())
    own = model.lm_head.weight

    score_choices(model, tokenizer, SUMS, form=ChoiceForm.letter, n_shot=0, batch_size=2)

    assert model.lm_head.weight is own
    assert model.lm_head.weight is not model.model.embed_tokens.weight


def test_the_modes_come_back_after_a_failure(llama: Any, tokenizer: Any) -> None:
    model = deepcopy(llama).train()
    torch.nn.init.constant_(model.model.norm.weight, math.nan)

    with pytest.raises(Diverged, match="mmlu: the log-probabilities of 3 of 3 questions are NaN or infinite"):
        score_choices(model, tokenizer, SUMS, form=ChoiceForm.letter, n_shot=0, batch_size=2)

    assert all(module.training for module in model.modules())


def test_progress_rises_to_all_questions(llama: Any, tokenizer: Any, real_bank: QuestionBank) -> None:
    for form in BOTH:
        heard: list[tuple[int, int]] = []

        score_choices(
            llama,
            tokenizer,
            real_bank,
            form=form,
            n_shot=0,
            batch_size=4,
            on_progress=lambda done, total, heard=heard: heard.append((done, total)),
        )

        assert heard == [(done, 15) for done in range(1, 16)]


def test_nothing_is_printed_or_logged(
    llama: Any, tokenizer: Any, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    score_choices(llama, tokenizer, SUMS, form=ChoiceForm.continuation, n_shot=0, batch_size=2)

    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_lm_eval_itself_is_left_as_it_was(llama: Any, tokenizer: Any) -> None:
    from lm_eval.utils import env

    logging.getLogger("lm_eval").setLevel(logging.INFO)

    score_choices(llama, tokenizer, SUMS, form=ChoiceForm.letter, n_shot=0, batch_size=2)

    assert "from_string" not in vars(env), "the method of its class is in force"
    assert logging.getLogger("lm_eval").level == logging.INFO
    logging.getLogger("lm_eval").setLevel(logging.NOTSET)


def test_prompts_longer_than_the_models_context_are_counted(tokenizer: Any) -> None:
    long_text = question("word " * 200, "a", "b", "c", "d", row=9)
    bank = bank_of(*SUMS.test, long_text)

    cut = score_choices(
        tiny_llama(tokenizer, context=600), tokenizer, bank, form=ChoiceForm.letter, n_shot=0, batch_size=2
    )
    whole = score_choices(
        tiny_llama(tokenizer, context=8192), tokenizer, bank, form=ChoiceForm.letter, n_shot=0, batch_size=2
    )

    assert (cut.n_truncated, whole.n_truncated) == (1, 0)


def test_the_first_token_too_many_counts_as_truncated(tokenizer: Any) -> None:
    bank = bank_of(SUMS.test[0])
    prompt = harness._requests(harness._tasks(bank, ChoiceForm.letter), bank.test[0], 0)[0].args[0]
    n_read = len(tokenizer.encode(prompt))  # " A" is one token, which is predicted and not read

    fits = score_choices(
        tiny_llama(tokenizer, context=n_read), tokenizer, bank, form=ChoiceForm.letter, n_shot=0, batch_size=1
    )
    cut = score_choices(
        tiny_llama(tokenizer, context=n_read - 1), tokenizer, bank, form=ChoiceForm.letter, n_shot=0, batch_size=1
    )

    assert (fits.n_truncated, cut.n_truncated) == (0, 1)


def test_more_shots_than_there_are_is_refused_before_the_model_is_touched(tokenizer: Any) -> None:
    with pytest.raises(ConfigError, match=r"evaluate\.n_shot=3 is more than mmlu has: anatomy has 2 solved questions"):
        score_choices(None, tokenizer, SUMS, form=ChoiceForm.letter, n_shot=3, batch_size=1)


def test_a_subject_outside_mmlu_gets_the_same_prompt_with_its_own_name() -> None:
    asked = question("Why?", "a", "b", "c", "d", subject="marine_biology")
    bank = bank_of(asked)

    letter = harness._requests(harness._tasks(bank, ChoiceForm.letter), asked, 0)
    continuation = harness._requests(harness._tasks(bank, ChoiceForm.continuation), asked, 0)

    about = "(with answers) about marine biology.\n\n"
    assert (
        letter[0].args[0] == f"The following are multiple choice questions {about}Why?\nA. a\nB. b\nC. c\nD. d\nAnswer:"
    )
    assert [request.args[1] for request in letter] == [" A", " B", " C", " D"]
    assert continuation[0].args[0] == f"The following are questions {about}Question: Why?\nAnswer:"
    assert [request.args[1] for request in continuation] == [" a", " b", " c", " d"]


@pytest.mark.parametrize("form", BOTH)
def test_lm_evals_definitions_of_all_subjects_follow_the_pattern_that_we_use_for_others(form: ChoiceForm) -> None:
    asked = [question("Why?", "a", "b", "c", "d", subject=subject) for subject in SUBJECTS]

    tasks = harness._tasks(bank_of(*asked), form)

    pattern = tasks["anatomy"].config.description
    assert len(tasks) == 57
    for subject, task in tasks.items():
        assert task.config.task == f"mmlu_{subject}{harness.SUFFIX[form]}"
        assert task.config.description == pattern.replace("anatomy", subject.replace("_", " "))


def test_a_base_in_four_bits_is_scored_and_stays_in_four_bits(tokenizer: Any, tmp_path: Path) -> None:
    whole = tiny_llama(tokenizer, hidden=64)  # NF4 takes rows of whole blocks of 64
    whole.save_pretrained(tmp_path)
    settings = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32)
    packed = AutoModelForCausalLM.from_pretrained(tmp_path, quantization_config=settings, dtype=torch.float32)

    scores = score_choices(packed, tokenizer, SUMS, form=ChoiceForm.letter, n_shot=0, batch_size=2)
    again = score_choices(packed, tokenizer, SUMS, form=ChoiceForm.letter, n_shot=0, batch_size=2)

    full = score_choices(whole, tokenizer, SUMS, form=ChoiceForm.letter, n_shot=0, batch_size=2)
    assert packed.model.layers[0].self_attn.q_proj.weight.dtype == torch.uint8
    assert 0 < np.abs(scores.logprobs - full.logprobs).max() < 5, "near the full model, and not the same"
    np.testing.assert_array_equal(again.logprobs, scores.logprobs)


def test_logprobs_of_a_bfloat16_model_keep_more_digits_than_bfloat16_has(llama: Any, tokenizer: Any) -> None:
    half = deepcopy(llama).to(torch.bfloat16)

    scores = score_choices(half, tokenizer, SUMS, form=ChoiceForm.letter, n_shot=0, batch_size=2)

    rounded = torch.tensor(scores.logprobs).to(torch.bfloat16).double().numpy()
    assert np.abs(rounded - scores.logprobs).max() > 0


def test_the_harness_is_imported_without_torch_or_lm_eval() -> None:
    code = (
        "import sys, tune.evaluate.harness; "
        "print([name for name in ('torch', 'transformers', 'datasets', 'lm_eval') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
