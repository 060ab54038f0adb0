"""The configuration keys ``AUDIT_*``, read once per app and validated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ..errors import AuditConfigError

PREFIX = "AUDIT_"


@dataclass(frozen=True)
class AuditConfig:
    """The configuration of one app; each field is the key ``AUDIT_<FIELD>``.

    :ivar url_prefix: where the audit-log pages are mounted.
    :ivar ui: mount them at all.
    :ivar log_views: record who reads the log, in ``audit_view``.
    :ivar page_size: transactions on one page of the log, and changes on the pages of one transaction or record.
    :ivar search_budget: milliseconds for which a page of the log looks for what it shows before it shows what it found
        so far; ``None`` is as long as it takes.
    :ivar ui_time_zone: the zone in which the log shows times to those who choose "local" instead of UTC.
    :ivar ui_open_in_debug: without an access rule, open the log to requests from this machine while the app is in
        debug mode.
    :ivar ui_revert: whoever the access rule allows it may bring old rows back from the pages.
    :ivar ui_base_template: a template of the app that the pages extend; it has the blocks ``title``, ``head`` and
        ``content``. ``None`` is a page of our own.
    :ivar schema: schema of ``audit_transaction``, the sequence and the functions; ``None`` means the metadata's.
    :ivar app_role: the database role as which the app runs, or several: it is to read history and to do nothing else
        with it. ``None`` leaves privileges alone.
    :ivar enable_always: the triggers fire under ``session_replication_role = replica`` as well, on every table that
        does not say otherwise.
    :ivar require_username: refuse every change for which no username is known.
    :ivar username_attribute: attribute of the user object that names it; ``None`` means the first of ``username``,
        ``email``, ``name`` and ``get_id()`` that there is.
    :ivar trust_basic_auth: in an app without Flask-Login and Flask-JWT-Extended, take the name in an HTTP basic
        ``Authorization`` header for the user's. The app, or the web server in front of it, has to have checked the
        password.
    :ivar request_id_header: the incoming header that names the request; ``None`` means that ids are always made up.
    :ivar context_exclude: keys of the request's metadata that are not recorded, such as ``["user_agent"]``.
    :ivar seal_key: signs seals: a secret of 32 bytes or more, or an Ed25519 key as PEM; ``None`` signs nothing.
    :ivar seal_key_file: a file that has it, instead.
    :ivar seal_old_keys: keys that signed earlier seals, or their public halves.
    """

    url_prefix: str = "/audit"
    ui: bool = True
    log_views: bool = True
    page_size: int = 25
    search_budget: int | None = 200
    ui_time_zone: str = "UTC"
    ui_open_in_debug: bool = False
    ui_revert: bool = False
    ui_base_template: str | None = None
    schema: str | None = None
    app_role: str | Sequence[str] | None = None
    enable_always: bool = False
    require_username: bool = False
    username_attribute: str | None = None
    trust_basic_auth: bool = True
    request_id_header: str | None = "X-Request-ID"
    context_exclude: Sequence[str] = ()
    seal_key: str | bytes | None = field(default=None, repr=False)
    seal_key_file: str | None = None
    seal_old_keys: Sequence[str | bytes] = field(default=(), repr=False)

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> AuditConfig:
        """Read ``AUDIT_*`` from an app's configuration.

        :raises AuditConfigError: a value of the wrong type, or a key that looks like a misspelt one of these.
        """
        names = {PREFIX + field.name.upper(): field.name for field in fields(cls)}
        _check_spelling(config, names)
        values = cls(**{name: config[key] for key, name in names.items() if key in config})
        values._check()
        return values

    def _check(self) -> None:
        _expect("URL_PREFIX", self.url_prefix, _is_prefix(self.url_prefix), 'a path such as "/audit"')
        for name in ("UI", "UI_OPEN_IN_DEBUG", "UI_REVERT", "LOG_VIEWS", "ENABLE_ALWAYS"):
            value = getattr(self, name.lower())
            _expect(name, value, isinstance(value, bool), "True or False")
        base = self.ui_base_template
        _expect("UI_BASE_TEMPLATE", base, _is_name_or_none(base), "the name of a template or None")
        _expect("UI_TIME_ZONE", self.ui_time_zone, _is_time_zone(self.ui_time_zone), "a time zone such as Europe/Rome")
        page_size = self.page_size
        good_size = isinstance(page_size, int) and not isinstance(page_size, bool) and 1 <= page_size <= 500
        _expect("PAGE_SIZE", page_size, good_size, "a number from 1 to 500")
        budget = self.search_budget
        _expect("SEARCH_BUDGET", budget, _is_budget(budget), "milliseconds from 1 to 60,000, or None")
        _expect("SCHEMA", self.schema, _is_name_or_none(self.schema), "the name of a schema or None")
        _expect(
            "REQUIRE_USERNAME",
            self.require_username,
            isinstance(self.require_username, bool),
            "True or False",
        )
        _expect("TRUST_BASIC_AUTH", self.trust_basic_auth, isinstance(self.trust_basic_auth, bool), "True or False")
        header = self.request_id_header
        _expect("REQUEST_ID_HEADER", header, _is_name_or_none(header), "the name of a header or None")
        exclude = self.context_exclude
        good_list = isinstance(exclude, (list, tuple, set, frozenset)) and all(isinstance(key, str) for key in exclude)
        _expect("CONTEXT_EXCLUDE", exclude, good_list, "a list of keys")
        self._check_seal_keys()
        roles = self.app_role
        good_roles = isinstance(roles, (list, tuple, set, frozenset)) and all(isinstance(r, str) and r for r in roles)
        _expect("APP_ROLE", roles, good_roles or _is_name_or_none(roles), "the name of a role, several, or None")
        attribute = self.username_attribute
        _expect("USERNAME_ATTRIBUTE", attribute, _is_name_or_none(attribute), "the name of an attribute or None")

    def _check_seal_keys(self) -> None:
        # What somebody meant to be a key is not shown.
        shown = type(self.seal_key).__name__
        _expect("SEAL_KEY", shown, self.seal_key is None or isinstance(self.seal_key, (str, bytes)), "a str or bytes")
        path = self.seal_key_file
        _expect("SEAL_KEY_FILE", path, _is_name_or_none(path), "the name of a file or None")
        both = self.seal_key is not None and path is not None
        _expect("SEAL_KEY_FILE", path, not both, "None where there is an AUDIT_SEAL_KEY")
        old = self.seal_old_keys
        good = isinstance(old, (list, tuple)) and all(isinstance(key, (str, bytes)) for key in old)
        _expect("SEAL_OLD_KEYS", type(old).__name__, good, "a list of keys, each a str or bytes")

    @property
    def app_roles(self) -> tuple[str, ...]:
        """The names in :attr:`app_role`."""
        return (self.app_role,) if isinstance(self.app_role, str) else tuple(self.app_role or ())

    @property
    def search_seconds(self) -> float | None:
        """The part of :attr:`search_budget` for looking for transactions, and for counting what is in them."""
        return None if self.search_budget is None else self.search_budget * 0.0008

    @property
    def preview_seconds(self) -> float | None:
        """The part of it for looking for the first changes of each."""
        return None if self.search_budget is None else self.search_budget * 0.0002


def _is_budget(value: object) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 60_000)


def _expect(key: str, value: object, good: bool, wanted: str) -> None:
    if not good:
        raise AuditConfigError(f"{PREFIX}{key} must be {wanted}, not {value!r}")


def _is_prefix(value: object) -> bool:
    return isinstance(value, str) and value.startswith("/") and len(value) > 1 and not value.endswith("/")


def _is_name_or_none(value: object) -> bool:
    return value is None or (isinstance(value, str) and value != "")


def _is_time_zone(value: object) -> bool:
    try:
        ZoneInfo(str(value))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return isinstance(value, str)


def _check_spelling(config: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """A misspelt AUDIT_REQUIRE_USERNAME would silently require nothing; the app's own AUDIT_ keys are its own."""
    for key in config:
        if key.startswith(PREFIX) and key not in names and (close := get_close_matches(key, names, cutoff=0.85)):
            raise AuditConfigError(
                f"unknown configuration key {key}; did you mean {close[0]}? There are {', '.join(names)}"
            )
