"""A real S3 server in a process of its own (moto's), and a proxy before it that fails as networks and services do."""

import contextlib
import json
import os
import re
import secrets
import select
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import boto3

VARIABLES = {
    "AWS_ACCESS_KEY_ID": "anyone",
    "AWS_SECRET_ACCESS_KEY": "anything",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",  # nobody is asked for credentials over the network
}


@dataclass(frozen=True)
class Server:
    """A running server; `url` is its endpoint."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def variables(self) -> dict[str, str]:
        """What the environment of a process says that uses it."""
        return {**VARIABLES, "AWS_ENDPOINT_URL": self.url}

    def make_bucket(self, name: str) -> str:
        """Make a bucket; returns its address."""
        self._client.create_bucket(Bucket=name)
        return f"s3://{name}"

    def read(self, bucket: str, name: str) -> bytes:
        content: bytes = self._client.get_object(Bucket=bucket, Key=name)["Body"].read()
        return content

    def write(self, bucket: str, name: str, content: bytes) -> None:
        self._client.put_object(Bucket=bucket, Key=name, Body=content)

    def delete(self, bucket: str, names: list[str]) -> None:
        for name in names:
            self._client.delete_object(Bucket=bucket, Key=name)

    def names(self, bucket: str, prefix: str = "") -> list[str]:
        """Names of the first thousand objects under a prefix."""
        listing = self._client.list_objects_v2(Bucket=bucket, Prefix=prefix)
        return [one["Key"] for one in listing.get("Contents", [])]

    def uploads(self, bucket: str) -> list[str]:
        """Names of the objects whose uploads in parts are not finished."""
        return [one["Key"] for one in self._client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])]

    @contextlib.contextmanager
    def guarded(self) -> Iterator[dict[str, str]]:
        """Ask everybody for a name and a secret; gives those of a user who may read and not write."""
        name, iam = f"reader-{secrets.token_hex(4)}", self._made("iam")
        iam.create_user(UserName=name)
        allowed = {"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        iam.put_user_policy(UserName=name, PolicyName="read", PolicyDocument=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        self._ask_from("0")
        try:
            yield {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
        finally:
            self._ask_from("inf")

    def _ask_from(self, request: str) -> None:
        """From which request on moto asks who one is."""
        asked = urllib.request.Request(
            f"{self.url}/moto-api/reset-auth", data=request.encode(), headers={"Content-Type": "text/plain"}
        )
        urllib.request.urlopen(asked, timeout=20).close()

    @cached_property
    def _client(self) -> Any:
        """Amazon's own client: another one than the store's."""
        return self._made("s3")

    def _made(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            aws_access_key_id="anyone",
            aws_secret_access_key="anything",
            region_name="us-east-1",
        )


@contextlib.contextmanager
def serve() -> Iterator[Server]:
    """Start a server on a free port, and end it."""
    server = Server(_free_port())
    command = [str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", str(server.port)]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **VARIABLES}
    )
    try:
        end = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", server.port)).close()
                break
            except OSError:
                assert process.poll() is None, "moto_server ended"
                assert time.monotonic() < end, "moto_server does not answer"
                time.sleep(0.05)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=20)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


Fault = Literal["none", "refuse", "500", "503", "slow", "cut upload", "cut answer", "unconditional"]


@dataclass
class Proxy:
    """A TCP proxy before a server; `fault` says how it fails from now on.

    "refuse" refuses connections, "500" and "503" answer every request so, "slow" waits `seconds` before each piece that
    it passes on, "cut upload" ends a connection `after` so many bytes from the client, "cut answer" of those to it;
    "unconditional" is a storage that knows no conditional writes. A fault lasts for `count` connections.
    """

    server: Server
    port: int = field(default_factory=_free_port)
    requests: list[str] = field(default_factory=list)
    failed: int = 0
    after: int = 0
    seconds: float = 0.0
    _fault: Fault = "none"
    _left: int = 0
    _listening: socket.socket | None = None
    _open: set[socket.socket] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def variables(self) -> dict[str, str]:
        """What the environment of a process says that goes through it."""
        return {**VARIABLES, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}"}

    def fail(self, fault: Fault, *, count: int = 10**9, after: int = 0, seconds: float = 0.0) -> None:
        """Fail from now on; connections that are open end, so that no client goes on over an old one."""
        self.after, self.seconds = after, seconds
        self._fault, self._left, self.failed = fault, count, 0
        self._close_all()
        if fault == "refuse":
            self._stop()
        elif self._listening is None:
            self._start()

    def heal(self) -> None:
        """Pass everything on again."""
        self.fail("none")

    def _start(self) -> None:
        listening = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self._listening = listening
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()

    def _stop(self) -> None:
        if self._listening is not None:
            with contextlib.suppress(OSError):
                self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()
            self._listening = None

    def _close_all(self) -> None:
        with self._lock:
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            fault: Fault = self._fault if self._left > 0 else "none"
            self._left -= fault != "none"
            self._open.add(client)
        try:
            with client, contextlib.suppress(OSError):
                if fault in ("500", "503"):
                    self._answer(client, fault)
                    return
                with socket.create_connection(("127.0.0.1", self.server.port)) as server:
                    with self._lock:
                        self._open.add(server)
                    try:
                        self._pass_on(client, server, fault)
                    finally:
                        with self._lock:
                            self._open.discard(server)
        finally:
            with self._lock:
                self._open.discard(client)

    def _pass_on(self, client: socket.socket, server: socket.socket, fault: Fault) -> None:
        passed = {client: 0, server: 0}
        cut = {"cut upload": client, "cut answer": server}.get(fault)
        while True:
            for source in select.select([client, server], [], [])[0]:
                piece = source.recv(1 << 16)
                if not piece:
                    return
                if source is client:
                    self._note(piece)
                if fault == "unconditional" and source is client:
                    piece = re.sub(rb"(?i)\r\nif-none-match: \*", b"", piece)
                if fault == "slow":
                    time.sleep(self.seconds)
                (server if source is client else client).sendall(piece)
                passed[source] += len(piece)
                if source is cut and passed[source] > self.after:
                    self.failed += 1
                    return

    def _answer(self, client: socket.socket, status: str) -> None:
        client.settimeout(5)
        self._note(client.recv(1 << 16))
        self.failed += 1
        code, words = {"500": ("InternalError", "Internal Server Error"), "503": ("SlowDown", "Slow Down")}[status]
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{words}</Message></Error>"
        client.sendall(
            f"HTTP/1.1 {status} {words}\r\nContent-Type: application/xml\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )

    def _note(self, piece: bytes) -> None:
        found = re.match(rb"(GET|PUT|HEAD|POST|DELETE) (\S+) HTTP/1", piece)
        if found is not None:
            self.requests.append(f"{found[1].decode()} {found[2].decode()}")


@contextlib.contextmanager
def proxy(server: Server) -> Iterator[Proxy]:
    """A proxy before a server that fails in no way yet."""
    made = Proxy(server)
    made.heal()
    try:
        yield made
    finally:
        made._close_all()
        made._stop()
