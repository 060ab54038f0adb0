"""What the history keeps instead of a column's values: arguments of ``audited(mask={…})``."""

from .declare.mask import Fixed, Keyed, Partial, fixed, keyed, partial

__all__ = ["Fixed", "Keyed", "Partial", "fixed", "keyed", "partial"]
