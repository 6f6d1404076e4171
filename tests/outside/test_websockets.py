"""The server and its WebSocket layer against the Python library `websockets`.

Owns what is about WebSocket itself: fragments, ping and pong, close codes, extensions that are
offered and declined, big messages. What the protocol says on top is tested with Node.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Opcode

SECRET = b"a secret for tests only, at least 32 bytes"
# Only a hang takes this long.
PATIENCE_SECONDS = 60
MIB = 1024 * 1024


def token(user):
    """A token signed by hand: HS256 needs no more than the standard library."""

    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    claims = {"sub": user, "exp": int(time.time()) + 8 * 3600}
    signed = part(b'{"alg":"HS256"}') + b"." + part(json.dumps(claims).encode())
    signature = hmac.new(SECRET, signed, hashlib.sha256).digest()
    return (signed + b"." + part(signature)).decode()


class Server:
    """A server of one's own on free ports, with the echo."""

    def __init__(self, *more_flags):
        binary = os.environ.get("DRAFTWIRE_BIN")
        if not binary:
            raise RuntimeError("DRAFTWIRE_BIN must name the binary: run scripts/test-outside.sh")
        self.folder = tempfile.mkdtemp(prefix="draftwire-python-")
        secret = os.path.join(self.folder, "secret")
        with open(secret, "wb") as file:
            file.write(SECRET + b"\n")
        self.log = open(os.path.join(self.folder, "log"), "w+b")
        flags = ["--listen", "127.0.0.1:0", "--conformance-echo", "127.0.0.1:0", *more_flags]
        data = os.path.join(self.folder, "data")
        self.process = subprocess.Popen(
            [binary, "serve", "--data", data, "--jwt-secret-file", secret, *flags],
            stderr=self.log,
        )
        self.address = self.find(r"listening on http://([0-9.:]+)")
        self.echo = "ws://" + self.find(r"echo listens on ws://([0-9.]+:[0-9]+)")
        self.realtime = f"ws://{self.address}/ws/realtime"

    def find(self, pattern):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with open(self.log.name, encoding="utf-8") as file:
                found = re.search(pattern + r"\b", file.read())
            if found:
                return found[1]
            time.sleep(0.02)
        raise RuntimeError(f"the log has no {pattern}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE_SECONDS)
        self.log.close()
        shutil.rmtree(self.folder)
        return code


class WithServer(unittest.IsolatedAsyncioTestCase):
    flags = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.flags)

    @classmethod
    def tearDownClass(cls):
        code = cls.server.stop()
        if code != 0:
            raise AssertionError(f"the server ended with {code}")

    async def asyncSetUp(self):
        # unittest's debug mode would report each call that takes 0.1 s.
        asyncio.get_running_loop().slow_callback_duration = PATIENCE_SECONDS
        # A hang ends a test, and never the whole run.
        timeout = asyncio.timeout(PATIENCE_SECONDS)
        await timeout.__aenter__()
        self.addAsyncCleanup(timeout.__aexit__, None, None, None)

    def echo(self, **options):
        options.setdefault("max_size", 64 * MIB)
        return connect(self.server.echo, **options)

    def realtime(self, user, client_id="python", **options):
        headers = {"Authorization": f"Bearer {token(user)}"}
        url = f"{self.server.realtime}?clientId={client_id}"
        options.setdefault("max_size", 64 * MIB)
        return connect(url, additional_headers=headers, **options)


async def frame(socket, kind):
    """The next frame of that type."""
    while True:
        found = json.loads(await socket.recv())
        if found["type"] == kind:
            return found


async def closing(socket):
    """The code and reason that the server closes with."""
    try:
        while True:
            await socket.recv()
    except ConnectionClosed as closed:
        return closed.rcvd and closed.rcvd.code


