"""Where one word ends and the next begins."""

from __future__ import annotations

import functools
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator

# Scripts that put no space between words, as ranges: Thai, Lao, Myanmar, Khmer, kana and Bopomofo, Han. Each of their
# characters is a word.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
_JOINER = "\u200d"
# What belongs to the character before it though Unicode does not call it a mark: the non-joiner, skin tones, tags.
_MODIFIERS = "\u200c\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f"
_FLAG_LETTERS = "\U0001f1e6-\U0001f1ff"


def split_words(text: str) -> list[str]:
    """Words and what is between them; joined, they are ``text``.

    A word is a run of letters, digits and marks. In scripts that put no space between words each character is one. All
    else comes character by character, where a character is what a reader takes for one: with its marks, an emoji that
    is joined of several, a flag.
    """
    return _pattern().findall(text)


def is_start(text: str, place: int) -> bool:
    """Whether it is certain that a word begins at ``place``, or the text ends, whatever else is in the text."""
    return place in (0, len(text)) or _start().match(text, place) is not None


@functools.cache
def _pattern() -> re.Pattern[str]:
    extensions = _extensions()
    letters = f"[^\\W_{_UNSPACED}]"
    word = f"{letters}+(?:[{extensions}{_JOINER}]+{letters}*)*"
    flag = f"[{_FLAG_LETTERS}]{{2}}"
    # What is joined is no letter: two of those are a word, which may contain a joiner.
    character = f".[{extensions}]*(?:{_JOINER}[^\\w\\s][{extensions}]*)*"
    return re.compile(f"{word}|{flag}|{character}", re.DOTALL)


@functools.cache
def _start() -> re.Pattern[str]:
    # After a space, or before a character that neither continues a word nor is joined to another.
    alone = f"(?<!{_JOINER})(?=[!-/:-@[-`{{-~\\s{_UNSPACED}])"
    return re.compile(f"(?:(?<=\\s)|{alone})(?![{_extensions()}{_JOINER}])")


@functools.cache
def _extensions() -> str:
    """The marks of this Python's Unicode and the other modifiers, as ranges."""
    # All of them are in the first two planes, except for variation selectors. Takes 20 ms, once.
    marks = [code for code in range(0x20000) if unicodedata.category(chr(code)).startswith("M")]
    return "".join(_ranges(marks)) + "\U000e0100-\U000e01ef" + _MODIFIERS


def _ranges(codes: Iterable[int]) -> Iterator[str]:
    start = end = -1
    for code in (*codes, sys.maxunicode):
        if code != end + 1:
            if start >= 0:
                yield f"{chr(start)}-{chr(end)}"
            start = code
        end = code
