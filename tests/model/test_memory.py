from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tune.config.method import BEGUN_FROM_WEIGHTS, WITHOUT_LAYERS, Bias, Method
from tune.config.model import Device, Dtype, ModelConfig
from tune.config.optimizer import Optimizer
from tune.config.recipe import QuantizationConfig, QuantizationKind
from tune.config.schema import Config
from tune.errors import ConfigError
from tune.model.architectures import read_architecture, shipped
from tune.model.load import Base
from tune.model.memory import HEAP_SHARE, Estimate, Lengths, estimate
from tune.model.outline import stored_bytes
from tune.model.quantize import footprint_gib
from tune.model.trace import FourBitLinear, LiveBytes

GIB = 1024**3
GB = 10**9
NOT_ESTIMATED = (
    BEGUN_FROM_WEIGHTS | WITHOUT_LAYERS | {Method.spectrum, Method.adalora, Method.vera, Method.loftq, Method.eva}
)
LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
# Parameters as the models' owners publish them.
PUBLISHED = {
    LLAMA: 8_030_261_248,
    "mistralai/Mistral-7B-Instruct-v0.3": 7_248_023_552,
    "Qwen/Qwen3-0.6B": 596_049_920,
    "Qwen/Qwen3-8B": 8_190_735_360,
    "microsoft/Phi-4-mini-instruct": 3_836_021_760,
    "google/gemma-3-1b-it": 999_885_952,
    "smollm2_135m": 134_515_008,
}


def toy() -> Any:
    return transformers.LlamaConfig(
        vocab_size=32,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        pad_token_id=0,
    )


def toy_config(**train: Any) -> Config:
    config = Config(model=ModelConfig(embedded="tiny", device=Device.cpu))
    config.lora.rank = 2
    config.data.max_new_tokens = 4
    for name, value in ({"max_length": 16, "batch_size": 1} | train).items():
        setattr(config.train, name, value)
    return config


def llama(kind: QuantizationKind) -> Config:
    config = Config(model=ModelConfig(embedded=None, path=LLAMA, device=Device.cuda))
    config.quantization.kind = kind
    config.train.max_length, config.train.batch_size = 512, 1
    config.train.gradient_checkpointing = True
    config.evaluate.batch_size = config.evaluate.generation_batch_size = 1
    return config


def test_the_held_parts_of_a_toy_of_two_layers_by_hand() -> None:
    # A layer: q and o 8*8, k and v 4*8, gate, up and down 8*16, two norms of 8: 592. With embeddings and head of
    # 32*8 and the last norm: 2*592 + 2*256 + 8 = 1704 parameters; RoPE keeps two tables of 2 numbers.
    # Rank 2: q and o 2*(8+8), k and v 2*(8+4), gate, up and down 2*(8+16): 256 a layer.
    found = estimate(toy_config(), toy(), overhead_gib=0)

    assert (found.total, found.trainable) == (1704 + 512, 512)
    assert found.share == pytest.approx(512 / 2216)
    assert found.weights * GIB == pytest.approx((1704 + 4) * 4)
    assert found.adapter * GIB == found.gradients * GIB == pytest.approx(512 * 4)
    assert found.optimizer * GIB == pytest.approx(2 * 512 * 4)


def test_what_is_trained_in_full_beside_an_adapter_by_hand() -> None:
    # Embeddings and head of 32*8 each are two weights of the toy; with biases q, k, v, o and gate, up, down have
    # 8 + 4 + 4 + 8 + 16 + 16 + 8 = 64 a layer. Each is there twice: as it was loaded, and the float32 that is trained.
    biased = toy()
    biased.attention_bias = biased.mlp_bias = True
    tied = toy()
    tied.tie_word_embeddings = True
    plain, config = estimate(toy_config(), toy(), overhead_gib=0), toy_config()
    config.lora.modules_to_save = "embed_tokens+lm_head"
    both, one = (estimate(config, sizes, overhead_gib=0) for sizes in (toy(), tied))
    config.lora.modules_to_save, config.lora.bias = None, Bias.all
    biases = estimate(config, biased, overhead_gib=0)

    assert both.trainable == plain.trainable + 2 * 256
    assert one.trainable == plain.trainable + 256, "a tied weight is trained once"
    assert biases.trainable == plain.trainable + 2 * 64
    assert both.weights == plain.weights
    assert (both.adapter - plain.adapter) * GIB == (both.gradients - plain.gradients) * GIB == pytest.approx(512 * 4)
    assert (both.optimizer - plain.optimizer) * GIB == pytest.approx(2 * 512 * 4)
    assert both.peak_training > plain.peak_training + both.adapter - plain.adapter
    assert both.peak_evaluation == pytest.approx(plain.peak_evaluation + both.adapter - plain.adapter)


