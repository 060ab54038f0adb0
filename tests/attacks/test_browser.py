"""Whoever sends requests: with access, all arguments of all routes; without, what might tell or give something."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from html import unescape
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, text
from werkzeug.test import TestResponse, run_wsgi_app
from werkzeug.wrappers import Response

from flask_pg_audit import Access
from flask_pg_audit.ui.search import NAMES
from flask_pg_audit.ui.views import _ASKED
from tests.attacks.payloads import TEXTS
from tests.blog import Blog, blog
from tests.server import Database
from tests.ui_routes import EXAMPLES, routes

#: Seconds; a busy machine is slow, a catastrophic pattern takes for ever.
PATIENCE = 20


@pytest.fixture(scope="module")
def site(shared_database: Database) -> Iterator[Blog]:
    with blog(shared_database.url(), AUDIT_UI_REVERT=True, AUDIT_SEARCH_BUDGET=2_000) as made:
        made.audit.access_loader(lambda: Access(export=True, revert=True))
        made.app.testing = False  # as in production: an error is an answer
        with made.app.app_context():
            for sql in (
                "CREATE TABLE canary (id int)",
                "INSERT INTO post (title) VALUES ('first'), ('=1+1'), ('<b>bold</b>')",
                "UPDATE post SET title = title || '!'",
            ):
                made.db.session.execute(text(sql))
            made.db.session.commit()
        before = state(made)
        yield made
        assert state(made) == before


@pytest.fixture(scope="module")
def client(site: Blog) -> FlaskClient:
    return site.app.test_client()


def state(site: Blog) -> list[tuple[object, ...]]:
    """What no attack of this module may change."""
    return site.rows(
        "SELECT to_regclass('canary') IS NOT NULL, (SELECT count(*) FROM post), (SELECT max(title) FROM post), "
        "(SELECT count(*) FROM post_audit), (SELECT count(*) FROM audit_transaction)"
    )


def arguments() -> list[tuple[str, str]]:
    """Every argument of every route, those that all of them take, and those that might be taken for something else."""
    everywhere = "bind tz _external _scheme _host _anchor _method endpoint next"
    pairs = [(page, name) for page, names in _ASKED.items() for name in (names.split() if names else [])]
    return [*pairs, *(("index", name) for name in everywhere.split()), ("do_revert", "tz"), ("export", "bind")]


#: One of each kind for the arguments; all of them for the search.
KINDS = (
    "quote",
    "identifier",
    "parameters",
    "markup",
    "line breaks",
    "null character",
    "lone surrogate",
    "path",
    "other site",
    "big number",
    "digits of elsewhere",
)


def address(site: Blog, page: str, name: str, value: str) -> str:
    """A route's example with another value in it."""
    parts = urlsplit(EXAMPLES[f"audit.{page}"](site))
    query = dict(parse_qsl(parts.query)) | {name: value}
    return f"{parts.path}?{urlencode(query, errors='surrogatepass')}"


def assert_harmless(answer: Response | TestResponse, url: str) -> None:
    """Refused or answered, not failed; nothing of it is markup, a header, or leads elsewhere."""
    assert answer.status_code in (200, 204, 303, 400, 403, 404, 405, 409), (answer.status_code, url)
    assert not {"Set-Cookie", "stolen"} & {name for name, _ in answer.headers}
    assert "evil.example" not in answer.headers.get("Location", ""), url
    body = answer.get_data(as_text=True)
    assert "Traceback" not in body and "psycopg" not in body and "[SQL:" not in body, url
    if answer.mimetype == "text/html":
        assert "<script>alert" not in body and "<img src=x" not in body, url
        assert "7*749" not in body and not re.search(r"[^\\]\b49\b}", body), url
        for link in re.findall(r'(?:href|src|action)="([^"]*)"', body):
            assert re.match(r"/(?![/\\])|[?#]|$", unescape(link)), (link, url)
    else:
        assert answer.mimetype != "text/html" and answer.headers["X-Content-Type-Options"] == "nosniff"


#: Each argument with every other kind, the next one with the others.
ATTACKS = [(*where, kind) for number, where in enumerate(arguments()) for kind in KINDS[number % 2 :: 2]]


@pytest.mark.parametrize(("page", "name", "payload"), ATTACKS, ids=lambda part: part)
def test_an_argument_is_a_value_or_refused(site: Blog, client: FlaskClient, page: str, name: str, payload: str) -> None:
    url = address(site, page, name, TEXTS[payload])
    method = "POST" if page.startswith("do_") else "GET"
    form = urlencode(dict.fromkeys(("fpa_token", "reason"), TEXTS[payload]), errors="surrogatepass")
    began = time.monotonic()
    with client.open(url, method=method, data=form, content_type="application/x-www-form-urlencoded") as answer:
        assert_harmless(answer, url)
    assert time.monotonic() - began < PATIENCE


