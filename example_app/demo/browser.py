"""What a person's browser does, in as little as possible: cookies, links, and forms with what is in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin
from urllib.request import HTTPCookieProcessor, ProxyHandler, Request, build_opener

from . import DemoError

Attributes = list[tuple[str, str | None]]


@dataclass
class Form:
    """A form of a page.

    :ivar fields: what is in it so far; the buttons are not among them.
    """

    action: str
    fields: dict[str, str] = field(default_factory=dict)


class Page(HTMLParser):
    """A page that was opened: its address, its text, its links by their text, and its forms.

    :ivar next: where the page after this one is, if the page is one of several.
    """

    def __init__(self, url: str, text: str) -> None:
        super().__init__()
        self.url = url
        self.text = text
        self.links: dict[str, str] = {}
        self.next: str | None = None
        self.forms: list[Form] = []
        self._link: str | None = None
        self._filling: str | None = None
        self.feed(text)

    def form(self, action: str) -> Form:
        """The form that goes to that address; ``""`` is the page's own."""
        found = [form for form in self.forms if form.action == action]
        if not found:
            raise DemoError(f"{self.url} has no form for {action or 'itself'}")
        return found[0]

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        """Called by the parser."""
        attributes = {name: value or "" for name, value in attrs}
        name = attributes.get("name", "")
        if tag == "a":
            self._link = attributes.get("href")
            self.next = self._link if attributes.get("rel") == "next" else self.next
        elif tag == "form":
            self.forms.append(Form(attributes.get("action", "")))
        elif tag == "input" and self.forms:
            self.forms[-1].fields[name] = attributes.get("value", "")
        elif tag in ("select", "textarea"):
            self._filling = name
            if tag == "textarea":
                self.forms[-1].fields[name] = ""
        elif tag == "option" and self._filling is not None:
            chosen = "selected" in attributes or self._filling not in self.forms[-1].fields
            if chosen:
                self.forms[-1].fields[self._filling] = attributes.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        """Called by the parser."""
        if tag == "a":
            self._link = None
        elif tag in ("select", "textarea"):
            self._filling = None

    def handle_data(self, data: str) -> None:
        """Called by the parser."""
        if self._link is not None:
            self.links[data.strip()] = self._link
        elif self._filling is not None and self.lasttag == "textarea":
            self.forms[-1].fields[self._filling] = data


class Browser:
    """One person's browser, with cookies of its own."""

    def __init__(self, address: str, user_agent: str) -> None:
        self.address = address
        # No proxy, whatever the environment says: the server is this process.
        self._opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(CookieJar()))
        self._opener.addheaders = [("User-Agent", user_agent)]

    def open(self, path: str) -> Page:
        """Open a page, by its address or by what is relative to the shop's."""
        return self._request(Request(urljoin(self.address, path)))

    def follow(self, path: str, link: str) -> Page:
        """Open a page and click on one of its links."""
        page = self.open(path)
        if link not in page.links:
            raise DemoError(f"{page.url} has no link {link!r}")
        return self.open(urljoin(page.url, page.links[link]))

    def submit(self, page: Page | str, action: str = "", /, **typed: object) -> Page:
        """Submit a form of a page, with what is in it already and what is typed."""
        if isinstance(page, str):
            page = self.open(page)
        values = {**page.form(action).fields, **{name: str(value) for name, value in typed.items()}}
        return self._request(Request(urljoin(page.url, action or page.url), data=urlencode(values).encode()))

    def _request(self, request: Request) -> Page:
        try:
            with self._opener.open(request, timeout=30) as response:
                return Page(response.url, response.read().decode())
        except HTTPError as error:
            with error:
                raise DemoError(f"{request.get_method()} {request.full_url} answered {error.code}") from error
