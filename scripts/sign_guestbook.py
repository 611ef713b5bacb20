"""Add an entry to the guestbook at ADDRESS and print what it then holds: ADDRESS ENTRY."""

import http.client
import json
import sys
import urllib.parse


def ask(address: str, method: str, path: str, body: str = "") -> bytes:
    """The body of the answer; redirects are not followed, as they would count as visits."""
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    if answer.status >= 400:
        raise OSError(f"{method} {path}: {answer.status} {answer.reason}")
    return text


def main(address: str, entry: str) -> int:
    try:
        ask(address, "POST", "/", urllib.parse.urlencode({"entry": entry}))
        book = json.loads(ask(address, "GET", "/api"))
    except (OSError, http.client.HTTPException, ValueError) as error:
        sys.stderr.write(f"{address}: no answer from the guestbook: {error}\n")
        return 1
    sys.stdout.write(f"visits counted in Redis: {book['visits']}\n")
    sys.stdout.write(f"entries kept in PostgreSQL: {len(book['entries'])}\n")
    for line in book["entries"][:5]:
        sys.stdout.write(f"  {line}\n")
    return 0 if entry in book["entries"] else 1


sys.exit(main(sys.argv[1], sys.argv[2]))