def test_the_peaks_are_sums_of_their_parts() -> None:
    found = estimate(toy_config(), toy(), overhead_gib=1.0)

    held = found.weights + found.adapter + 1.0
    trains = held + found.heap + found.optimizer
    assert found.peak_loading == pytest.approx(found.weights + 1.0)
    assert found.peak_evaluation == pytest.approx(held + found.evaluation)
    assert trains + found.activations <= found.peak_training <= trains + found.activations + found.logits
    assert found.peak == max(found.peak_training, found.peak_evaluation)


def test_a_loss_that_is_measured_while_training_lies_beside_what_the_optimizer_keeps() -> None:
    at_the_end = estimate(toy_config(), toy(), overhead_gib=0)
    on_the_way = estimate(toy_config(evals=2), toy(), overhead_gib=0)

    assert on_the_way.peak_evaluation == pytest.approx(at_the_end.peak_evaluation + at_the_end.optimizer)


def test_weights_that_are_converted_lie_beside_the_pages_they_are_read_from() -> None:
    config, sizes = toy_config(), toy()
    config.model.dtype = Dtype.bfloat16
    sizes.dtype = torch.float32

    found = estimate(config, sizes, overhead_gib=0)

    assert found.weights * GIB == pytest.approx((1704 + 4) * 2, abs=16)  # RoPE's four numbers may stay in float32
    assert found.loading * GIB == pytest.approx(found.weights * 2 * GIB)
    assert found.peak_loading == pytest.approx(found.weights * 3)
    assert found.resident == max(found.peak_loading, found.peak)


def test_weights_in_four_bits_are_made_from_pages_and_a_copy() -> None:
    config, sizes = toy_config(), toy()
    config.quantization.kind = QuantizationKind.nf4
    sizes.dtype = torch.float32

    found = estimate(config, sizes)

    assert found.loading * GIB == pytest.approx(2 * (2 * (592 - 16) * 4))  # the linear layers of two blocks, twice


def test_gradients_that_are_summed_over_passes_lie_beside_the_next_pass() -> None:
    once = estimate(toy_config(), toy(), overhead_gib=0)
    summed = estimate(toy_config(accumulation=2), toy(), overhead_gib=0)

    assert summed.peak_training == pytest.approx(once.peak_training + once.gradients)


def test_a_four_bit_matrix_by_hand() -> None:
    # 4096 * 4096 weights: half a byte each, 262,144 blocks of 64.
    n = 4096 * 4096
    doubled, plain = (QuantizationConfig(kind=QuantizationKind.nf4, double=double) for double in (True, False))

    assert stored_bytes(n, doubled, n_bytes=2) == n // 2 + 262_144 + 4 * 1024
    assert 8 * stored_bytes(n, doubled, n_bytes=2) / n == pytest.approx(4.127, abs=5e-4)
    assert stored_bytes(n, plain, n_bytes=2) == n // 2 + 4 * 262_144
    assert stored_bytes(n, QuantizationConfig(), n_bytes=2) == 2 * n


@pytest.mark.parametrize("kind", [QuantizationKind.none, QuantizationKind.nf4, QuantizationKind.fp4])
def test_weights_are_as_large_as_those_of_the_loaded_model(
    load: Callable[[QuantizationKind], Base], kind: QuantizationKind
) -> None:
    config = toy_config()
    config.quantization.kind = kind
    base = load(kind)

    found = estimate(config, base.model.config)

    # Beside the weights a four-bit model counts its tables; both round a block up.
    assert found.weights == pytest.approx(footprint_gib(base.model), rel=0.01)


def test_a_kind_of_storage_whose_passes_are_not_known_is_refused() -> None:
    config = toy_config()
    config.quantization.kind = QuantizationKind.int8

    with pytest.raises(ConfigError, match=r"quantization\.kind=int8 cannot be estimated"):
        estimate(config, toy())


