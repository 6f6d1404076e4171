#!/usr/bin/env python3
"""Measures what an idle connection and a delivery cost the server.

Owns a quick look at two figures that the design rests on: user memory of an idle authenticated
connection (anonymous memory of the process, from /proc, before and after), and the processor time
of a delivery when one event at a time goes to everybody. Starts a server of its own and stops it.
No comparison with a peer and no load generator: the receiver is this script, on the same machine.

    python3 scripts/measure.py target/release/draftwire 9000
"""

import base64
import hashlib
import hmac
import json
import os
import re
import resource
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

SECRET = "a secret of thirty-two bytes or more"
BROADCASTS = 20


def encoded(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def token(user, role="user"):
    claims = {"sub": user, "role": role, "exp": int(time.time()) + 3600}
    signed = encoded(b'{"alg":"HS256"}') + b"." + encoded(json.dumps(claims).encode())
    digest = hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()
    return (signed + b"." + encoded(digest)).decode()


def connect(port, index):
    stream = socket.create_connection(("127.0.0.1", port))
    stream.sendall(
        (
            f"GET /ws/realtime?clientId=device-{index} HTTP/1.1\r\nHost: localhost\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Authorization: Bearer {token(f'user-{index}')}\r\n\r\n"
        ).encode()
    )
    received = b""
    while b'"SNAPSHOT"' not in received:
        chunk = stream.recv(65536)
        if not chunk:
            sys.exit(f"connection {index} was refused: {received.decode(errors='replace')}")
        received += chunk
    return stream


def anonymous_bytes(pid):
    with open(f"/proc/{pid}/smaps_rollup") as rollup:
        return int(re.search(r"Anonymous:\s+(\d+)", rollup.read()).group(1)) * 1024


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def broadcast(port):
    body = json.dumps({"type": "MEASURE", "payload": {"text": "x" * 120}}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/broadcast",
        data=body,
        headers={"Authorization": "Bearer " + token("operator", "admin")},
    )
    return json.loads(urllib.request.urlopen(request).read())["connections"]


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    binary, count = sys.argv[1], int(sys.argv[2])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/secret", "w") as secret:
            secret.write(SECRET)
        server = subprocess.Popen(
            [binary, "serve", "--listen", "127.0.0.1:0", "--data", f"{folder}/data"]
            + ["--jwt-secret-file", f"{folder}/secret", "--heartbeat", "600s"],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            port = None
            while port is None:
                found = re.search(r"listening on http://127.0.0.1:(\d+)", server.stderr.readline())
                port = int(found.group(1)) if found else None
            # Threads, caches and tables of the server itself are there before the count begins.
            for stream in [connect(port, f"warm-{index}") for index in range(200)]:
                stream.close()
            time.sleep(1)
            before = anonymous_bytes(server.pid)
            streams = [connect(port, index) for index in range(count)]
            time.sleep(2)
            after = anonymous_bytes(server.pid)
            started = cpu_seconds(server.pid)
            reached = sum(broadcast(port) for _ in range(BROADCASTS))
            spent = cpu_seconds(server.pid) - started
            print(f"idle connection   {(after - before) / count:.0f} bytes of user memory")
            print(f"delivery to all   {spent / reached * 1e6:.1f} µs of processor time")
            print(f"({count} connections, {BROADCASTS} broadcasts, {reached} deliveries)")
            for stream in streams:
                stream.close()
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
