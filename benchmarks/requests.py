"""What people ask of the pages on a history of :mod:`.big_history`, each as the URL of a request.

To measure something else, add a :class:`Request`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlencode

from benchmarks.readings import Landmarks

#: Who asks: one who sees everything, one who sees a part of the rows, and one who sees a part of the columns.
Who = Literal["everything", "scope", "columns"]


@dataclass(frozen=True)
class Request:
    """Something to ask for.

    :ivar what: for people, in the figures.
    :ivar who: under which access rule.
    """

    name: str
    what: str
    url: str
    who: Who = "everything"


#: Searches by name: what no index serves, what one does, and what there is not.
SEARCHES = {
    "frequent text": "Lorem",
    "rare text": '"Product 4711"',
    "absent text": "occursnowhere",
    "text in a table": "table:article edition",
    "absent text in a table": "table:article occursnowhere",
    "excluded text": "-Lorem",
    "column often changed": "changed:stock",
    "column rarely changed": "changed:name",
    "column never changed": "changed:active",
    "frequent value": "new.status:paid",
    "rare value": "new.price:101.99 new.stock:13",
    "absent value": "new.status:lost",
    "value before": "old.status:new new.status:lost",
    "truncates": "op:truncate",
    "baselines": "op:baseline",
    "deletes of a user": "actor:user1 op:delete",
    "actor": "actor:user250",
    "busy actor": "actor:integration",
    "rare actor": "actor:auditor",
    "former actor": "actor:former",
    "absent actor": "actor:nemo",
    "nobody": "actor:nobody",
    "actor elsewhere": "actor:integration table:purchase",
    "actors": "actor:auditor,former",
    "not an actor": "-actor:integration",
    "nobody but some": "-actor:integration,nobody -op:insert,update,delete",
    "reason": 'reason:"called in"',
    "address": "ip:192.0.2.7",
    "absent address": "ip:203.0.113.1",
    "path": "path:/api/7",
    "absent endpoint": "endpoint:nowhere",
    "role": "role:postgres",
    "absent role": "role:nobody",
    "request": "request:nowhere",
    "record": "table:product key:1",
    "day": "at:2025-01-01",
    "month": "at:2025-01",
    "year": "at:2025",
    "minute": "at:2025-01-01T12:00",
    "after the end": "at:2026-02-01..",
    "actor in a month": "actor:user3 at:2025-01",
    "absent in a month": "occursnowhere at:2025-01",
    "absent in a year": "occursnowhere at:2025-01-01..2025-12-30",
    "absent until": "occursnowhere at:..2024-06-30",
    "former actor in a month": "actor:former at:2025-06",
    "many together": "-table:visit op:update changed:price new.active:true actor:user9 at:2025-03..2025-04 Product",
    "many absent together": "table:product op:update changed:active new.sku:none actor:integration occursnowhere",
}


def requests(marks: Landmarks) -> Iterator[Request]:
    """Everything that is measured."""
    yield from _feed(marks)
    for name, query in SEARCHES.items():
        yield Request(f"search: {name}", query, _url("/", q=query))
    yield from _old_searches(marks)
    yield from _records(marks)
    yield from _transactions(marks)
    yield from _activity()
    yield from _programs(marks)
    yield from _narrowed(marks)


def _feed(marks: Landmarks) -> Iterator[Request]:
    middle = marks.transactions // 2
    yield Request("feed", "the newest page", "/")
    yield Request("feed, middle", "a page in the middle", _url("/", before=middle))
    yield Request("feed, backwards", "the same, towards the newest", _url("/", after=middle))
    yield Request("feed, oldest", "the oldest page", _url("/", before=20))
    yield Request("feed, imports", "a page with a transaction of many changes", _url("/", before=marks.import_ + 1))
    yield Request("feed, baseline", "transactions of a thousand changes each", _url("/", before=80))


def _old_searches(marks: Landmarks) -> Iterator[Request]:
    middle = marks.transactions // 2
    for name in ("absent text", "column never changed", "rare value", "truncates", "actor elsewhere"):
        query = SEARCHES[name]
        yield Request(f"search: {name}, further", query, _url("/", q=query, before=middle))
        yield Request(f"search: {name}, back", query, _url("/", q=query, after=middle))


def _records(marks: Landmarks) -> Iterator[Request]:
    usual, busy = {"table": "product", "key": marks.record}, {"table": "product", "key": 1}
    yield Request("record", "a record", _url("/record", **usual))
    yield Request("record, busy", "a record with thousands of changes", _url("/record", **busy))
    yield Request("record, as of", "as it was a year ago", _url("/record", **busy, **{"as-of": "2025-01-01T00:00"}))
    yield Request("record, as of the start", "before everything", _url("/record", **busy, **{"as-of": "2024-01-01"}))
    yield Request("record, absent", "one that there is not", _url("/record", table="product", key=-1))
    versions = {"a": "@first", "b": "@last"}
    yield Request("record, compared", "its first and its last version", _url("/record", **busy, **versions))
    purchase = {"table": "purchase", "key": 4}
    yield Request("record, children", "with its lines", _url("/record", **purchase, **{"with": "lines"}))
    yield Request("change", "one change", "/change?table=product&at=@last")


def _transactions(marks: Landmarks) -> Iterator[Request]:
    yield Request("transaction", "a transaction", _url("/transaction", id=marks.transactions // 2))
    yield Request("transaction, import", "with 20,000 changes", _url("/transaction", id=marks.import_))
    yield Request("transaction, later", "the same, in the middle", "/transaction?id=@import&after=@inside")
    yield Request("transaction, table", "of one table", _url("/transaction", id=marks.import_, table="product"))


def _activity() -> Iterator[Request]:
    for name in ("24h", "7d", "30d", "1y"):
        yield Request(f"overview, {name}", "the overview", _url("/overview", range=name))
        for table in ("product", "setting"):
            yield Request(f"{table}, {name}", "a table", _url("/table", name=table, range=name))
    yield Request("tables", "all tables", "/table")
    yield Request("views", "who read the log", "/views")


def _programs(marks: Landmarks) -> Iterator[Request]:
    middle = marks.transactions // 2
    yield Request("api: tables", "the tables", "/api/tables")
    yield Request("api: openapi", "the description", "/api/openapi.json")
    yield Request("api: record", "a busy record", _url("/api/record", table="product", key=1))
    for place in ("transactions", "changes"):
        yield Request(f"api: {place}", "the newest", f"/api/{place}")
        for name in ("absent text", "column never changed", "truncates", "busy actor", "actor elsewhere"):
            yield Request(f"api: {place}, {name}", SEARCHES[name], _url(f"/api/{place}", q=SEARCHES[name]))
    yield Request("api: transactions, middle", "in the middle", _url("/api/transactions", before=middle))
    yield Request("api: changes, middle", "in the middle", _url("/api/changes", before=f"{middle}.0"))


def _narrowed(marks: Landmarks) -> Iterator[Request]:
    """For those who see a part. What is out of sight is far to look past."""
    record = {"table": "product", "key": 1}
    pages = {
        "feed": "/",
        "feed, middle": _url("/", before=marks.transactions // 2),
        "search": _url("/", q="Lorem"),
        "search: absent text": _url("/", q=SEARCHES["absent text"]),
        "search: actor": _url("/", q="actor:user250"),
        "search: actor elsewhere": _url("/", q=SEARCHES["actor elsewhere"]),
        "search: column never changed": _url("/", q="changed:stock new.stock:-1"),
        "record": _url("/record", **record),
        "record, as of": _url("/record", **record, **{"as-of": "2025-01-01T00:00"}),
        "transaction, import": _url("/transaction", id=marks.import_),
        **{f"overview, {name}": _url("/overview", range=name) for name in ("24h", "7d", "30d", "1y")},
        **{f"product, {name}": _url("/table", name="product", range=name) for name in ("24h", "1y")},
        "tables": "/table",
        "api: transactions": "/api/transactions",
        "api: changes": "/api/changes",
        "api: record": _url("/api/record", **record),
    }
    for name, url in pages.items():
        yield Request(f"scope: {name}", "of one who sees a part of the rows", url, "scope")
        yield Request(f"columns: {name}", "of one who sees a part of the columns", url, "columns")


def _url(path: str, **arguments: object) -> str:
    return f"{path}?{urlencode(arguments)}"