@pytest.mark.parametrize("method", Method)
def test_a_method_is_estimated_or_refused(method: Method) -> None:
    config = toy_config()
    config.lora.method = method

    if method in NOT_ESTIMATED:
        with pytest.raises(ConfigError, match=f"lora.method={method} cannot be estimated"):
            estimate(config, toy())
    else:
        assert estimate(config, toy()).trainable >= 512


def test_a_four_bit_base_on_a_cpu_keeps_the_pages_of_its_checkpoint_where_some_weights_lie_in_them() -> None:
    config, sizes = toy_config(), toy()
    config.quantization.kind = QuantizationKind.nf4
    sizes.dtype = torch.float32

    same = estimate(config, sizes)
    sizes.dtype = torch.bfloat16
    converted = estimate(config, sizes)
    config.model.device = Device.cuda

    assert same.mapped * GIB == pytest.approx(2 * (592 - 16) * 4)  # the linear layers of two blocks
    assert (converted.mapped, estimate(config, sizes).mapped) == (0, 0)


def test_on_a_cpu_the_heap_keeps_a_share_of_a_step_and_on_a_gpu_nothing() -> None:
    config = toy_config()
    on_cpu = estimate(config, toy())
    config.model.device = Device.cuda
    on_gpu = estimate(config, toy())

    assert on_cpu.heap == pytest.approx(HEAP_SHARE * (on_cpu.activations + on_cpu.logits), rel=0.2)
    assert on_cpu.evaluation > on_gpu.evaluation
    assert (on_gpu.heap, on_gpu.overhead) == (0, 0)


def test_holes_of_the_heap_stay_where_blocks_are_recomputed() -> None:
    plain, recomputed = (estimate(toy_config(gradient_checkpointing=choice), toy()) for choice in (False, True))

    assert recomputed.heap == plain.heap
    assert recomputed.activations < plain.activations


def test_pieces_that_are_mapped_for_themselves_leave_no_holes() -> None:
    # 8 texts of 16 tokens over a vocabulary of 100,000 have 49 MiB of logits, 3 tables of them: none is in the heap.
    config, sizes = toy_config(), toy()
    sizes.vocab_size = 100_000
    on_cpu = estimate(config, sizes).evaluation
    config.model.device, config.model.dtype = Device.cuda, Dtype.float32

    assert on_cpu == pytest.approx(estimate(config, sizes).evaluation, rel=0.01)


@pytest.mark.parametrize(("dtype", "n_bytes"), [(Dtype.float32, 3 * 4), (Dtype.bfloat16, 2 + 3 * 4)])
def test_scoring_holds_three_times_the_logits_in_float32(dtype: Dtype, n_bytes: int) -> None:
    # A vocabulary of 1000 beside 8 wide layers: 8 texts of 16 tokens have 8 * 16 * 1000 logits.
    config, sizes = toy_config(), toy()
    sizes.vocab_size = 1000
    config.model.device, config.model.dtype = Device.cuda, dtype  # no holes

    found = estimate(config, sizes)

    assert found.evaluation * GIB == pytest.approx(8 * 16 * 1000 * n_bytes, rel=0.1)


def test_a_frozen_layer_saves_nothing_and_a_trained_one_its_input() -> None:
    # Three layers of 8 x 8 on 4 rows: an activation has 4 * 8 floats, 128 bytes.
    def lives(trained: bool) -> int:
        layers = torch.nn.Sequential(*(torch.nn.Linear(8, 8, bias=False, device="meta") for _ in range(3)))
        layers.requires_grad_(trained)
        rows = torch.zeros(4, 8, device="meta", requires_grad=True)
        with LiveBytes(layers) as live:
            made = layers(rows)
        assert made.requires_grad
        return live.now

    assert lives(trained=False) == 128  # the result
    assert lives(trained=True) == 3 * 128  # and what came out of the first and the second


def test_a_four_bit_layer_unpacks_its_weight_and_lets_go_of_it() -> None:
    layer = FourBitLinear.around(torch.nn.Linear(8, 64, bias=False, device="meta").requires_grad_(False))
    rows = torch.zeros(4, 8, device="meta", requires_grad=True)

    with LiveBytes(layer) as live:
        made = layer(rows)
        forward = live.peak
        del made

        assert live.now == 0

    assert forward == (8 * 64 + 4 * 64) * 4  # the weight and the result; then the result and PEFT's clone are less