# The search

FIELDS = ["", *(name.replace("COLUMN", "title") for name in NAMES)]


@pytest.mark.parametrize("payload", TEXTS)
@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field or "text")
def test_a_search_is_a_value_or_a_mistake(client: FlaskClient, field: str, payload: str) -> None:
    """Each condition, plain and quoted; the JSON answer, which is asked for next, has no other meaning."""
    prefix = f"{field}:" if field else ""
    quoted = TEXTS[payload].replace('"', '""')
    query = f'{prefix}{TEXTS[payload]} -{prefix}"{quoted}"'
    began = time.monotonic()
    with client.get(f"/audit/?{urlencode({'q': query}, errors='surrogatepass')}") as answer:
        assert_harmless(answer, query[:100])
        assert len(answer.data) < 400_000
    assert time.monotonic() - began < PATIENCE


@pytest.mark.parametrize(
    "query",
    [
        "canary",
        *(f"{sign}{name}:x OR 1=1" for name in ("table", "key", "actor") for sign in ("", "-", "--")),
        "(" * 2_000,
        '"' * 1_999,
        ":" * 2_000,
        "-" * 2_000,
        "a:" * 1_000,
        "," * 2_000,
        "key:" + ",".join("9" * 19 for _ in range(90)),
        "transaction:" + "9" * 1_900,
        "at:" + "9" * 100 + "-01-01",
        "at:9999-12-31..0001-01-01",
        "new.title:" + "%" * 1_900,
        "new." + "t" * 1_900 + ":x",
        "x" * 1_000_000,
        "op:I " * 400,
    ],
    ids=lambda query: query[:12],
)
def test_a_search_that_is_to_exhaust_something(client: FlaskClient, query: str) -> None:
    began = time.monotonic()
    with client.get(f"/audit/api/changes?{urlencode({'q': query})}") as answer:
        assert answer.status_code in (200, 400) and len(answer.data) < 400_000
    assert time.monotonic() - began < PATIENCE


@pytest.mark.parametrize(
    "place",
    [
        "0.0",
        "-1.-1",
        f"{2**63 - 1}.{2**63 - 1}",
        f"{2**63}.1",
        f"-{2**63}.-{2**63}",
        "1." + "9" * 5_000,
        "1.1.1",
        "1e9.1",
    ],
    ids=lambda place: place[:12],
)
@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("page", ["index", "news", "api_changes", "api_transactions", "api_record", "record"])
def test_a_page_that_is_deep_or_nowhere(site: Blog, client: FlaskClient, page: str, side: str, place: str) -> None:
    with client.get(address(site, page, side, place)) as answer:
        assert_harmless(answer, place)


@pytest.mark.parametrize("limit", ["0", "-1", "1000000000", "9" * 400, "1e3", "\u0661", "", "NaN", "1;2", "0x10"])
@pytest.mark.parametrize("page", ["api_changes", "api_transactions", "api_record"])
def test_a_limit_is_one(site: Blog, client: FlaskClient, page: str, limit: str) -> None:
    with client.get(address(site, page, "limit", limit)) as answer:
        assert answer.status_code in (200, 400)
        assert len(answer.data) < 400_000


# Headers

HEADERS = {
    "Host": ["evil.example", "evil.example:80@localhost", "localhost/evil", "a" * 3_000, "[::1", "", "x\r\ny"],
    "X-Forwarded-Host": ["evil.example"],
    "X-Forwarded-Prefix": ["//evil.example", "/\\evil.example"],
    "X-Original-URL": ["/audit/export"],
    "X-Rewrite-URL": ["/audit/export"],
    "X-HTTP-Method-Override": ["POST", "DELETE"],
    "Referer": ["https://evil.example/", "javascript:alert(1)", "\xff\xfe"],
    "Origin": ["https://evil.example", "null", "\xff", "//"],
    "Accept": ["*/*;q=x", "application/json;q=1e999", "," * 5_000, "text/html;" + "a=b;" * 2_000, "\xff"],
    "Accept-Language": ["../../../etc/passwd", "de_" + "x" * 5_000, "en;q=nan", "\0", "*" * 5_000, "C", "\xff\xfe"],
    "User-Agent": ["' OR 1=1 --", "a" * 100_000, "\xff\xfe", "x\r\nSet-Cookie: stolen=1", "\0", "%s%n{}"],
    "X-Request-ID": [
        "x\r\nSet-Cookie: stolen=1",
        "a" * 100_000,
        "\xff",
        "\0",
        "'; --",
        "<script>alert(1)</script>",
        "=1+1",
    ],
    "Authorization": [
        "Basic !!!",
        "Basic " + "A" * 100_000,
        "Basic Og==",
        "Basic AAA6",
        "Basic gDo=",
        "Bearer \xff",
        "\0",
    ],
    "Cookie": ["session=" + "e" * 10_000, "session=.e.e.e", "\xff=\xff", ";" * 5_000],
    "Range": ["bytes=0-0,1-1,2-2", "bytes=-" + "9" * 100, "lines=x"],
    "If-Modified-Since": ["x", "Thu, 99 Foo 99999 99:99:99 GMT"],
    "If-None-Match": ['"' * 1_000, "*"],
    "Content-Length": ["-1", "9" * 30, "x"],
    "Transfer-Encoding": ["chunked, identity"],
    "Sec-Fetch-Site": ["cross-site", "\xff", ""],
}


