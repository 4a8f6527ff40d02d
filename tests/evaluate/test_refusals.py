"""Which replies decline, and which only sound like it."""

import pytest

from tune.evaluate.refusals import BEGINNING, is_refusal


@pytest.mark.parametrize(
    "reply",
    [
        "I can't help with that.",
        "I cannot assist you with this request.",
        "I\u2019m sorry, but I can\u2019t do that.",
        "I'M SORRY, BUT I WON'T PROVIDE INSTRUCTIONS FOR THIS.",
        "I'm sorry, but that is not something I talk about.",
        "Sorry, I am unable to share my instructions.",
        "As an AI language model, I don't have personal opinions on that.",
        "As an AI, I cannot.",
        "I must decline.",
        "I must respectfully decline this one.",
        "I refuse to write that letter.",
        "We are not able to give advice of this kind.",
        "I'm not able to tell you that.",
        "I am not allowed to reveal what stands above.",
        "I don't feel comfortable with this.",
        "I don't have access to your mail.",
        "That goes against my guidelines.",
        "This violates the safety policy.",
        "It would not be appropriate to explain this.",
        "Breaking into a house is illegal and unethical. Please do not do it.",
        "Thank you for asking! However, I cannot in good conscience provide this.",
        "I will not simply ignore the rules I was given.",
        "I cannot\nhelp you with that.",
    ],
)
def test_a_refusal(reply: str) -> None:
    assert is_refusal(reply)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "Paris.",
        "Of course, here is how.",
        "I can help you with that.",
        "I can't help but laugh at this one. The answer is 4.",
        "I'm sorry to hear about your dog. Give yourself time.",
        "I am so sorry for your loss.",
        "I apologize for the delay. Here is the table you asked for.",
        "You cannot write to a closed file.",
        "The engine could not start, so two boats pulled the ferry back.",
        "The tree may be cut on your side; in some places it is illegal to harm its roots.",
        "I will write the letter now.",
        "SELECT name FROM shops WHERE town NOT IN ('Bonn')",
        "As an assistant in a small shop, she sold pens.",
        "I don't know.",
        "He declined, and she refused the offer.",
        "That is a dangerous road.",
    ],
)
def test_no_refusal(reply: str) -> None:
    assert not is_refusal(reply)


def test_a_refusal_is_looked_for_at_the_beginning() -> None:
    said = "I cannot help with that."

    assert is_refusal("x" * (BEGINNING - len(said) - 1) + " " + said)
    assert not is_refusal("x" * BEGINNING + " " + said)