def test_llama_8b_in_16_bit_takes_what_is_published() -> None:
    config = llama(QuantizationKind.none)

    found = estimate(config, read_architecture(config.model))

    assert found.trainable == 41_943_040  # PEFT's own count for rank 16 on all linear layers
    assert 0.85 * 16 <= found.peak * GIB / GB <= 1.15 * 20


def test_llama_8b_in_four_bits_takes_what_is_published() -> None:
    config = llama(QuantizationKind.nf4)

    found = estimate(config, read_architecture(config.model))

    assert found.trainable == 41_943_040
    assert 0.85 * 7 <= found.peak * GIB / GB <= 1.15 * 10


def test_peft_itself_counts_as_many_on_the_meta_device() -> None:
    from peft import LoraConfig, get_peft_model

    config = llama(QuantizationKind.none)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(read_architecture(config.model))

    adapted = get_peft_model(model, LoraConfig(r=16, target_modules="all-linear", task_type="CAUSAL_LM"))

    assert adapted.get_nb_trainable_parameters()[0] == 41_943_040


def test_recomputing_the_blocks_takes_less() -> None:
    sizes = toy()
    sizes.num_hidden_layers = 8

    plain = estimate(toy_config(), sizes)
    recomputed = estimate(toy_config(gradient_checkpointing=True), sizes)

    assert recomputed.activations < plain.activations / 2


def test_every_shipped_architecture_has_the_published_parameters() -> None:
    found = {}
    for name in shipped():
        model = ModelConfig(embedded=None, path=name) if "/" in name else ModelConfig(embedded=name)
        with torch.device("meta"):
            network = transformers.AutoModelForCausalLM.from_config(read_architecture(model))
        found[name] = sum(parameter.numel() for parameter in network.parameters())

    assert found == PUBLISHED


def test_a_model_whose_sizes_are_not_known_is_refused_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    with pytest.raises(ConfigError, match=r"model.path=nobody/nothing: its sizes are not known.*Qwen3-8B.*config.json"):
        read_architecture(ModelConfig(embedded=None, path="nobody/nothing"))


def test_the_random_numbers_of_the_caller_are_left_as_they_were() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)

    estimate(toy_config(), toy())

    assert torch.equal(torch.rand(2), expected)


def test_by_default_the_longest_sequences_that_the_settings_allow() -> None:
    config = toy_config(max_length=100)

    assert Lengths.of(config) == Lengths(example=100, learned=4, prompt=96, question=100)


@settings(max_examples=15, deadline=None, phases=[Phase.generate])  # to shrink a failure takes minutes
@given(
    rank=st.integers(1, 8),
    batch=st.integers(1, 8),
    length=st.integers(8, 64),
    more=st.sampled_from(["rank", "batch", "length"]),
    checkpointing=st.booleans(),
    kind=st.sampled_from([kind for kind in QuantizationKind if kind is not QuantizationKind.int8]),
)
def test_more_is_never_less(
    rank: int, batch: int, length: int, more: str, checkpointing: bool, kind: QuantizationKind
) -> None:
    def of(**sizes: int) -> Estimate:
        config = toy_config(batch_size=sizes["batch"], max_length=sizes["length"], gradient_checkpointing=checkpointing)
        config.lora.rank, config.lora.targets, config.quantization.kind = sizes["rank"], "all_linear", kind
        return estimate(config, toy())

    less = {"rank": rank, "batch": batch, "length": length}
    small, large = of(**less), of(**{**less, more: less[more] + 3})

    for part in ("adapter", "gradients", "optimizer", "activations", "logits", "evaluation", "peak"):
        assert getattr(large, part) >= getattr(small, part), part


def test_an_estimate_has_the_state_of_its_optimizer() -> None:
    config = toy_config()
    adamw = estimate(config, toy(), overhead_gib=0)
    config.train.optimizer = Optimizer.sgd
    sgd = estimate(config, toy(), overhead_gib=0)

    assert (adamw.optimizer * GIB, sgd.optimizer) == (pytest.approx(2 * 512 * 4), 0)
    assert sgd.peak_training == pytest.approx(adamw.peak_training - adamw.optimizer)
