"""What is put where a value or a name belongs."""

from __future__ import annotations

#: Would delete the canary if it ever were a part of the SQL; the table is there in each attacked database.
DROP = "DROP TABLE canary; --"

#: By the mistake that each is meant to meet.
TEXTS: dict[str, str] = {
    "quote": f"'; {DROP}",
    "escaped quote": f"\\'; {DROP}",
    "identifier": f'"; {DROP}',
    "parenthesis": f"1); {DROP}",
    "dollar quotes": f"$audit$; {DROP} $audit$",
    "comment": "x' /* */ OR 1=1 --",
    "union": "1 UNION SELECT rolname FROM pg_roles --",
    "parameters": "%s %(x)s %% :x ::text $1 {} {0.__class__} %n",
    "markup": "{{ 7*7 }}{% raw %}\"'><script>alert(1)</script><img src=x onerror=alert(1)>",
    "javascript": "javascript:alert(1)",
    "line breaks": "x\r\nSet-Cookie: stolen=1\r\n\r\n<script>alert(1)</script>",
    "null character": "a\0b",
    "lone surrogate": "a\ud800b",
    "direction": "\u202egnp.exe\u2066\u200b",
    "not there": "\u0378\U000e0001\ufffe\uffff",
    "formula": '=HYPERLINK("http://evil.example","x")',
    "path": "../../../../etc/passwd",
    "other site": "//evil.example/\\evil.example",
    "address": "https://evil.example/%2f%2e%2e",
    "big number": "9" * 400,
    "number": "1e999",
    "infinity": "-Infinity",
    "digits of elsewhere": "\u0661\u0662\u0663",
    "empty": "",
    "space": " \t\n ",
    "long": "A" * 20_000,
    "backtracking": "(" * 500 + "a+" * 200 + ")+$" * 100,
    "wildcards": "%_\\" * 300,
    "deep": '{"a":' * 400 + "[" * 400,
    "marker": 'flask_pg_audit {"fingerprint": "0"}',
}
