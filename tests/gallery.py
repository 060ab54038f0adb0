"""An app whose log has whatever a page may have to show, served to a browser, and a walk through its pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from jinja2 import ChoiceLoader, DictLoader
from sqlalchemy import URL, Column, Date, Integer, LargeBinary, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from flask_pg_audit import Access, audited, install_audit_triggers
from tests.orders import Shop, shop

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).parents[1]

#: A page of a host, as strict about its own styles as ours are, in a language that is written from right to left.
HOST = """<!doctype html>
<html lang="{lang}" dir="{dir}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{% block title %}}{{% endblock %}}</title>{{% block head %}}{{% endblock %}}</head>
<body><header><p>The host</p></header><main>{{% block content %}}{{% endblock %}}</main></body></html>"""

#: Names and values that are there to break out of a page, or of its width.
ARABIC, HEBREW = "طلب جديد من العميل", "הזמנה 42 (דחופה)"
HOSTILE = [
    "<script>alert(1)</script>",
    "'\"></a><img src=//elsewhere.example/x onerror=alert(1)>",
    "\u202eoops\u2066 \u200f\u200b",
    "x" * 3_000,
    "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘!͖̬̰̙̗̿̋ͥͥ̂ͣ̐́́͜͞",
    ARABIC,
    HEBREW,
    " \t\n ",
    "",
    "https://elsewhere.example/" + "a" * 200,
    "javascript:alert(1)",
]

_LONG = "w" * 60


@contextmanager
def gallery(url: URL, **config: Any) -> Iterator[Shop]:
    """A shop whose history is lively and hostile; who reads it may do everything."""
    settings = {
        "AUDIT_PAGE_SIZE": 8,
        "AUDIT_UI_TIME_ZONE": "Asia/Kolkata",
        "AUDIT_UI_REVERT": True,
        "SECRET_KEY": "test",
    }
    with shop(url, **settings, **config) as site:
        site.audit.access_loader(lambda: Access(export=True, revert=True))
        for lang, direction in (("en", "ltr"), ("ar", "rtl")):
            loader = DictLoader({f"host-{direction}.html": HOST.format(lang=lang, dir=direction)})
            site.app.jinja_env.loader = ChoiceLoader([loader, *filter(None, [site.app.jinja_env.loader])])
        yield site


def fill(site: Shop) -> None:
    """Make the history."""
    table = site.db.Table(
        'we"ird <b>أرشيف',
        Column("id", Integer, primary_key=True),
        Column("kind/%", Text, primary_key=True),
        Column(_LONG, Text),
        Column("document", JSONB),
        Column("bytes", LargeBinary),
        Column("tags", ARRAY(Text)),
        Column("day", Date),
        info=audited(),
    )
    with site.app.app_context():
        site.db.create_all()
        install_audit_triggers(site.db.metadata, site.db.engine)
        for number, text in enumerate(HOSTILE):
            with (
                site.audit.context(username=text[:70] or None, reason=text[:200], command=text[:200] or "cron"),
                site.db.engine.begin() as connection,
            ):
                key = {"id": number, "kind/%": f"{text[:20]}, {number}"}
                document = {"plan": {"name": "free", text[:40]: [number, None, text]}}
                row = {_LONG: text, "document": document, "bytes": b"\0\xff" * 400, "tags": [text[:40], ""]}
                connection.execute(table.insert().values(key | row))
                changed = {_LONG: text[::-1] + "!", "document": {**document, "plan": {"name": "pro"}}, "day": None}
                connection.execute(table.update().where(table.c.id == number).values(changed))
    site.run(
        "INSERT INTO \"order\" SELECT g, g, 'order ' || g FROM generate_series(1, 30) g",
        f"UPDATE \"order\" SET note = '{ARABIC}', secret = '{HEBREW}' WHERE id = 1",
        "UPDATE \"order\" SET note = repeat('long words ', 300) WHERE id = 1",
        "UPDATE \"order\" SET note = repeat('long words ', 150) || 'short ' || repeat('long words ', 149) WHERE id = 1",
        "INSERT INTO line VALUES (1, 1, repeat('x', 300)), (2, 1, NULL)",
        "INSERT INTO order_tag VALUES (1, 'urgent, \"now\"'), (1, '\u202etfel')",
        "DELETE FROM order_tag WHERE tag LIKE 'urgent%'",
        "DELETE FROM line WHERE id = 2",
        "INSERT INTO line SELECT g, 2, 'bulk' FROM generate_series(100, 700) g",
        "TRUNCATE order_tag",
        "ALTER TABLE order_tag DISABLE TRIGGER ALL",
    )


#: Keeps what the policy refuses, before anything of the page runs.
WATCH = """
window.refused = [];
addEventListener("securitypolicyviolation",
  (event) => window.refused.push(event.violatedDirective + " " + event.blockedURI));
