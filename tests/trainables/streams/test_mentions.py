"""Mentions: whole words, several words, and each sample once."""

from trainables.streams.mentions import mentions


def test_mentions_by_hand() -> None:
    samples = [
        ("a photo of a Polar Bear", "the polar bear"),
        ("bears, polar; a bear-like rug",),
        ("an open-clip model", "polarbear"),
        (),
    ]
    assert mentions(["polar bear", "bear", "bears", "open clip", "cat"], samples).tolist() == [1, 2, 1, 1, 0]


def test_concepts_of_one_name_are_counted_alike() -> None:
    assert mentions(["one", "two", "one"], [("one dot",), ("two dots",), ("one",)]).tolist() == [2, 1, 2]
