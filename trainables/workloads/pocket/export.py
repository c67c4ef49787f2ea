"""The pocket tokenizer in the format of the tokenizers library, so that an exported model needs no code of retune."""

import json
from collections.abc import Mapping

from trainables.workloads.pocket.tokenizer import CONTEXT_LENGTH, END, START, UNKNOWN, WORDS

_PAD, _START, _UNKNOWN, _END = "<pad>", "<start>", "<unk>", "<end>"


def tokenizer_files() -> Mapping[str, str]:
    """File name -> text: what `open_clip.get_tokenizer("local-dir:...")` reads."""
    vocabulary = {_PAD: 0, _START: START, _UNKNOWN: UNKNOWN, **{w: i + 3 for i, w in enumerate(WORDS)}, _END: END}
    special = [
        {"id": vocabulary[name], "content": name, "special": True}
        | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        for name in (_PAD, _START, _UNKNOWN, _END)
    ]
    tokens = [{"SpecialToken": {"id": name, "type_id": 0}} for name in (_START, _END)]
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [tokens[0], {"Sequence": {"id": "A", "type_id": 0}}, tokens[1]],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {
                name: {"id": name, "ids": [vocabulary[name]], "tokens": [name]} for name in (_START, _END)
            },
        },
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": _UNKNOWN},
    }
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": CONTEXT_LENGTH,
        "pad_token": _PAD,
        "bos_token": _START,
        "eos_token": _END,
        "unk_token": _UNKNOWN,
        "clean_up_tokenization_spaces": False,
    }
    return {"tokenizer.json": json.dumps(tokenizer), "tokenizer_config.json": json.dumps(config)}
