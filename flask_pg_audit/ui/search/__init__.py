"""The search: one text that says which changes are wanted, read into a filter and written back into URLs."""

from .form import Form, form_of
from .names import NAMES
from .parse import MAX_LENGTH, MAX_VALUES, parse
from .query import Mistake, Query
from .term import Term

__all__ = ["MAX_LENGTH", "MAX_VALUES", "NAMES", "Form", "Mistake", "Query", "Term", "form_of", "parse"]
