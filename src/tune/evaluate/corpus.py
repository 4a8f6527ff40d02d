"""General texts whose perplexity shows whether a model forgot how people write, from the package, a file or the hub.

Nothing here needs torch. A document is what is drawn and paired, so it should be a text of its own and not a line of
one; see tune.evaluate.perplexity_delta.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tune.config.evaluation import EMBEDDED, EvaluateConfig
from tune.errors import ConfigError, DataError, EvaluationError
from tune.evaluate.reader import no_bars

CORPUS = Path(__file__).with_name("corpus.txt")
_LEAST = 2
_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")  # owner/name, or a name alone for the hub's oldest sets


@dataclass(frozen=True, kw_only=True, slots=True)
class Corpus:
    """Documents that base and adapter read."""

    ids: tuple[str, ...]
    """(N,) source and place, counted from 0 over all its documents, for example embedded/7."""

    documents: tuple[str, ...]
    """(N,) their texts."""

    digest: str
    """SHA-256 of the ids and texts, for fingerprints."""


def read_corpus(evaluate: EvaluateConfig) -> Corpus:
    """Return the documents of evaluate.corpus; one of a file ends at a blank line, one of the hub is a row.

    Raises:
        ConfigError: It is neither a file nor the id of a data set.
        DataError: The file is no UTF-8 text, or there are fewer than two documents.
        EvaluationError: The hub or its data set cannot be reached, or has no such column.
    """
    source = evaluate.corpus
    assert source is not None
    every = _documents(evaluate, source)
    places = _draw(every, evaluate.corpus_limit, evaluate.items_seed)
    if len(places) < _LEAST:
        msg = (
            f"evaluate.corpus={source} has {len(places)} document(s), and one says nothing about its spread: give two "
            "or more. In a file, a blank line stands between two documents."
        )
        raise DataError(msg)
    texts = tuple(every[place] for place in places)
    ids = tuple(f"{Path(source).name}/{place}" for place in places)
    return Corpus(ids=ids, documents=texts, digest=hashlib.sha256(json.dumps([ids, texts]).encode()).hexdigest())


def split_documents(text: str) -> list[str]:
    """Return the documents of a text: what stands between lines without a mark."""
    return [document.strip() for document in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n")) if document.strip()]


def _documents(evaluate: EvaluateConfig, source: str) -> list[str]:
    if source == EMBEDDED:
        return split_documents(CORPUS.read_text(encoding="utf-8"))
    file = Path(source).expanduser()
    if file.is_file():
        try:
            return split_documents(file.read_bytes().decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            msg = f"evaluate.corpus: {file}, line {line}, is no UTF-8 text. Save it as UTF-8, or name another file."
            raise DataError(msg) from error
    if file.exists() or file.suffix in {".txt", ".md"} or not _ID.fullmatch(source):
        msg = (
            f"evaluate.corpus={source} is no text file and no id of a hub data set (owner/name). Name a UTF-8 file "
            f"whose documents are divided by blank lines, or take evaluate.corpus={EMBEDDED}, or null for none."
        )
        raise ConfigError(msg)
    return corpus_of_rows(evaluate, source)


def corpus_of_rows(evaluate: EvaluateConfig, source: str) -> list[str]:
    """Return the texts of a data set's rows: evaluate.corpus_subset, corpus_split and corpus_column of it.

    Raises:
        EvaluationError: It cannot be reached, or has no such column.
    """
    import datasets

    try:
        with no_bars():
            rows = datasets.load_dataset(source, evaluate.corpus_subset, split=evaluate.corpus_split)
    except Exception as error:  # datasets, its hub client and httpx share no kind of error
        msg = (
            f"evaluate.corpus={source} is no file here, and reading it from the hub failed: "
            f"{' '.join(str(error).split())}. It is fetched once and kept, so run `python -m tune data "
            f"evaluate.corpus={source}` where there is a network; or take evaluate.corpus={EMBEDDED}."
        )
        raise EvaluationError(msg) from error
    column = evaluate.corpus_column
    if column not in rows.column_names:
        msg = (
            f"evaluate.corpus_column={column} is no column of {source}: it has {', '.join(rows.column_names)}. Name "
            "one of them."
        )
        raise EvaluationError(msg)
    return [text.strip() for text in rows[column] if isinstance(text, str) and text.strip()]


def _draw(documents: Sequence[str], limit: int | None, seed: int) -> list[int]:
    """Return places of the chosen documents in rising order; each draws its lot from its own text and the seed."""
    lots = [hashlib.sha256(json.dumps([seed, text]).encode()).digest() for text in documents]
    return sorted(sorted(range(len(documents)), key=lambda place: (lots[place], place))[:limit])
