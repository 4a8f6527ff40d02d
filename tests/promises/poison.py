"""A model that answers NaN to one token, and rows in which that token stands where a test wants it."""

import json
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from tune.config.compose import compose
from tune.data.load import load_splits

RARE = "§"
SPLITS = {"data.validation": 3, "data.test": 2}


def rows_with_the_token_in(split: str, file: Path) -> None:
    """Write rows of which one, that data.seed=0 puts into `split`, has the rare token; the others have plain words."""
    plain = [{"instruction": f"say {n}", "input": "", "output": f"number {n}"} for n in range(16)]
    for attempt in range(100):
        marked = {"instruction": f"say {RARE} {attempt}", "input": "", "output": f"sign {RARE}"}
        file.write_text("".join(json.dumps(row) + "\n" for row in [*plain, marked]))
        if _where(file) == split:
            return
    raise AssertionError(split)


def plain_rows(file: Path) -> None:
    """Write rows without the rare token."""
    rows = [{"instruction": f"say {n}", "input": "", "output": f"number {n}"} for n in range(17)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def words(file: Path) -> list[str]:
    """Return the overrides that read the rows."""
    return ["data=jsonl", f"data.path={file}", *(f"{key}={value}" for key, value in SPLITS.items())]


def poisoned_model(tiny: Path, folder: Path, tokens: Iterable[int]) -> Path:
    """Return a copy of the tiny model in which the embeddings of some tokens are NaN."""
    shutil.copytree(tiny, folder)
    (folder / "manifest.json").unlink()  # it is of the healthy weights
    weights = load_file(folder / "model.safetensors")
    weights["model.embed_tokens.weight"][list(tokens)] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def rare_token(tiny: Path) -> list[int]:
    """Return the tokens that only the rare sign is written with."""
    tokenizer = _tokenizer(tiny)
    return sorted(_ids(tokenizer, RARE) - _ids(tokenizer, "say sign number input 0123456789 system user assistant"))


def tokens_of_questions_alone(tiny: Path, questions: str, rows: Path) -> list[int]:
    """Return the token that stands in the questions most often of those that are in no row."""
    tokenizer = _tokenizer(tiny)
    in_rows = set()
    for line in rows.read_text().splitlines():
        turns = [{"role": "user", "content": json.loads(line)["instruction"]}]
        turns += [{"role": "assistant", "content": json.loads(line)["output"]}]
        in_rows |= _ids(tokenizer, tokenizer.apply_chat_template(turns, tokenize=False))
    counts = Counter(token for token in tokenizer(questions)["input_ids"] if token not in in_rows)
    return [counts.most_common(1)[0][0]]


def _where(file: Path) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNE_CACHE", str(file.parent / "cache"))
        splits = load_splits(compose(words(file)).data)
    return next(
        name
        for name in ("train", "validation", "test")
        if any(RARE in example.answer for example in getattr(splits, name))
    )


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> set[int]:
    return set(tokenizer(text)["input_ids"])