def send(site: Blog, path: str = "/audit/", method: str = "GET", **environ: object) -> Response:
    """As a server would hand it on that lets everything through: nothing is checked or normalised before."""
    base = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "HTTP_HOST": "localhost",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "SCRIPT_NAME": "",
    }
    body, status, headers = run_wsgi_app(site.app.wsgi_app, {**base, **environ}, buffered=True)
    return Response(body, status, headers)


def in_environ(name: str) -> str:
    key = name.upper().replace("-", "_")
    return key if key == "CONTENT_LENGTH" else f"HTTP_{key}"


@pytest.mark.parametrize(
    ("name", "value"), [(n, v) for n, values in HEADERS.items() for v in values], ids=lambda p: p[:20]
)
def test_a_header_is_not_believed(site: Blog, name: str, value: str) -> None:
    for path in ("/audit/", "/audit/export", "/audit/static/audit.css"):
        answer = send(site, path, **{in_environ(name): value})
        assert answer.status_code in (200, 206, 304, 400, 404, 416), answer.status
        assert not {"Set-Cookie", "stolen"} & {header for header, _ in answer.headers}
        for header, text_ in answer.headers:
            assert not re.search("[\r\n]|evil[.]example", text_), header
        assert "evil.example" not in answer.get_data(as_text=True)


@pytest.mark.parametrize("site_", ["cross-site", "same-site", "\xff", ""])
def test_another_site_sends_no_form(site: Blog, site_: str) -> None:
    query = urlsplit(EXAMPLES["audit.do_revert"](site)).query
    answer = send(site, "/audit/revert", "POST", QUERY_STRING=query, HTTP_SEC_FETCH_SITE=site_)
    assert answer.status_code == 403 and "another site" in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "", "http://localhost.evil.example", "http://localhost:81", "//"]
)
def test_another_origin_sends_no_form(site: Blog, origin: str) -> None:
    query = urlsplit(EXAMPLES["audit.do_revert"](site)).query
    answer = send(site, "/audit/revert", "POST", QUERY_STRING=query, HTTP_ORIGIN=origin)
    assert answer.status_code == 403


# Paths

PATHS = [
    "/audit/static/../views.py",
    "/audit/static/../../web/config.py",
    "/audit/static/..\\views.py",
    "/audit/static/%2e%2e/views.py",
    "/audit/static/..%2fviews.py",
    "/audit/static/....//views.py",
    "/audit/static//etc/passwd",
    "/audit/static/C:/windows/win.ini",
    "/audit/static/audit.css\0.py",
    "/audit/static/\0",
    "/audit/static/",
    "/audit/static/.",
    "/audit/static/..",
    "/audit/static/../templates/flask_pg_audit/base.html",
    "/audit/static/" + "a" * 5_000,
    "/audit/static/con",
    "/audit/static/\xff\xfe",
    "/static/../flask_pg_audit/ui/views.py",
    "//evil.example/audit/",
    "///evil.example/..;/audit",
    "/\\evil.example/audit/",
    "/audit//evil.example/",
    "/audit/..",
    "/audit/../audit",
    "/audit/;/",
    "/audit/%2f%2fevil.example",
    "/audit/\r\nSet-Cookie: stolen=1",
    "/audit/api",
    "/audit/api/",
    "/audit/record/../export",
    "http://evil.example/audit",
    "",
]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: ascii(path)[:40])
def test_a_path_leads_nowhere_else(site: Blog, path: str) -> None:
    answer = send(site, path, HTTP_HOST="localhost")
    assert answer.status_code in (308, 400, 404), answer.status
    assert "import" not in answer.get_data(as_text=True) and "{%" not in answer.get_data(as_text=True)
    assert not {"Set-Cookie", "stolen"} & {header for header, _ in answer.headers}
    if answer.status_code == 308:
        target = urlsplit(answer.headers["Location"])
        assert target.netloc in ("", "localhost") and not re.match(r"[/\\]{2}", target.path)


