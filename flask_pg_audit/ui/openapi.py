"""The description of the API for programs, as OpenAPI 3.1."""

from __future__ import annotations

from typing import Any

from ..declare.columns import OPERATION_LABELS

_TEXT_OR_NULL = {"type": ["string", "null"]}
_INSTANT = {"type": "string", "format": "date-time"}
_OPERATION = {"type": "string", "enum": sorted(OPERATION_LABELS.values())}
_IMAGE = {
    "type": ["object", "null"],
    "description": "Column name to value; a column that was not recorded then is left out. Null: there was no row.",
}

_CHANGE = {
    "position": {"type": "string", "description": "The place in the order of all changes."},
    "at": _INSTANT,
    "table": {"type": "string"},
    "operation": _OPERATION,
    "key": {"type": "object"},
    "username": {**_TEXT_OR_NULL, "description": "Who was logged in; null is nobody."},
    "actor_id": _TEXT_OR_NULL,
    "role": {"type": "string", "description": "The database role that acted."},
    "request_id": _TEXT_OR_NULL,
    "application_name": _TEXT_OR_NULL,
    "client_addr": _TEXT_OR_NULL,
    "context": {"description": "What else is known of the transaction; an object, unless somebody set another JSON."},
    "changed": {"type": "array", "items": {"type": "string"}},
    "old": _IMAGE,
    "new": _IMAGE,
    "masked": {
        "type": "array",
        "items": {"type": "string"},
        "description": "The columns of which old or new has a mask instead of the value.",
    },
    "redacted": {
        "type": "array",
        "items": {"type": "string"},
        "description": "The columns whose value was removed from old or new, where they are not any more.",
    },
}

_COUNT = {
    "table": {"type": "string"},
    "operation": _OPERATION,
    "count": {"type": "integer", "minimum": 1},
    "is_capped": {"type": "boolean", "description": "There are more than count."},
}

_TRANSACTION = {
    "id": {"type": "string"},
    "at": {"type": ["string", "null"], "format": "date-time"},
    "username": _TEXT_OR_NULL,
    "actor_id": _TEXT_OR_NULL,
    "role": _TEXT_OR_NULL,
    "application_name": _TEXT_OR_NULL,
    "client_addr": _TEXT_OR_NULL,
    "context": {"type": "object"},
    "continues": _TEXT_OR_NULL,
    "counts": {
        "type": "array",
        "items": {"$ref": "#/components/schemas/Count"},
        "description": "Its matching changes by table and operation; empty when is_counted is false.",
    },
    "is_counted": {"type": "boolean", "description": "There was the time to count them."},
}

_TABLE = {
    "table": {"type": "string"},
    "key": {"type": "array", "items": {"type": "string"}},
    "columns": {"type": "array", "items": {"type": "string"}},
}


def build_openapi(server: str) -> dict[str, Any]:
    """The whole document; ``server`` is where the API is mounted."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Audit log",
            "version": "1",
            "description": "What was changed, by whom, and what it was before. Whoever may read the log may use it.",
        },
        "servers": [{"url": server}],
        "paths": {
            "/tables": _get("The tables whose history may be seen", "Tables"),
            "/transactions": _get("The newest transactions", "Transactions", _search("transaction's id")),
            "/changes": _get("The newest changes", "Changes", _search("position")),
            "/record": _get("One record's changes", "Changes", [*_RECORD, *_paging("position")]),
        },
        "components": {"schemas": _SCHEMAS, "responses": _RESPONSES},
    }


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(properties),
        "properties": properties,
        "additionalProperties": False,
    }


def _page(name: str, schema: str) -> dict[str, Any]:
    items = {"type": "array", "items": {"$ref": f"#/components/schemas/{schema}"}}
    newer = {**_TEXT_OR_NULL, "description": "Give it as after, for newer ones; null when none are known."}
    older = {**_TEXT_OR_NULL, "description": "Give it as before, for older ones; null when there are none."}
    return _object({name: items, "newer": newer, "older": older, **_REACHED})


_REACHED = {
    "is_partial": {
        "type": "boolean",
        "description": (
            "The time for searching was over before enough was found, so what is further was not looked at. "
            "Go on with older; or, when after was given, with newer."
        ),
    },
    "searched_to": {
        "type": ["string", "null"],
        "format": "date-time",
        "description": "How far was looked then; null otherwise, and where it is not known.",
    },
}

_SCHEMAS = {
    "Change": _object(_CHANGE),
    "Changes": _page("changes", "Change"),
    "Count": _object(_COUNT),
    "Transaction": _object(_TRANSACTION),
    "Transactions": _page("transactions", "Transaction"),
    "Table": _object(_TABLE),
    "Tables": _object({"tables": {"type": "array", "items": {"$ref": "#/components/schemas/Table"}}}),
    "Error": _object({"error": {"type": "string"}}),
}

_RESPONSES = {
    name: {
        "description": description,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    for name, description in (
        ("BadRequest", "A parameter makes no sense; the text says which."),
        ("Forbidden", "The access rule refused."),
        ("NotFound", "There is nothing of the kind to be seen."),
        ("Unavailable", "The log cannot be read now; the text says why."),
    )
}


def _parameter(name: str, description: str, required: bool = False, **schema: Any) -> dict[str, Any]:
    schema = schema or {"type": "string"}
    return {"name": name, "in": "query", "required": required, "description": description, "schema": schema}


_RECORD = [
    _parameter("table", "The table.", required=True),
    _parameter("key", "The values of the primary key, separated by commas.", required=True),
]


def _paging(place: str) -> list[dict[str, Any]]:
    return [
        _parameter("before", f"Only older ones than this {place}."),
        _parameter("after", f"Only newer ones than this {place}, those next to it."),
        _parameter(
            "limit", "At most so many; fewer of large ones.", type="integer", minimum=1, maximum=500, default=50
        ),
        _parameter("bind", "The database; the default one unless given."),
    ]


def _search(place: str) -> list[dict[str, Any]]:
    return [_parameter("q", "The search, as in the search box of the pages."), *_paging(place)]


def _get(summary: str, schema: str, parameters: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    errors = {"400": "BadRequest", "403": "Forbidden", "404": "NotFound", "503": "Unavailable"}
    body = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
    return {
        "get": {
            "summary": summary,
            "parameters": parameters if parameters is not None else [_paging("")[-1]],
            "responses": {
                "200": {"description": summary, "content": {"application/json": body}},
                **{status: {"$ref": f"#/components/responses/{name}"} for status, name in errors.items()},
            },
        }
    }