class Echo(WithServer):
    """The WebSocket layer, by what comes back."""

    async def test_text_and_binary_come_back(self):
        async with self.echo() as socket:
            for message in ["", "a", "grüße € 𝄞", b"", b"\x00\xff", "x" * 65_536, b"\xfe" * MIB]:
                await socket.send(message)
                self.assertEqual(await socket.recv(), message)

    async def test_big_messages_come_back(self):
        async with self.echo() as socket:
            for message in ["€" * (8 * MIB), bytes(range(256)) * (32 * MIB // 256)]:
                await socket.send(message)
                self.assertTrue(await socket.recv() == message)

    async def test_fragments_become_one_message(self):
        async with self.echo() as socket:
            await socket.send(["Ha", "", "llo ", "€"])
            self.assertEqual(await socket.recv(), "Hallo €")
            await socket.send([b"\x00", b"", b"\x01\x02"])
            self.assertEqual(await socket.recv(), b"\x00\x01\x02")

    async def test_characters_may_be_cut_by_fragments(self):
        async with self.echo() as socket:
            parts = [bytes([byte]) for byte in "€𝄞".encode()]
            await socket.send(parts, text=True)
            self.assertEqual(await socket.recv(), "€𝄞")

    async def test_ten_thousand_tiny_fragments(self):
        async with self.echo() as socket:
            await socket.send("x" for _ in range(10_000))
            self.assertEqual(await socket.recv(), "x" * 10_000)
            await socket.send(b"" for _ in range(10_000))
            self.assertEqual(await socket.recv(), b"")

    async def test_pings_between_fragments_are_answered_at_once(self):
        async with self.echo() as socket:
            pongs = []

            async def parts():
                yield "one "
                pongs.append(await socket.ping(b"between"))
                # Answered while the message is still open.
                await pongs[0]
                yield "two"

            await socket.send(parts())
            self.assertEqual(await socket.recv(), "one two")
            self.assertEqual(len(pongs), 1)

    async def test_pings_with_every_length_of_payload(self):
        async with self.echo() as socket:
            for length in [0, 1, 124, 125]:
                await (await socket.ping(b"p" * length))
            await socket.pong(b"nobody has asked")
            await socket.send("still here")
            self.assertEqual(await socket.recv(), "still here")

    async def test_close_codes_are_answered_in_kind(self):
        for code in [1000, 1001, 1008, 1011, 3000, 4999]:
            async with self.echo() as socket:
                await socket.close(code, "tschüß")
                self.assertEqual(socket.protocol.close_rcvd.code, code)
                self.assertFalse(socket.protocol.close_rcvd_then_sent)

    async def test_what_the_rfc_forbids_is_closed_with_its_code(self):
        bad_text = b"\xc3\x28"
        cases = [
            (Opcode.TEXT, bad_text, 1007),
            (Opcode.CONT, b"of what?", 1002),
            (Opcode.CLOSE, b"\x03", 1002),
            (Opcode.CLOSE, b"\x03\xed", 1002),
            (Opcode.CLOSE, b"\x03\xe8" + bad_text, 1007),
        ]
        for opcode, payload, code in cases:
            async with self.echo() as socket:
                raw = socket.transport.write
                raw(bytes([0x80 | opcode, 0x80 | len(payload), 0, 0, 0, 0]) + payload)
                self.assertEqual(await closing(socket), code, (opcode, payload))
        raw_frames = [
            (b"\x81\x01x", "without a mask"),
            (b"\xc1\x81\x00\x00\x00\x00x", "RSV1 without an extension"),
            (b"\x83\x80\x00\x00\x00\x00", "a reserved opcode"),
            (b"\x09\x80\x00\x00\x00\x00", "a ping in fragments"),
            (b"\x89\xfe\x00\x7e\x00\x00\x00\x00", "a ping of 126 bytes"),
        ]
        for raw, why in raw_frames:
            async with self.echo() as socket:
                socket.transport.write(raw)
                self.assertEqual(await closing(socket), 1002, why)

    async def test_a_length_of_eight_exbibytes_is_refused_at_once(self):
        async with self.echo() as socket:
            socket.transport.write(b"\x82\xff\x7f" + b"\xff" * 7 + b"\x00" * 4)
            self.assertEqual(await closing(socket), 1009)

    async def test_compression_is_offered_and_declined(self):
        async with self.echo(compression="deflate") as socket:
            offered = socket.request.headers["Sec-WebSocket-Extensions"]
            self.assertIn("permessage-deflate", offered)
            self.assertNotIn("Sec-WebSocket-Extensions", socket.response.headers)
            await socket.send("plain")
            self.assertEqual(await socket.recv(), "plain")


class Compressed(WithServer):
    """permessage-deflate (RFC 7692), switched on."""

    flags = ("--compression",)
    large = json.dumps([{"sku": f"SKU-{n}", "quantity": n % 7} for n in range(2_000)])

    async def test_messages_of_every_size_come_back_compressed(self):
        async with self.echo(compression="deflate") as socket:
            agreed = socket.response.headers["Sec-WebSocket-Extensions"]
            self.assertIn("server_no_context_takeover", agreed)
            self.assertIn("client_no_context_takeover", agreed)
            for message in ["", "plain", self.large, "€" * 70_000, os.urandom(100_000)]:
                for _ in range(2):
                    await socket.send(message)
                    self.assertEqual(await socket.recv(), message)
            await socket.send([self.large[:10], self.large[10:50_000], self.large[50_000:]])
            self.assertEqual(await socket.recv(), self.large)

    async def test_every_window_that_a_client_asks_for_is_kept_to(self):
        for bits in range(9, 16):
            factory = ClientPerMessageDeflateFactory(
                server_max_window_bits=bits, client_max_window_bits=bits
            )
            async with self.echo(compression=None, extensions=[factory]) as socket:
                agreed = socket.response.headers["Sec-WebSocket-Extensions"]
                self.assertIn(f"server_max_window_bits={bits}", agreed)
                await socket.send(self.large)
                self.assertEqual(await socket.recv(), self.large)

    async def test_a_bomb_is_closed_with_1009_and_costs_nobody_else_anything(self):
        async with self.realtime("good", "phone") as good:
            await frame(good, "WELCOME")
            for _ in range(3):
                async with self.realtime("evil", compression="deflate") as socket:
                    await socket.send("[" * (60 * MIB))
                    self.assertEqual(await closing(socket), 1009)
            self.assertLess(resident_bytes(self.server.process.pid), 50 * MIB)
            await good.send('{"type":"DRAFT_CREATE","mutationId":1,"payload":{"data":{}}}')
            await frame(good, "ACK")

    async def test_what_is_no_deflate_stream_is_closed_with_1007(self):
        async with self.echo(compression="deflate") as socket:
            # A block of a kind that there is not.
            socket.transport.write(b"\xc1\x81\x00\x00\x00\x00\xff")
            self.assertEqual(await closing(socket), 1007)


def resident_bytes(pid):
    """The resident memory of a process."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1]) * 1024


class Realtime(WithServer):
    """The protocol's endpoint."""

    async def test_compression_is_declined_there_as_well(self):
        async with self.realtime("anna", compression="deflate") as socket:
            self.assertNotIn("Sec-WebSocket-Extensions", socket.response.headers)
            welcome = await frame(socket, "WELCOME")
            self.assertEqual(welcome["payload"]["userId"], "anna")

    async def test_the_subprotocol_is_chosen_and_the_token_not_repeated(self):
        protocols = ["draftwire.v1", f"draftwire.bearer.{token('anna')}"]
        async with connect(self.server.realtime, subprotocols=protocols) as socket:
            self.assertEqual(socket.subprotocol, "draftwire.v1")

    async def test_a_command_in_tiny_fragments_is_a_command(self):
        async with self.realtime("berta") as socket:
            data = {"id": "d1", "data": {"text": "€" * 3_000}}
            command = {"type": "DRAFT_CREATE", "mutationId": 1, "payload": data}
            text = json.dumps(command, ensure_ascii=False).encode()
            await socket.send([bytes([byte]) for byte in text], text=True)
            self.assertEqual((await frame(socket, "ACK"))["payload"]["mutationId"], 1)

    async def test_big_documents_within_the_limit_and_above_it(self):
        async with self.realtime("carla") as socket:
            limits = (await frame(socket, "WELCOME"))["payload"]["limits"]
            text = "x" * (limits["documentBytes"] - 100)

            async def create(number, text):
                payload = {"id": f"d{number}", "data": {"text": text}}
                command = {"type": "DRAFT_CREATE", "mutationId": number, "payload": payload}
                await socket.send(json.dumps(command))

            await create(1, text)
            created = await frame(socket, "DRAFT_CREATED")
            self.assertTrue(created["payload"]["document"]["data"]["text"] == text)
            await create(2, text + "x" * 200)
            rejected = await frame(socket, "REJECTED")
            self.assertEqual(rejected["payload"]["code"], "TOO_LARGE")
            await create(3, "x" * limits["frameBytes"])
            self.assertEqual(await closing(socket), 1009)

    async def test_binary_is_closed_with_1003_and_bad_text_with_1007(self):
        async with self.realtime("dora") as socket:
            await socket.send(b"{}")
            self.assertEqual(await closing(socket), 1003)
        async with self.realtime("dora") as socket:
            await socket.send([b"\xff"], text=True)
            self.assertEqual(await closing(socket), 1007)

    async def test_the_close_handshake(self):
        for code in [1000, 4321]:
            async with self.realtime("emma") as socket:
                await frame(socket, "WELCOME")
                await socket.close(code)
                self.assertEqual(socket.protocol.close_rcvd.code, code)

    async def test_a_refusal_is_an_http_answer(self):
        with self.assertRaises(InvalidStatus) as refused:
            async with connect(self.server.realtime):
                pass
        answer = refused.exception.response
        self.assertEqual(answer.status_code, 401)
        self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
        self.assertEqual(json.loads(answer.body)["code"], "NO_TOKEN")


if __name__ == "__main__":
    unittest.main(verbosity=2)