"""

#: Every link, those of drawings too.
LINKS = """() => [...document.querySelectorAll("a[href]")]
  .map((link) => new URL(link.getAttribute("href"), location.href).href)"""

#: Opens what can be opened, without a click, which nothing hears where scripts are off.
OPEN = '() => document.querySelectorAll("details").forEach((details) => { details.open = true; })'

#: What is wider than the window, in words.
WIDE = """() => [...document.querySelectorAll(".fpa-root *")]
  .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
  .filter((element) => getComputedStyle(element).clipPath === "none")
  .slice(0, 3).map((element) => element.outerHTML.slice(0, 200))"""


@dataclass
class Walk:
    """A visit to the pages, from the first one on along every link.

    :ivar base: what every address has to begin with.
    :ivar complaints: what the browser did not like.
    :ivar asked: every address that the browser asked for.
    :ivar seen: the pages, by what kind each is.
    """

    page: Page
    base: str
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    seen: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        page = self.page
        page.on("console", lambda message: self.complaints.append(f"{page.url}: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        page.on("request", lambda request: self.asked.append(request.url))
        page.route("**/favicon.ico", lambda route: route.fulfill(status=204))  # browsers ask the host for one
        page.add_init_script(WATCH)

    def visit(self, each: int = 1) -> Iterator[str]:
        """Open the pages one after the other; so many of each kind.

        :raises AssertionError: a page is not answered, or a link leads to somewhere else.
        """
        waiting, number = [f"{self.base}/"], Counter[str]()
        while waiting:
            url = waiting.pop(0)
            kind = kind_of(url)
            if number[kind] >= each or url in self.seen.values():
                continue
            number[kind] += 1
            self.seen[f"{kind} {number[kind]}"] = url
            if "/export" in kind:
                self._download(url)
                continue
            answer = self.page.goto(url)
            assert answer is not None and answer.status == 200, (answer and answer.status, url)
            self._check_policy(answer.headers.get("content-security-policy", ""))
            if "/api/" in kind:
                continue
            links = [link.partition("#")[0] for link in self.page.evaluate(LINKS)]
            assert all(link.startswith(f"{self.base}/") for link in links), (url, links)
            waiting += dict.fromkeys(links)
            yield url
            self.complaints += [f"{url}: {what}" for what in self.page.evaluate("window.refused ?? []")]

    def check(self) -> None:
        """Nothing was complained of, and nothing was asked of anybody else."""
        assert self.complaints == []
        host = self.base.rpartition("/audit")[0].split("/", 3)[2]
        foreign = [url for url in self.asked if urlsplit(url).netloc != host and not url.startswith("data:")]
        assert foreign == []

    def _download(self, url: str) -> None:
        answer = self.page.request.get(url)
        assert answer.status == 200 and "attachment" in answer.headers["content-disposition"], url

    def _check_policy(self, policy: str) -> None:
        for part in ("default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'"):
            assert part in policy
        for part in ("form-action 'self'", "connect-src 'self'"):
            assert part in policy
        assert "unsafe" not in policy and "nonce" not in policy


def kind_of(url: str) -> str:
    """What distinguishes pages that are made in different ways: the place, and which arguments there are."""
    parts = urlsplit(url)
    arguments = dict(parse_qsl(parts.query))
    if "tz" in arguments:  # the same pages with other times
        return f"{parts.path.rpartition('/audit')[2]}?tz"
    return f"{parts.path.rpartition('/audit')[2]}?{'&'.join(sorted(arguments))}"
