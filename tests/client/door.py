"""A master's client door for tests: real sockets and keys, answers by a script."""

import os
import threading
from collections.abc import Callable
from typing import Any

import zmq

from stenella.home import endpoints, keys
from stenella.home.endpoints import MasterEndpoints
from stenella.home.layout import Home
from stenella.protocol.codec import CommandDecoder, decode_header, encode_frames
from stenella.protocol.commands import Answer, Command, FromClient, InstancePage, InstanceRead

CLUSTER = "c1"
#: A request and the how-many-eth copy of it (from 1) → what the door says to that.
Script = Callable[[FromClient, int], list[Command]]


def result(request: Any, **values: Any) -> Answer:
    return Answer(request_id=request.request_id, result=values)


def page(request: Any, document: Any) -> InstancePage:
    if isinstance(request, InstanceRead):
        instance = {name: value for name, value in document.items() if name != "tasks"}
        document = {"instance": instance, "tasks": document["tasks"], "next_node": None}
    return InstancePage(request_id=request.request_id, page=document)


class Door:
    """A master's client door in a thread, publishing its endpoints as a master does."""

    def __init__(self, home: Home, script: Script) -> None:
        self.home, self.script = home, script
        self.requests: list[FromClient] = []
        self._leave = threading.Event()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.set(zmq.CURVE_SERVER, 1)
        self._socket.set(zmq.CURVE_SECRETKEY, keys.server_keys(home).secret)
        self._socket.bind("tcp://127.0.0.1:0")
        self.endpoint = self._socket.get_string(zmq.LAST_ENDPOINT).rstrip("\0")
        self.publish(keys.server_keys(home).public)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def publish(self, server_key: bytes) -> None:
        master = MasterEndpoints(1, os.getpid(), self.endpoint, "", server_key.decode(), CLUSTER)
        endpoints.write(self.home, master)

    def close(self) -> None:
        self._leave.set()
        self._thread.join(10)

    def _serve(self) -> None:
        decoder: CommandDecoder[FromClient] = CommandDecoder(FromClient)
        while not self._leave.is_set():
            if not self._socket.poll(10):
                continue
            peer, body = self._socket.recv_multipart()
            requests, bad = decoder.decode(decode_header(body, CLUSTER).commands)
            assert not bad
            for request in requests:
                self.requests.append(request)
                copies = sum(r.request_id == request.request_id for r in self.requests)
                for frame in encode_frames(CLUSTER, "master", "b", self.script(request, copies)):
                    self._socket.send_multipart([peer, frame])
        self._context.destroy(linger=0)
