"""Reading the history: composable selects over the audit tables, and what they give as plain values."""

from .as_of import as_of
from .change import Change, Image
from .changes import Changes, changes_of
from .diff import ABSENT, Diff, FieldDiff, diff
from .family import family
from .feed import Page, feed, read_changes, read_feed
from .filter import ANY, ChangeFilter
from .json_diff import JsonDiff, format_path, json_diff
from .key import format_key, parse_key
from .moment import Moment
from .past_object import get_as_of
from .position import Position
from .relationship import audit_table_of, history_relationship
from .text_diff import Segment, word_diff
from .timeline import read_transaction, timeline
from .transactions import Count, Transaction, TransactionPage, read_transactions

__all__ = [
    "ABSENT",
    "ANY",
    "Change",
    "ChangeFilter",
    "Changes",
    "Count",
    "Diff",
    "FieldDiff",
    "Image",
    "JsonDiff",
    "Moment",
    "Page",
    "Position",
    "Segment",
    "Transaction",
    "TransactionPage",
    "as_of",
    "audit_table_of",
    "changes_of",
    "diff",
    "family",
    "feed",
    "format_key",
    "format_path",
    "get_as_of",
    "history_relationship",
    "json_diff",
    "parse_key",
    "read_changes",
    "read_feed",
    "read_transaction",
    "read_transactions",
    "timeline",
    "word_diff",
]
