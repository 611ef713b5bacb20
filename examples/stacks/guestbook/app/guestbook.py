"""A guestbook: GET / shows the entries and counts the visit, POST / adds an entry.

GET /api answers the same as JSON, GET /health says whether both databases answer. With --check it
asks a running guestbook for its health instead, and exits 0 or 1.
"""

import html
import http.server
import json
import os
import sys
import urllib.parse
import urllib.request
from http import HTTPStatus

import postgres
import redis

PORT = 8000
MAX_ENTRY_BYTES = 2000
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<h1>{title}</h1>
<p>Visits: {visits}</p>
<ul>
{entries}
</ul>
<form method="post"><input name="entry" maxlength="200" autofocus> <button>Sign</button></form>
</html>
"""


def database() -> postgres.Connection:
    return postgres.Connection(
        host=os.environ["DATABASE_HOST"],
        user=os.environ["DATABASE_USER"],
        password=os.environ["DATABASE_PASSWORD"],
        database=os.environ["DATABASE_USER"],
    )


def cache(*command: str) -> object:
    return redis.call(os.environ["CACHE_HOST"], *command)


def create_table() -> None:
    with database() as connection:
        connection.query(
            "CREATE TABLE IF NOT EXISTS entries (id serial PRIMARY KEY, text text NOT NULL)"
        )


def add_entry(text: str) -> None:
    with database() as connection:
        connection.query("INSERT INTO entries (text) VALUES ($1)", text)


def read_entries() -> list[str]:
    with database() as connection:
        rows = connection.query("SELECT text FROM entries ORDER BY id DESC LIMIT 100")
    return [row[0] or "" for row in rows]


class Guestbook(http.server.BaseHTTPRequestHandler):
    """One request; the connections to the databases live as long as it does."""

    timeout = 30

    def do_GET(self) -> None:
        if self.path == "/health":
            with database() as connection:
                connection.query("SELECT 1")
            self.answer(HTTPStatus.OK, "text/plain", f"{cache('PING')}\n")
        elif self.path == "/api":
            visits, entries = cache("INCR", "visits"), read_entries()
            body = json.dumps({"visits": visits, "entries": entries})
            self.answer(HTTPStatus.OK, "application/json", body + "\n")
        elif self.path == "/":
            page = PAGE.format(
                title=html.escape(os.environ.get("TITLE", "Guestbook")),
                visits=cache("INCR", "visits"),
                entries="\n".join(f"<li>{html.escape(entry)}</li>" for entry in read_entries()),
            )
            self.answer(HTTPStatus.OK, "text/html", page)
        else:
            self.answer(HTTPStatus.NOT_FOUND, "text/plain", "not found\n")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MAX_ENTRY_BYTES:
            self.answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "text/plain", "too long\n")
            return
        form = urllib.parse.parse_qs(self.rfile.read(int(length)).decode(errors="replace"))
        entry = form.get("entry", [""])[0].replace("\0", "").strip()
        if entry:
            add_entry(entry)
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", "/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer(self, status: HTTPStatus, content_type: str, body: str) -> None:
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{content_type}; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def is_healthy() -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=4) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return False


def main() -> None:
    if sys.argv[1:] == ["--check"]:
        sys.exit(0 if is_healthy() else 1)
    create_table()
    server = http.server.ThreadingHTTPServer(("", PORT), Guestbook)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()
