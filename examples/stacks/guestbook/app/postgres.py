"""As much of PostgreSQL's protocol (version 3) as a guestbook needs: sign in, and ask.

Signs in with SCRAM-SHA-256 (RFC 5802, RFC 7677), as servers ask for by default. Parameters travel
apart from the query's text, so nothing needs quoting; all values are text.
"""

import base64
import hashlib
import hmac
import secrets
import socket
import struct
from collections.abc import Iterator
from types import TracebackType

PORT = 5432
TIMEOUT_S = 5
PROTOCOL_3_0 = 196608

Row = list[str | None]


class PostgresError(OSError):
    """The server answered with an error, or not in its protocol."""


class Connection:
    """A session, to be used in a `with` block."""

    def __init__(self, *, host: str, user: str, password: str, database: str) -> None:
        self._address = (host, PORT)
        self._user = user
        self._password = password
        self._database = database

    def __enter__(self) -> "Connection":
        self._socket = socket.create_connection(self._address, timeout=TIMEOUT_S)
        self._answers = self._socket.makefile("rb")
        try:
            self._sign_in()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._send(b"X", b"")
        finally:
            self._close()

    def query(self, text: str, *parameters: str) -> list[Row]:
        """Run one statement; its parameters are $1, $2 ... in the text."""
        values = b"".join(
            struct.pack("!i", len(data)) + data for data in map(str.encode, parameters)
        )
        self._send(b"P", b"\0" + text.encode() + b"\0" + struct.pack("!h", 0))
        self._send(b"B", struct.pack("!bbhh", 0, 0, 0, len(parameters)) + values + b"\0\0")
        self._send(b"E", b"\0" + struct.pack("!i", 0))
        self._send(b"S", b"")
        return [_row(body) for kind, body in self._until_ready() if kind == b"D"]

    def _sign_in(self) -> None:
        settings = f"user\0{self._user}\0database\0{self._database}\0\0".encode()
        self._send(b"", struct.pack("!i", PROTOCOL_3_0) + settings)
        scram = Scram(self._password)
        for kind, body in self._until_ready():
            if kind != b"R":
                continue
            (step,) = struct.unpack("!i", body[:4])
            if step == 10:
                first = scram.first_message()
                name = b"SCRAM-SHA-256\0" + struct.pack("!i", len(first))
                self._send(b"p", name + first)
            elif step == 11:
                self._send(b"p", scram.final_message(body[4:]))
            elif step == 12:
                scram.verify(body[4:])
            elif step != 0:
                raise PostgresError(f"postgres: way {step} to sign in: not supported")

    def _send(self, kind: bytes, body: bytes) -> None:
        self._socket.sendall(kind + struct.pack("!i", len(body) + 4) + body)

    def _until_ready(self) -> Iterator[tuple[bytes, bytes]]:
        """The server's messages up to the one that says it awaits the next statement."""
        failure = None
        while True:
            header = self._read(5)
            kind = header[:1]
            body = self._read(struct.unpack("!i", header[1:])[0] - 4)
            if kind == b"E":
                failure = PostgresError(_error_text(body))
                if b"VFATAL\0" in body:
                    raise failure
            elif kind == b"Z":
                break
            yield kind, body
        if failure:
            raise failure

    def _read(self, length: int) -> bytes:
        data = self._answers.read(length)
        if len(data) < length:
            raise PostgresError("postgres: the connection was closed")
        return data

    def _close(self) -> None:
        self._answers.close()
        self._socket.close()


class Scram:
    """The client's side of SCRAM-SHA-256, without channel binding."""

    def __init__(self, password: str) -> None:
        self._password = password.encode()
        self._first_bare = "n=,r=" + secrets.token_urlsafe(18)
        self._signature = b""

    def first_message(self) -> bytes:
        return ("n,," + self._first_bare).encode()

    def final_message(self, server_first: bytes) -> bytes:
        fields = _fields(server_first)
        if not fields["r"].startswith(self._first_bare[5:]):
            raise PostgresError("postgres: the server's nonce does not continue ours")
        salt, rounds = base64.b64decode(fields["s"]), int(fields["i"])
        salted = hashlib.pbkdf2_hmac("sha256", self._password, salt, rounds)
        client_key = _hmac(salted, b"Client Key")
        without_proof = f"c=biws,r={fields['r']}".encode()
        signed = b",".join((self._first_bare.encode(), server_first, without_proof))
        client_signature = _hmac(hashlib.sha256(client_key).digest(), signed)
        proof = bytes(a ^ b for a, b in zip(client_key, client_signature, strict=True))
        self._signature = _hmac(_hmac(salted, b"Server Key"), signed)
        return without_proof + b",p=" + base64.b64encode(proof)

    def verify(self, server_final: bytes) -> None:
        """Make sure that the server knows the password, too."""
        if not hmac.compare_digest(base64.b64decode(_fields(server_final)["v"]), self._signature):
            raise PostgresError("postgres: the server's signature is wrong")


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _fields(message: bytes) -> dict[str, str]:
    return dict(field.split("=", 1) for field in message.decode().split(","))


def _row(body: bytes) -> Row:
    (columns,) = struct.unpack("!h", body[:2])
    row: Row = []
    position = 2
    for _ in range(columns):
        (length,) = struct.unpack("!i", body[position : position + 4])
        position += 4
        row.append(None if length < 0 else body[position : position + length].decode())
        position += max(length, 0)
    return row


def _error_text(body: bytes) -> str:
    fields = {part[:1]: part[1:].decode() for part in body.split(b"\0") if part}
    return f"postgres: {fields.get(b'M', 'unknown error')}"
