"""A folder of lm-eval tasks of one's own, over rows on this machine."""

import json
from pathlib import Path
from typing import Any

CAPITALS = [
    {"question": "The capital of France is", "choices": ["Paris", "Rome", "Oslo"], "answer": 0},
    {"question": "The capital of Norway is", "choices": ["Paris", "Rome", "Oslo"], "answer": 2},
    {"question": "The capital of Italy is", "choices": ["Lisbon", "Rome", "Bern"], "answer": 1},
    {"question": "The capital of Portugal is", "choices": ["Lisbon", "Rome", "Bern"], "answer": 0},
    {"question": "The capital of Switzerland is", "choices": ["Vienna", "Rome", "Bern"], "answer": 2},
    {"question": "The capital of Austria is", "choices": ["Vienna", "Paris", "Bern"], "answer": 0},
]
SUMS = [{"question": f"{a} + {b} =", "answer": str(a + b)} for a in range(1, 4) for b in range(1, 4)]
WORDS = [{"text": f"one two three {word}", "word": word} for word in ("four", "five", "six", "seven")]

CHOICES_YAML = """
task: capitals
tag: own_tasks
dataset_path: json
dataset_kwargs: {{data_files: {{test: {test}, dev: {dev}}}}}
output_type: multiple_choice
test_split: test
fewshot_split: dev
num_fewshot: 2
fewshot_config: {{sampler: first_n}}
doc_to_text: "{{{{question}}}}"
doc_to_target: answer
doc_to_choice: choices
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
  - {{metric: acc_norm, aggregation: mean, higher_is_better: true}}
"""
WRITING_YAML = """
task: sums
tag: [own_tasks, sums_tag]
dataset_path: json
dataset_kwargs: {{data_files: {{test: {test}}}}}
output_type: generate_until
test_split: test
doc_to_text: "{{{{question}}}}"
doc_to_target: answer
generation_kwargs: {{until: ["\\n"], max_gen_toks: 6, do_sample: false}}
metric_list:
  - {{metric: exact_match, aggregation: mean, higher_is_better: true}}
filter_list:
  - name: number
    filter:
      - {{function: regex, regex_pattern: "(-?[0-9]+)"}}
      - {{function: take_first}}
"""
LAST_WORD_YAML = """
task: last_word
dataset_path: json
dataset_kwargs: {{data_files: {{test: {test}}}}}
output_type: loglikelihood
test_split: test
doc_to_text: "{{{{text.rsplit(' ', 1)[0]}}}}"
doc_to_target: "{{{{word}}}}"
"""
GROUP_YAML = "group: own_group\ntask:\n  - capitals\n  - task: sums\n    num_fewshot: 0\n"


def write_tasks(folder: Path) -> Path:
    """Write three tasks (multiple choice, written answers, log-likelihood) and a group, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {"capitals": CAPITALS, "dev": CAPITALS[:2], "sums": SUMS, "words": WORDS}
    for name, rows in files.items():
        write_rows(folder / f"{name}.jsonl", rows)
    at = {name: folder / f"{name}.jsonl" for name in files}
    (folder / "capitals.yaml").write_text(CHOICES_YAML.format(test=at["capitals"], dev=at["dev"]), encoding="utf-8")
    (folder / "sums.yaml").write_text(WRITING_YAML.format(test=at["sums"]), encoding="utf-8")
    (folder / "last_word.yaml").write_text(LAST_WORD_YAML.format(test=at["words"]), encoding="utf-8")
    (folder / "own_group.yaml").write_text(GROUP_YAML, encoding="utf-8")
    return folder


def write_rows(file: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows as JSON lines."""
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
