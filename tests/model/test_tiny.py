from tune.model.load import Base


def test_the_chat_template_adds_no_system_prompt(base: Base) -> None:
    chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]

    text = base.tokenizer.apply_chat_template(chat, tokenize=False)
    asked = base.tokenizer.apply_chat_template(chat[:1], tokenize=False, add_generation_prompt=True)

    assert text == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHo<|im_end|>\n"
    assert asked == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"


def test_every_text_survives_the_tokenizer(base: Base) -> None:
    text = "SELECT  name, 'Zoë' FROM city -- 東京\n\t🙂"

    assert base.tokenizer.decode(base.tokenizer(text).input_ids) == text


def test_special_tokens_are_one_token_each_and_differ(base: Base) -> None:
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"]

    assert base.tokenizer.convert_tokens_to_ids(tokens) == [0, 1, 2, 3]
    assert base.tokenizer("".join(tokens)).input_ids == [0, 1, 2, 3]
    assert base.tokenizer.eos_token_id == base.model.config.eos_token_id == 2
    assert base.tokenizer.pad_token_id == base.model.config.pad_token_id == 3


def test_its_shape_is_the_one_it_says(base: Base) -> None:
    # a layer: q and o 64x64, k and v 32x64, three of 128x64, two norms of 64; outside: a norm, embeddings and head
    layer = 2 * 64 * 64 + 2 * 32 * 64 + 3 * 128 * 64 + 2 * 64
    n_tokens = len(base.tokenizer)

    assert base.model.num_parameters() == 2 * layer + 64 + 2 * n_tokens * 64
    assert base.model.config.max_position_embeddings == 1024
