"""Tokenizers made from the words of a data set, in the form of CLIP's and T5's: each word that was seen is one token,
and what was not seen is spelled in letters or bytes, so any text can be read.
"""

import re
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from transformers import CLIPTokenizer, T5TokenizerFast  # type: ignore[attr-defined]

BEGIN, END, PAD = "<|startoftext|>", "<|endoftext|>", "!"
MOST_WORDS = 20_000


def words_of(captions: Iterable[str]) -> list[str]:
    """The words of some texts in small letters, each once, the most frequent first; at most `MOST_WORDS`."""
    found = Counter(word for text in captions for word in re.findall(r"\w+", text.lower()))
    return sorted(found, key=lambda word: (-found[word], word))[:MOST_WORDS]


def clip_tokenizer(folder: Path, words: Iterable[str], length: int, pad: str) -> int:
    """Write a tokenizer as CLIP has it, byte pairs after Sennrich et al. 2016; gives the size of its vocabulary.

    length: tokens of a text with begin and end. pad: `END` as for SDXL's first encoder, `PAD` as for its second.
    The last id is that of `END`, as in the original, where the pooled output is read.
    """
    alphabet = _byte_letters()
    vocabulary = [*alphabet, *(f"{letter}</w>" for letter in alphabet)]
    seen = set(vocabulary)
    merges: dict[tuple[str, str], int] = {}
    for word in words:
        letters = [alphabet[byte] for byte in word.encode()]
        letters[-1] += "</w>"
        _merge_all(letters, merges, vocabulary, seen)
    vocabulary += [BEGIN, END]
    ids = {token: i for i, token in enumerate(vocabulary)}
    made = CLIPTokenizer(vocab=ids, merges=[*merges], pad_token=pad, model_max_length=length)  # type: ignore[list-item]
    made.save_pretrained(str(folder))
    return len(ids)


def t5_tokenizer(folder: Path, words: Iterable[str], length: int) -> int:
    """Write a tokenizer as T5 has it, pieces with likelihoods (Kudo 2018); gives the size of its vocabulary."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -20.0)]
    pieces += [(f"▁{word}", -5.0) for word in words]
    known = {piece for piece, _ in pieces}
    pieces += [(chr(code), -20.0) for code in range(33, 127) if chr(code) not in known]
    T5TokenizerFast(vocab=pieces, extra_ids=0, model_max_length=length).save_pretrained(str(folder))
    return len(pieces)


def _merge_all(letters: list[str], merges: dict[tuple[str, str], int], vocabulary: list[str], seen: set[str]) -> None:
    """Add what it takes to make one token of a word: the merges of earlier words first, as the reader applies them."""
    while len(letters) > 1:
        pairs = list(pairwise(letters))
        pair = min(pairs, key=lambda one: merges.get(one, len(merges)))
        joined = "".join(pair)
        if merges.setdefault(pair, len(merges)) == len(merges) - 1 and joined not in seen:
            seen.add(joined)
            vocabulary.append(joined)
        at = pairs.index(pair)
        letters[at : at + 2] = [joined]


def _byte_letters() -> list[str]:
    """One printable letter for each byte, in the order of bytes: itself where it prints, else one from 256 on."""
    printed = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in printed else chr(next(others)) for byte in range(256)]
