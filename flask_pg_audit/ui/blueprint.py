"""The audit-log blueprint."""

from flask import Blueprint


def create_blueprint() -> Blueprint:
    return Blueprint("audit", __name__)
