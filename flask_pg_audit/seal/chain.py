"""The seals themselves: whether each is what it was, and whether all of them are there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .canonical import FORMAT
from .finding import (
    KEY_UNKNOWN,
    SEAL_CHANGED,
    SEAL_MISSING,
    SIGNATURE_MISSING,
    SIGNATURE_WRONG,
    Findings,
    SealFinding,
)
from .keys import SealKey
from .record import Seal


def check_chain(
    stored: Mapping[int, Seal | None], copies: Mapping[int, Seal], keys: Mapping[str, SealKey], findings: Findings
) -> tuple[Seal, ...]:
    """Compare what the database has with the copies, each seal with the one before, and check the signatures.

    :param stored: the seals of the database, ``None`` where something else is stored.
    :param copies: those that were kept elsewhere. Where there is one it counts, since it was out of reach.
    :returns: the seals by which the rows are to be judged, in order.
    """
    _compare(stored, copies, findings)
    seals: dict[int, Seal] = {**{number: seal for number, seal in stored.items() if seal is not None}, **copies}
    for number in _missing(stored, copies):
        where = "; there is a copy of it" if number in copies else ""
        findings.add(SealFinding(SEAL_MISSING, number, detail=f"it was deleted{where}"))
    chain = tuple(seals[number] for number in sorted(seals))
    for seal in chain:
        _check_link(seal, seals.get(seal.id - 1), findings)
    _check_signatures(chain, keys, findings)
    return chain


def _missing(stored: Mapping[int, Seal | None], copies: Mapping[int, Seal]) -> Iterable[int]:
    """Also where somebody renumbered the last one to a number beyond all measure."""
    numbers = sorted({*stored, *copies})
    wanted = {*copies, *range(1, len(numbers) + 1), *(number - 1 for number in numbers if number > 1)}
    return sorted(wanted - stored.keys()) if numbers else ()


def _compare(stored: Mapping[int, Seal | None], copies: Mapping[int, Seal], findings: Findings) -> None:
    for number, seal in stored.items():
        copy = copies.get(number)
        if seal is None:
            findings.add(SealFinding(SEAL_CHANGED, number, detail="what is stored is no seal"))
        elif copy is not None and copy != seal:
            what = _first_difference(seal, copy)
            findings.add(SealFinding(SEAL_CHANGED, number, detail=f"its copy has another {what}"))


def _first_difference(seal: Seal, copy: Seal) -> str:
    theirs = {**copy.content(), "hash": copy.hash, "signature": copy.signature}
    ours = {**seal.content(), "hash": seal.hash, "signature": seal.signature}
    return next(name for name in ours if ours[name] != theirs[name])


def _check_link(seal: Seal, before: Seal | None, findings: Findings) -> None:
    if seal.format != FORMAT:
        findings.add(SealFinding(SEAL_CHANGED, seal.id, detail=f"this version does not know its format {seal.format}"))
    if seal.digest().hex() != seal.hash:
        findings.add(SealFinding(SEAL_CHANGED, seal.id, detail="its content does not fit its hash"))
    # Where the one before is missing, that is a finding already.
    is_wrong = seal.previous != before.hash if before is not None else seal.id == 1 and seal.previous is not None
    if is_wrong:
        findings.add(SealFinding(SEAL_CHANGED, seal.id, detail=f"it does not continue seal {seal.id - 1}"))


def _check_signatures(chain: Sequence[Seal], keys: Mapping[str, SealKey], findings: Findings) -> None:
    """An unsigned seal is vouched for by a signed one behind it, as that one has its hash."""
    vouched = 0
    for seal in chain:
        if seal.key_id is None and seal.signature is None:
            continue
        key = keys.get(seal.key_id or "")
        if key is None:
            findings.add(SealFinding(KEY_UNKNOWN, seal.id, detail=f"it names {seal.key_id}"))
        elif not _is_signed(seal, key):
            findings.add(SealFinding(SIGNATURE_WRONG, seal.id, detail=f"it names {seal.key_id}"))
        else:
            vouched = seal.id
    for seal in chain:
        if keys and seal.key_id is None and seal.signature is None and seal.id > vouched:
            findings.add(SealFinding(SIGNATURE_MISSING, seal.id))


def _is_signed(seal: Seal, key: SealKey) -> bool:
    try:
        return seal.signature is not None and key.verify(seal.digest(), bytes.fromhex(seal.signature))
    except ValueError:
        return False


def first_of_each(seals: Iterable[Seal]) -> dict[int, Seal]:
    """By number; of a number that occurs twice the first, since files of copies are only appended to."""
    found: dict[int, Seal] = {}
    for seal in seals:
        found.setdefault(seal.id, seal)
    return found
