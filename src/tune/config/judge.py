"""A language model that judges replies, reached as OpenAI's chat completions are; off unless it has an address.

No part of a trial: nothing here moves a base score, a recipe or the command that repeats a trial. The key itself is
never a setting, because settings are stored with every run.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from tune.config.sheet import SheetForm
from tune.errors import ConfigError

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")


@dataclass(kw_only=True, slots=True)
class JudgeConfig:
    """Who judges, how often it may be asked, and what it costs."""

    base_url: str | None = None
    """Address that /chat/completions is appended to, http:// or https://, without password or query; null: no judge."""

    model: str | None = None
    """Name of the judging model, as its server knows it."""

    key_env: str | None = "TUNE_JUDGE_API_KEY"
    """Name, in capitals, of the environment variable that holds the key; where that is not set, no key is sent."""

    trial: int | None = None
    """Number of the trial to judge; null: every finalist, or the best trial without finals. At least 0."""

    form: SheetForm = SheetForm.adapter
    """Which form of a trial's model replied: adapter or deployed."""

    limit: int | None = 100
    """Most examples of a trial, the same ones for every trial; null for all. Up to four requests each. At least 2."""

    per_minute: float | None = None
    """Most requests that are started in a minute; null for no limit but the server's. Above 0."""

    n_parallel: int = 4
    """Requests under way at once. From 1 to 64."""

    timeout_s: float = 60.0
    """Longest wait for one answer, in seconds, from connecting to its last byte. Above 0."""

    retries: int = 4
    """Further tries of a request that the server did not answer, or asked to repeat later. At least 0."""

    backoff_s: float = 1.0
    """Seconds before the first of them, doubled for each further one; Retry-After goes before. At least 0."""

    max_failures: int = 10
    """Questions in a row without a usable answer after which the judge is asked no more. At least 1."""

    max_down_s: float = 300.0
    """Seconds without any answer, and longest Retry-After, after which the judge is asked no more. Above 0."""

    temperature: float | None = 0.0
    """Randomness of its answers; null leaves it to the server, for models that refuse it. From 0 to 2."""

    max_tokens: int | None = 512
    """Longest answer in tokens; null leaves it to the server, for models that refuse `max_tokens`. At least 32."""

    json_mode: bool = True
    """Ask for `response_format` json_object; false for servers that do not know it."""

    price_per_million_input: float | None = None
    """Price of a million tokens that it reads, in any currency. At least 0."""

    price_per_million_output: float | None = None
    """Price of a million tokens that it writes, in the same currency. At least 0."""


def check_judge(judge: JudgeConfig) -> None:
    """Refuse to judge where nobody is named who could.

    Raises:
        ConfigError: There is no address.
    """
    if judge.base_url is None:
        msg = (
            "evaluate.judge.base_url is not set, so there is no judge: give the address and the model of any server "
            "that speaks as OpenAI's does, for example evaluate.judge.base_url=http://127.0.0.1:8000/v1 "
            "evaluate.judge.model=NAME, and the key, where it needs one, in TUNE_JUDGE_API_KEY."
        )
        raise ConfigError(msg)


def impossible_judge(judge: JudgeConfig) -> Iterator[str]:
    """Yield a sentence for every combination that cannot work. What may be a secret is not repeated."""
    if judge.base_url is not None:
        yield from _no_address(judge.base_url)
        if not judge.model:
            yield "evaluate.judge.model is not set: name the model that evaluate.judge.base_url is to judge with."
    if judge.key_env is not None and not _VARIABLE.fullmatch(judge.key_env):
        yield (
            "evaluate.judge.key_env is not allowed: it must be the name of an environment variable, in capitals, and "
            "never the key itself, because the configuration is stored. Put the key into TUNE_JUDGE_API_KEY and leave "
            "this out."
        )
    prices = (judge.price_per_million_input, judge.price_per_million_output)
    if prices.count(None) == 1:
        yield (
            "evaluate.judge.price_per_million_input and evaluate.judge.price_per_million_output are set one without "
            "the other, so no cost can be told: set both, or neither."
        )


def _no_address(address: str) -> Iterator[str]:
    shown = "…" if "@" in address or "?" in address else address
    try:
        parts = urlsplit(address)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, or half of an IPv6 address
        usable = False
    if not usable or "@" in address or "?" in address or "#" in address:
        yield (
            f"evaluate.judge.base_url={shown} is not allowed: it must be an http:// or https:// address without user, "
            "password or query, for example http://127.0.0.1:8000/v1; a key goes into the environment variable that "
            "evaluate.judge.key_env names."
        )