@pytest.mark.parametrize(
    "root", ["//evil.example", "/\\evil.example", "https://evil.example", "/a\r\nSet-Cookie: stolen=1"]
)
def test_a_root_that_is_another_site_is_in_no_header(site: Blog, root: str) -> None:
    """A server that takes ``SCRIPT_NAME`` from a header gives this away, but not as a redirect or a ``Link``."""
    answer = send(site, QUERY_STRING="submitted=1&q=x", SCRIPT_NAME=root)
    for header, value in answer.headers:
        assert not re.search(r"\r|\n", value), header


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "evil.example:80"])
def test_nobody_is_sent_on_to_the_host_that_a_header_names(site: Blog, host: str) -> None:
    answer = send(site, "/audit", HTTP_HOST=host)
    assert answer.status_code == 200 and "evil" not in str(answer.headers) + answer.get_data(as_text=True)


# Those who are not let in

EXISTS = {
    "audit.transaction": ("id", ["1", "987654", "x"]),
    "audit.change": ("at", ["1.1", "987654.1", "x"]),
    "audit.record": ("key", ["1", "987654", "'"]),
    "audit.table": ("name", ["post", "no_such_table", "pg_class"]),
    "audit.index": ("bind", ["", "no_such_bind"]),
    "audit.static": ("v", ["1", "2"]),
    "audit.export": ("format", ["csv", "no_such_format"]),
    "audit.api_record": ("key", ["1", "987654", "'"]),
    "audit.revert": ("key", ["1", "987654", "'"]),
    "audit.api_changes": ("q", ["first", "table:post", "table:no_such_table", "("]),
}


@pytest.fixture
def closed(site: Blog) -> Iterator[Blog]:
    rule = site.audit._callbacks.access_loader
    site.audit.access_loader(lambda: False)
    yield site
    site.audit._callbacks.access_loader = rule


@pytest.mark.parametrize("endpoint", EXISTS)
def test_what_is_there_is_answered_as_what_is_not(closed: Blog, endpoint: str) -> None:
    """Byte for byte, and without a question to the database that could take longer for the one."""
    sent: list[str] = []
    with closed.app.app_context():
        engine = closed.db.engine
    event.listen(engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
    event.listen(engine, "checkout", lambda *args: sent.append("a connection"))
    name, values = EXISTS[endpoint]
    page = endpoint.removeprefix("audit.")
    client = closed.app.test_client()
    examples = [address(closed, page, name, value) for value in values]
    sent.clear()
    answers = [client.get(url) for url in examples]
    assert {answer.status_code for answer in answers} == {403}
    assert len({(answer.data, str(sorted(answer.headers))) for answer in answers}) == 1
    assert sent == []


@pytest.mark.parametrize(
    "method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "PROPFIND", "x"]
)
def test_no_method_is_let_in(closed: Blog, method: str) -> None:
    client = closed.app.test_client()
    for url in ("/audit", *(url for _, url in routes(closed))):
        with client.open(url, method=method) as answer:
            assert answer.status_code in (403, 404, 405) and b"first" not in answer.data, url


def test_the_time_of_a_refusal_tells_nothing(closed: Blog) -> None:
    """Coarsely: the medians of many, asked by turns."""
    client = closed.app.test_client()
    urls = [f"/audit/record?table={table}&key={key}" for table, key in (("post", 1), ("post", 987654), ("no_such", 1))]
    times: dict[str, list[float]] = {url: [] for url in urls}
    for _ in range(60):
        for url in urls:
            began = time.perf_counter()
            client.get(url)
            times[url].append(time.perf_counter() - began)
    medians = [sorted(found)[30] for found in times.values()]
    assert max(medians) < 3 * min(medians)


# Downloads


@pytest.mark.parametrize("format_", ["csv", "ndjson", "json"])
def test_a_download_is_a_file_whatever_is_asked_for(client: FlaskClient, format_: str) -> None:
    """The name is ours, and no browser takes it for a page."""
    query = urlencode({"format": format_, "q": "", "filename": 'x"\r\nSet-Cookie: stolen=1'})
    with client.get(f"/audit/export?{query}") as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Disposition"] == f'attachment; filename="audit-log.{format_}"'
        assert answer.headers["X-Content-Type-Options"] == "nosniff" and answer.mimetype != "text/html"
        if format_ == "csv":
            cells = re.findall(r'(?:^|,)("(?:[^"]|"")*"|[^,\r\n]*)', answer.get_data(as_text=True), re.MULTILINE)
            assert not [cell for cell in cells if re.match(r'"?[=+@]', cell)]


def test_a_download_that_is_broken_off_gives_its_connection_back(site: Blog) -> None:
    """Fifty times, with a pool of one connection."""
    for _ in range(50):
        answer = site.app.test_client().get("/audit/export?format=csv")
        next(iter(answer.response))
        answer.close()
    assert site.app.test_client().get("/audit/").status_code == 200
