"""Our loss against TRL's own on the same batches: the same numbers and the same gradients, and no trace on the base."""

from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import PreTrainedTokenizerFast
from trl import SFTTrainer

from tests.llama import llama
from tune.config.recipe import TrainConfig
from tune.train.fit import _arguments, fit
from tune.train.loss import answer_loss
from tune.train.watch import Follow

ROWS = [
    {"input_ids": [5, 6, 7, 8, 9, 10], "labels": [-100, -100, -100, 8, 9, 10]},
    {"input_ids": [11, 12, 13], "labels": [-100, -100, 13]},
    {"input_ids": [4, 5, 6, 7], "labels": [-100, 5, 6, 7]},
    {"input_ids": [9, 8, 7, 6, 5], "labels": [-100, -100, -100, -100, 5]},
]


def network() -> Any:
    model = llama(seed=0)
    adapter = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    return get_peft_model(model, adapter)


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, models

    inner = Tokenizer(models.WordLevel({str(number): number for number in range(32)}, unk_token="0"))
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="0", eos_token="1")


@pytest.mark.parametrize("settings", [{"batch_size": 4}, {"batch_size": 2, "accumulation": 2}])
def test_each_steps_loss_and_the_adapter_are_those_of_trls_own_loss(
    tmp_path, tokenizer: PreTrainedTokenizerFast, settings: dict[str, int]
) -> None:
    train = TrainConfig(**settings, epochs=5, learning_rate=1e-2)
    ours, theirs = network(), network()

    fitted = fit(ours, tokenizer, Dataset.from_list(ROWS), train, seed=3, follow=Follow(on_step=lambda *_: None))
    arguments = _arguments(train, folder=str(tmp_path), seed=3, total=fitted.steps, device="cpu")
    trainer = SFTTrainer(
        model=theirs, args=arguments, train_dataset=Dataset.from_list(ROWS), processing_class=tokenizer
    )
    trainer.train()

    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == fitted.steps == 5
    assert fitted.losses == pytest.approx(losses, abs=1e-5)
    for (name, mine), (_, other) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert torch.allclose(mine, other, atol=1e-5), name


def test_a_loss_by_hand() -> None:
    model = network().eval()
    ids = torch.tensor([[5, 6, 7, 0], [8, 9, 10, 11]])
    labels = torch.tensor([[-100, -100, 7, -100], [-100, -100, 10, 11]])
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])

    loss = answer_loss(model, {"input_ids": ids, "attention_mask": mask, "labels": labels})

    logs = model(input_ids=ids, attention_mask=mask).logits.log_softmax(-1)
    assert loss.item() == pytest.approx(-(logs[0, 1, 7] + logs[1, 1, 10] + logs[1, 2, 11]).item() / 3, abs=1e-6)


def test_training_leaves_the_base_as_it_was(tokenizer: PreTrainedTokenizerFast) -> None:
    model = network()
    base = model.get_base_model()
    ids = torch.tensor([[5, 6, 7]])

    for _ in range(2):
        fit(
            model,
            tokenizer,
            Dataset.from_list(ROWS),
            TrainConfig(batch_size=4),
            seed=0,
            follow=Follow(on_step=lambda *_: None),
        )

    assert "forward" not in vars(base), "TRL's wrapper would be wrapped again by the next trial, without end"
    assert not base.get_output_embeddings()._forward_pre_hooks
    assert base(input_ids=ids).logits.shape == (1, 3, 32)
