"""A TCP connection, with TLS or without, whose calls share one deadline and can be aborted by another thread."""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import ssl
import threading
import time

from gpu_infer.triton.client.access import Access
from gpu_infer.triton.client.endpoints import parse_uri, tls_protocol
from gpu_infer.triton.client.resolve import HostAddress, resolve

CONNECT_TIMEOUT_S = 10.0  # of each address of a host
LOST_S = 60  # without a sign of the server's host, after which it has vanished
PING_S = 20  # between two signs that are asked for, which also keep a connection in the tables of routers
_OPTIONS = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, PING_S),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PING_S),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, LOST_S // PING_S),
)
_KERNEL_BYTES = 64 << 10
"""Bytes that the kernel of the server's host takes from one request although the server reads nothing."""

REST_S = 1.0  # for the rest of an answer that began to arrive before the deadline
LONGEST_WAIT_S = 1e6  # of one operation; the system takes milliseconds in an int


class DeadlineReached(Exception):
    """The time of a call is over."""


class HttpSocket:
    """A connection to the server at `url`, opened when a call needs it. One thread calls; any thread may abort."""

    def __init__(self, url: str, access: Access) -> None:
        self.host, self.port = parse_uri(url)
        self._tls = tls_protocol(url) is not None
        self.default_port = http.client.HTTPS_PORT if self._tls else http.client.HTTP_PORT
        self._access = access
        self._socket: socket.socket | None = None
        self._poll: select.poll | None = None  # once the connection is open
        self._until = 0.0
        self._lock = threading.Lock()
        self._in_call = self._aborted = False

    def begin(self, timeout: float) -> None:
        """Begin a call, whose operations take `timeout` seconds in all; `end` ends it."""
        self._until = time.monotonic() + timeout
        with self._lock:
            self._in_call, self._aborted = True, False

    def resume(self) -> None:
        """Go on with a call: an answer that has arrived by now is in time, however late it is read."""
        if self._poll is not None and self._poll.poll(0):
            self._until = max(self._until, time.monotonic() + REST_S)

    def end(self) -> None:
        """End the call: it can no longer be aborted."""
        with self._lock:
            self._in_call = False

    def abort(self) -> None:
        """Make the operation in progress, and all others of the call, fail. Callable from any thread."""
        with self._lock:
            if not self._in_call:
                return
            self._aborted = True
            if self._socket is not None:
                # Not SSLSocket.shutdown, which would make a concurrent operation of that class send plain text.
                _shut_down(self._socket)

    def open(self) -> bool:
        """Connect, unless there is a connection on which the server is silent; whether there is such a connection.

        What is readable between two calls is the end of the connection, or belongs to no request.

        Raises ConfigError for certificates that cannot be used; see `receive`.
        """
        if self._poll is not None and not self._poll.poll(0):
            return True
        self.close()
        context = self._access.context() if self._tls else None
        addresses = resolve(self.host, self.port, self._remaining)
        failure: OSError | None = None
        for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            try:
                self._connect(address, context, left)
            except OSError as error:
                self.close()
                self._remaining()
                if failure is None or isinstance(error, ssl.SSLError):  # more than that nobody listens at another one
                    failure = error
            else:
                return False
        try:
            raise failure or OSError(f"{self.host} has no address")
        finally:
            del failure  # or its traceback would have it, and so hold what the callers have

    def send(self, data: bytes) -> None:
        """Send all of `data`; see `receive` for the errors."""
        assert self._socket is not None
        self._socket.settimeout(self._remaining())
        # The system gives a connection up after so long without a confirmation of data (0: no limit). That would end
        # also the connection to a busy server whose host takes no more of a large body until some of it has been read.
        confirmed_s = LOST_S if len(data) <= _KERNEL_BYTES else 0
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * confirmed_s)
        try:
            self._socket.sendall(data)
        except TimeoutError:
            self._remaining()
            raise

    def receive(self, nbytes: int) -> bytes:
        """At most `nbytes` bytes, as soon as there are some; none at the end of the connection.

        Raises DeadlineReached, ConnectionAbortedError after `abort`, or another OSError.
        """
        assert self._socket is not None
        while True:
            self._socket.settimeout(self._remaining())
            try:
                data = self._socket.recv(nbytes)
            except TimeoutError as error:
                if error.errno is not None:  # ETIMEDOUT: the system has given the connection up
                    raise
                continue  # `_remaining` raises, unless the deadline is later than a socket can wait
            if not data:
                self._remaining()  # raises if the end is that of an aborted call
            return data

    def close(self) -> None:
        """Close the connection, if there is one; the next call opens another one."""
        self._poll = None  # first: without it, an interrupted call leaves no connection that seems open
        with self._lock:
            old, self._socket = self._socket, None
        if old is not None:
            old.close()

    def _remaining(self) -> float:
        """Seconds that the next operation may take."""
        if self._aborted:
            raise ConnectionAbortedError("the request was cut off")
        remaining = self._until - time.monotonic()
        if remaining <= 0:
            raise DeadlineReached
        return min(remaining, LONGEST_WAIT_S)

    def _connect(self, host: HostAddress, context: ssl.SSLContext | None, left: int) -> None:
        """Open a connection to the first of `left` addresses, in a time that leaves some for the others."""
        connection = self._use(socket.socket(host.family, host.kind, host.protocol))
        connection.settimeout(min(CONNECT_TIMEOUT_S, self._remaining() / left))
        connection.connect(host.address)
        for level, option, value in _OPTIONS:
            connection.setsockopt(level, option, value)
        if context is not None:
            encrypted = context.wrap_socket(connection, server_hostname=self.host, do_handshake_on_connect=False)
            connection = self._use(encrypted)
            connection.settimeout(min(CONNECT_TIMEOUT_S, self._remaining() / left))
            encrypted.do_handshake()
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)

    def _use(self, connection: socket.socket) -> socket.socket:
        """Make `connection` the one that `abort` ends."""
        with self._lock:
            self._socket = connection
        return connection


def _shut_down(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # not connected yet, or not any more
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
